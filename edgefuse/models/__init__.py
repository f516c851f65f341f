"""The fusion networks, by name."""
