"""Recipes: a model, its losses, the augmentation and the schedule, as TOML."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from edgefuse.data import Augmentation
from edgefuse.errors import UsageError
from edgefuse.train.settings import (
    OptimizerSettings,
    Recipe,
    ScheduleSettings,
    Stage,
    Table,
    TeacherSettings,
    TrainSettings,
    require,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["RECIPES", "load_recipe", "recipe_names"]

RECIPES = Path(__file__).resolve().parent.parent / "recipes"

_STAGE_KEYS = ("network", "losses", "augmentation", "train", "freeze", "teacher")

Settings = TypeVar("Settings")


def recipe_names() -> tuple[str, ...]:
    """The recipes that ship with EdgeFuse, sorted."""
    return tuple(sorted(path.stem for path in RECIPES.glob("*.toml")))


def load_recipe(
    recipe: str | Path, *, overrides: Sequence[str] = (), smoke: bool = False, short: bool = False
) -> Recipe:
    """Read a recipe.

    Args:
        recipe: Name of a recipe that ships, or path of a ``.toml`` file.
        overrides: Assignments such as ``"train.epochs=5"``; they hold in every stage, and ``stages.NAME.`` in front
            limits one to a stage. Values are TOML, and plain words are strings.
        smoke: Apply the recipe's ``smoke`` table: the shortest run that shows it works.
        short: Apply the recipe's ``short`` table: a schedule that ends within half an hour on one CPU core.

    Returns:
        The recipe, with what it extends and all overrides applied.

    Raises:
        UsageError: The recipe, a key in it or a value is wrong; the message says which.

    Example:
        >>> load_recipe("lite", overrides=["train.epochs=3"]).stages[0].train.epochs
        3
    """
    path = _find(recipe)
    table = _read(path, seen=())
    require(not (smoke and short), "give --smoke or --short, not both")
    lengths = {label: table.pop(label, None) for label in ("smoke", "short")}
    changes = [_parse_override(text) for text in overrides]
    if smoke:
        table = _merge(table, lengths["smoke"] or {})
    if short:
        require(lengths["short"] is not None, f"recipe {path.stem} has no [short] length; give --set train.epochs=...")
        table = _merge(table, lengths["short"])
    everywhere: Table = {}
    for keys, value in changes:
        if keys[0] == "stages":
            if len(keys) < 3 or keys[1] not in table.get("stages", {}):
                listed = ", ".join(table.get("stages", {})) or "none"
                raise UsageError(f"--set {'.'.join(keys)}: {path.stem} has no such stage; its stages are {listed}")
            table = _merge(table, _nest(keys, value))
        else:
            everywhere = _merge(everywhere, _nest(keys, value))
    try:
        return _build(path.stem, table, everywhere)
    except UsageError as error:
        raise UsageError(f"recipe {path.stem}: {error}") from error
    except (TypeError, AttributeError) as error:
        raise UsageError(f"recipe {path.stem}: a value has the wrong type ({error})") from error


def _find(recipe: str | Path) -> Path:
    path = Path(recipe)
    if path.suffix == ".toml":
        if not path.is_file():
            raise UsageError(f"{path}: no such recipe file")
        return path
    bundled = RECIPES / f"{recipe}.toml"
    if not bundled.is_file():
        raise UsageError(
            f"unknown recipe {str(recipe)!r}; known are {', '.join(recipe_names())}, or the path of a .toml file"
        )
    return bundled


def _read(path: Path, *, seen: tuple[Path, ...]) -> Table:
    """A recipe's table laid over the one that it extends."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot read the recipe ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not valid TOML ({error})") from error
    parent = table.pop("extends", None)
    if parent is None:
        return table
    resolved = path.resolve()
    if resolved in seen:
        raise UsageError(f"{path}: extends itself")
    beside = path.parent / f"{parent}.toml"
    return _merge(_read(beside if beside.is_file() else _find(parent), seen=(*seen, resolved)), table)


