"""Optimisers of a stage, and learning rates as a function of the step alone, so that a resumed run has the same."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

import torch
from torch import nn

from edgefuse.errors import UsageError
from edgefuse.train.settings import OptimizerSettings, ScheduleSettings

__all__ = ["build_optimizers", "freeze_parameters", "learning_rate"]


def learning_rate(initial: float, schedule: ScheduleSettings, *, step: int, steps_per_epoch: int, epochs: int) -> float:
    """The learning rate of a step.

    Args:
        initial: Rate that the schedule starts from.
        schedule: How it falls.
        step: Steps done so far in this stage.
        steps_per_epoch: Steps of an epoch.
        epochs: Epochs of the stage.

    Returns:
        The rate of the coming step.
    """
    done = step / steps_per_epoch if schedule.per == "step" else float(step // steps_per_epoch)
    rate = initial
    if schedule.name == "cosine":
        rate = schedule.min_lr + (initial - schedule.min_lr) * (1 + math.cos(math.pi * min(done / epochs, 1.0))) / 2
    elif schedule.name == "step":
        changes = max(0, math.floor((done - schedule.start) / schedule.every))
        rate = initial * schedule.factor**changes
    return rate * min(1.0, (step + 1) / schedule.warmup_steps) if schedule.warmup_steps else rate


def freeze_parameters(network: nn.Module, patterns: Sequence[str]) -> None:
    """Leave out of training the parameters whose names match a pattern, and train all others.

    Args:
        network: The network; ``requires_grad`` of all its parameters is set.
        patterns: Patterns in which ``*`` matches anything.

    Raises:
        UsageError: A pattern matches no parameter, or all of them are frozen.
    """
    named = dict(network.named_parameters())
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in named):
            raise UsageError(f"freeze pattern {pattern!r} matches no parameter of {type(network).__name__}")
    for name, parameter in named.items():
        parameter.requires_grad_(not any(fnmatchcase(name, pattern) for pattern in patterns))
    if not any(parameter.requires_grad for parameter in named.values()):
        raise UsageError(f"every parameter of {type(network).__name__} is frozen; nothing is left to train")


def build_optimizers(network: nn.Module, settings: Mapping[str, OptimizerSettings]) -> dict[str, torch.optim.Optimizer]:
    """Give each trainable parameter to one optimiser.

    Args:
        network: The network, frozen parameters marked by ``requires_grad``.
        settings: Optimisers by label.

    Returns:
        The optimisers by label, in the order of ``settings``.

    Raises:
        UsageError: A pattern matches nothing, or a parameter has no optimiser.
    """
    trainable = {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}
    claimed: dict[str, list[nn.Parameter]] = {label: [] for label in settings}
    rest = next((label for label, item in settings.items() if not item.parameters), None)
    for name, parameter in trainable.items():
        label = next((label for label, item in settings.items() if _matches(name, item.parameters)), rest)
        if label is None:
            raise UsageError(
                f"no optimiser trains {name}; leave one of {', '.join(settings)} without parameter patterns"
            )
        claimed[label].append(parameter)
    empty = [label for label, parameters in claimed.items() if not parameters]
    if empty:
        raise UsageError(f"optimiser {', '.join(empty)} has no parameter of {type(network).__name__} to train")
    return {label: _build(item, claimed[label]) for label, item in settings.items()}


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _build(settings: OptimizerSettings, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    if settings.name == "sgd":
        return torch.optim.SGD(
            parameters, lr=settings.lr, momentum=settings.betas[0], weight_decay=settings.weight_decay
        )
    kind = torch.optim.Adam if settings.name == "adam" else torch.optim.AdamW
    return kind(parameters, lr=settings.lr, betas=settings.betas, eps=settings.eps, weight_decay=settings.weight_decay)
