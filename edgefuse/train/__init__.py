"""Training of fusion networks from recipes."""

from __future__ import annotations

from edgefuse.train.recipe import load_recipe, recipe_names
from edgefuse.train.settings import Recipe

__all__ = ["Recipe", "load_recipe", "recipe_names"]
