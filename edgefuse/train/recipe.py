"""Recipes: a model, its losses, the augmentation and the schedule, as TOML."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from edgefuse.data import Augmentation
from edgefuse.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["OptimizerSettings", "Recipe", "ScheduleSettings", "Stage", "TrainSettings", "load_recipe", "recipe_names"]

RECIPES = Path(__file__).resolve().parent.parent / "recipes"

OptimizerName = Literal["adam", "adamw", "sgd"]
ScheduleName = Literal["constant", "cosine", "step"]
TrainPrecision = Literal["fp32", "bf16", "fp16"]

Table = dict[str, Any]

_STAGE_KEYS = ("network", "losses", "augmentation", "train", "freeze")
Settings = TypeVar("Settings")


@dataclass(frozen=True)
class OptimizerSettings:
    """One optimiser.

    Attributes:
        name: Kind of optimiser.
        lr: Initial learning rate.
        betas: Decay of the two moments of Adam; SGD takes the first as its momentum.
        eps: Adam's guard against division by zero.
        weight_decay: Weight decay.
        parameters: Patterns (``*`` matches anything) of the parameter names that it trains; the one optimiser without
            patterns trains all that no other claims.
    """

    name: OptimizerName = "adam"
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    parameters: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _require_choice("optimizer name", self.name, get_args(OptimizerName))
        _require(self.lr > 0, f"optimizer lr must be positive, not {self.lr}")
        object.__setattr__(self, "betas", tuple(self.betas))
        object.__setattr__(self, "parameters", tuple(self.parameters))


@dataclass(frozen=True)
class ScheduleSettings:
    """How the learning rates fall.

    Attributes:
        name: ``constant``, ``cosine`` down to ``min_lr``, or ``step``.
        per: Whether the rate changes with each epoch, as the papers' code does, or with each step.
        min_lr: What a cosine ends at.
        start: Epochs before a step schedule's first change.
        every: Epochs from one change of a step schedule to the next.
        factor: What a step schedule multiplies the rate by.
        warmup_steps: Steps over which the rate rises from zero.
    """

    name: ScheduleName = "constant"
    per: Literal["epoch", "step"] = "epoch"
    min_lr: float = 0.0
    start: int = 0
    every: int = 1
    factor: float = 0.5
    warmup_steps: int = 0

    def __post_init__(self) -> None:
        _require_choice("schedule name", self.name, get_args(ScheduleName))
        _require_choice("schedule per", self.per, ("epoch", "step"))
        _require(self.every >= 1, f"schedule every must be at least 1 epoch, not {self.every}")


@dataclass(frozen=True)
class TrainSettings:
    """Length, batch and arithmetic of a stage.

    Attributes:
        epochs: Passes over the data.
        batch: Samples of a step, over all processes together.
        crops_per_pair: Samples of each image pair in an epoch.
        seed: Seed of weights, order, crops and augmentation.
        precision: Arithmetic of the network; losses and optimisers stay in fp32.
        clip_norm: Largest norm of the gradient, or 0 for no limit.
        sheet_px: Side of the pictures on the contact sheets; slow networks want it small.
        optimizers: Optimisers by label.
        schedule: How their rates fall.
    """

    epochs: int = 10
    batch: int = 8
    crops_per_pair: int = 1
    seed: int = 0
    precision: TrainPrecision = "fp32"
    clip_norm: float = 0.0
    sheet_px: int = 256
    optimizers: Mapping[str, OptimizerSettings] = field(default_factory=lambda: {"all": OptimizerSettings()})
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "crops_per_pair", "sheet_px"):
            value = getattr(self, name)
            _require(
                isinstance(value, int) and value >= 1, f"train.{name} must be a whole number of at least 1: {value}"
            )
        _require(isinstance(self.seed, int) and self.seed >= 0, f"train.seed must be a whole number: {self.seed}")
        _require_choice("train.precision", self.precision, get_args(TrainPrecision))
        unbound = [label for label, settings in self.optimizers.items() if not settings.parameters]
        _require(
            len(unbound) <= 1,
            f"train.optimizers {', '.join(unbound)} all train the remaining parameters; give patterns to all but one",
        )


@dataclass(frozen=True)
class Stage:
    """One stage of training; most recipes have one.

    Attributes:
        name: Its name.
        network: Attributes of the network that the stage sets, such as SSPFusion's ``training_stage``.
        losses: Terms as `edgefuse.losses.compose` takes them.
        augmentation: How samples are drawn.
        train: Length, batch, optimisers, schedule.
        freeze: Patterns of the parameter names that this stage does not train.
    """

    name: str
    losses: Mapping[str, Table]
    augmentation: Augmentation
    train: TrainSettings
    network: Mapping[str, Any] = field(default_factory=dict)
    freeze: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recipe:
    """A model and the stages that train it.

    Attributes:
        name: Name, the file's stem.
        model: Registered name, or ``package.module:Class``.
        config: Settings of the model.
        stages: What is done, in order.
        title: One line on what it is.
        paper: The paper that it follows, if any.
        resolved: All of it as one table, ``extends`` and overrides applied, for the record.
    """

    name: str
    model: str
    config: Table
    stages: tuple[Stage, ...]
    title: str = ""
    paper: str = ""
    resolved: Table = field(default_factory=dict, repr=False)


def recipe_names() -> tuple[str, ...]:
    """The recipes that ship with EdgeFuse, sorted."""
    return tuple(sorted(path.stem for path in RECIPES.glob("*.toml")))


def load_recipe(recipe: str | Path, *, overrides: Sequence[str] = (), smoke: bool = False) -> Recipe:
    """Read a recipe.

    Args:
        recipe: Name of a recipe that ships, or path of a ``.toml`` file.
        overrides: Assignments such as ``"train.epochs=5"``; they hold in every stage, and ``stages.NAME.`` in front
            limits one to a stage. Values are TOML, and plain words are strings.
        smoke: Apply the recipe's ``smoke`` table: the shortest run that shows it works.

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
    smoke_table = table.pop("smoke", {})
    changes = [_parse_override(text) for text in overrides]
    if smoke:
        table = _merge(table, smoke_table)
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
    _require("name" in model, "[model] needs a name")
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
    _require(bool(table.get("losses")), "[losses] names no loss")
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
    )


def _settings(kind: type[Settings], where: str, table: Table) -> Settings:
    _require_known(where, table, tuple(item.name for item in fields(kind)))  # type: ignore[arg-type]  # all dataclasses
    return kind(**table)


def _require_known(where: str, table: Table, known: tuple[str, ...]) -> None:
    unknown = [key for key in table if key not in known]
    _require(not unknown, f"[{where}] has no {', '.join(unknown)}; it takes {', '.join(known)}")


def _require_choice(what: str, value: str, allowed: tuple[str, ...]) -> None:
    _require(value in allowed, f"{what} must be one of {', '.join(allowed)}, not {value!r}")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise UsageError(message)
