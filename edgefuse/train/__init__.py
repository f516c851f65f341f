"""Training of fusion networks from recipes."""

from __future__ import annotations

from edgefuse.train.recipe import Recipe, load_recipe, recipe_names

__all__ = ["Recipe", "load_recipe", "recipe_names"]
