"""The losses of the five systems, each a function and a module."""
