"""Fusion metrics in the conventions of the field."""
