"""docs/training.md against the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgefuse.data.discover import IR_FOLDERS, VIS_FOLDERS
from edgefuse.train import load_recipe, recipe_names


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    """The text of docs/training.md."""
    return (repository / "docs" / "training.md").read_text(encoding="utf-8")


def test_every_recipe_and_folder_name_is_listed(page):
    """Names in the tables are those of the code."""
    recipes = page.split("| recipe |")[1].split("\n\n")[0]
    assert set(re.findall(r"`([a-z-]+)`", recipes)) == set(recipe_names())
    folders = page.split("| holds |")[1].split("\n\n")[0]
    assert tuple(re.findall(r"`(\w+)`", folders)) == (*IR_FOLDERS, *VIS_FOLDERS)


def test_the_example_recipe_loads(page, tmp_path):
    """The first TOML block is a recipe."""
    path = tmp_path / "mine.toml"
    path.write_text(re.findall(r"```toml\n(.*?)```", page, flags=re.DOTALL)[0], encoding="utf-8")
    recipe = load_recipe(path)
    assert recipe.config == {"blocks": 2}
    assert recipe.stages[0].losses["gradient"]["scale_weights"] == [1.0, 0.5]
    assert recipe.stages[0].train.optimizers["all"].name == "adamw"
