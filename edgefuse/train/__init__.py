"""Training of fusion networks from recipes."""