def _merge(base: Table, over: Table) -> Table:
    """Lay one table over another, key by key; another loss keeps only the weight, another model nothing."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        if not (isinstance(old, dict) and isinstance(value, dict)) or (key == "model" and _renames(old, value)):
            merged[key] = value
        elif "loss" in value and value["loss"] != old.get("loss", key):
            kept = {"weight": old["weight"]} if "weight" in old else {}
            merged[key] = {**kept, **value}
        else:
            merged[key] = _merge(old, value)
    return merged


def _renames(old: Table, new: Table) -> bool:
    return "name" in new and new["name"] != old.get("name")


def _parse_override(text: str) -> tuple[tuple[str, ...], Any]:
    key, equals, literal = text.partition("=")
    keys = tuple(part.strip() for part in key.split("."))
    if not equals or not all(keys):
        raise UsageError(f"--set takes key=value, as in train.epochs=5, not {text!r}")
    try:
        value = tomllib.loads(f"value = {literal}")["value"]
    except tomllib.TOMLDecodeError:
        value = literal.strip()
    return keys, value


def _nest(keys: tuple[str, ...], value: Any) -> Table:
    for key in reversed(keys):
        value = {key: value}
    nested: Table = value
    return nested


def _build(name: str, table: Table, everywhere: Table) -> Recipe:
    """Check a merged table and turn it into dataclasses."""
    table = _merge(table, everywhere)
    _require_known("recipe", table, (*_STAGE_KEYS, "title", "paper", "model", "stages"))
    model = dict(table.get("model", {}))
    require("name" in model, "[model] needs a name")
    stage_tables = table.pop("stages", None)
    shared: Table = {key: table[key] for key in _STAGE_KEYS if key in table}
    # What holds everywhere is laid over each stage again, since a stage's own table lies over the shared one.
    here: Table = {key: everywhere[key] for key in _STAGE_KEYS if key in everywhere}
    merged = {label: _merge(_merge(shared, over), here) for label, over in (stage_tables or {"main": {}}).items()}
    stages = tuple(_build_stage(label, merged[label]) for label in merged)
    resolved = {**table, **({"stages": merged} if stage_tables else {})}
    config = {key: value for key, value in model.items() if key != "name"}
    return Recipe(name, model["name"], config, stages, table.get("title", ""), table.get("paper", ""), resolved)


def _build_stage(name: str, table: Table) -> Stage:
    _require_known(f"stages.{name}", table, _STAGE_KEYS)
    require(bool(table.get("losses")), "[losses] names no loss")
    train = dict(table.get("train", {}))
    optimizers = {
        label: _settings(OptimizerSettings, f"train.optimizers.{label}", item)
        for label, item in train.pop("optimizers", {"all": {}}).items()
    }
    schedule = _settings(ScheduleSettings, "train.schedule", train.pop("schedule", {}))
    return Stage(
        name=name,
        losses=table["losses"],
        augmentation=_settings(Augmentation, "augmentation", table.get("augmentation", {})),
        train=_settings(TrainSettings, "train", {**train, "optimizers": optimizers, "schedule": schedule}),
        network=dict(table.get("network", {})),
        freeze=tuple(table.get("freeze", ())),
        teacher=_teacher(table.get("teacher")),
    )


def _teacher(table: Table | None) -> TeacherSettings | None:
    if table is None:
        return None
    require("model" in table, "[teacher] needs a model")
    return _settings(TeacherSettings, "teacher", table)


def _settings(kind: type[Settings], where: str, table: Table) -> Settings:
    _require_known(where, table, tuple(item.name for item in fields(kind)))  # type: ignore[arg-type]  # all dataclasses
    return kind(**table)


def _require_known(where: str, table: Table, known: tuple[str, ...]) -> None:
    unknown = [key for key in table if key not in known]
    require(not unknown, f"[{where}] has no {', '.join(unknown)}; it takes {', '.join(known)}")
