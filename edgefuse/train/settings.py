"""What a recipe can set, as checked dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from edgefuse.data import Augmentation
from edgefuse.errors import UsageError

__all__ = [
    "OptimizerSettings",
    "Recipe",
    "ScheduleSettings",
    "Stage",
    "Table",
    "TeacherSettings",
    "TrainPrecision",
    "TrainSettings",
    "require",
]

OptimizerName = Literal["adam", "adamw", "sgd"]
ScheduleName = Literal["constant", "cosine", "step"]
TrainPrecision = Literal["fp32", "bf16", "fp16"]

Table = dict[str, Any]


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
        require(self.lr > 0, f"optimizer lr must be positive, not {self.lr}")
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
        require(self.every >= 1, f"schedule every must be at least 1 epoch, not {self.every}")


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
            require(
                isinstance(value, int) and value >= 1, f"train.{name} must be a whole number of at least 1: {value}"
            )
        require(isinstance(self.seed, int) and self.seed >= 0, f"train.seed must be a whole number: {self.seed}")
        _require_choice("train.precision", self.precision, get_args(TrainPrecision))
        unbound = [label for label, settings in self.optimizers.items() if not settings.parameters]
        require(
            len(unbound) <= 1,
            f"train.optimizers {', '.join(unbound)} all train the remaining parameters; give patterns to all but one",
        )


@dataclass(frozen=True)
class TeacherSettings:
    """A trained network whose pictures the loss ``distillation`` holds the fused one against.

    Attributes:
        model: A model's name, or ``package.module:Class``.
        weights: Its weights; those of the name that are on this machine where none are given.
    """

    model: str
    weights: str | None = None

    def __post_init__(self) -> None:
        for name in ("model", "weights"):
            value = getattr(self, name)
            require(isinstance(value, str) or (value is None and name == "weights"), f"teacher.{name} must be a string")


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
        teacher: Whose pictures a term of the losses needs, if one does.
    """

    name: str
    losses: Mapping[str, Table]
    augmentation: Augmentation
    train: TrainSettings
    network: Mapping[str, Any] = field(default_factory=dict)
    freeze: tuple[str, ...] = ()
    teacher: TeacherSettings | None = None


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


def require(condition: bool, message: str) -> None:
    """Refuse a setting with a message that says why."""
    if not condition:
        raise UsageError(message)


def _require_choice(what: str, value: str, allowed: tuple[str, ...]) -> None:
    require(value in allowed, f"{what} must be one of {', '.join(allowed)}, not {value!r}")
