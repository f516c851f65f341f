"""A simulated scene as an infrared and a visible camera would see it."""
