"""Losses by name, for recipes."""

from __future__ import annotations

import inspect
from typing import Any

from edgefuse.errors import UsageError
from edgefuse.foreign import import_foreign
from edgefuse.losses._protocol import Loss
from edgefuse.losses.angle_gradient import AngleGradientLoss
from edgefuse.losses.direction_aware import DirectionAwareLoss
from edgefuse.losses.distillation import DistillationLoss
from edgefuse.losses.frequency_contrastive import FrequencyContrastiveLoss
from edgefuse.losses.max_gradient import MaxGradientLoss
from edgefuse.losses.max_intensity import MaxIntensityLoss
from edgefuse.losses.saliency_structure import SaliencyStructureLoss
from edgefuse.losses.ssim import SSIMLoss
from edgefuse.losses.structure_charbonnier import StructureCharbonnierLoss
from edgefuse.losses.structure_dice import StructureDiceLoss
from edgefuse.losses.synthesised_reference import SynthesisedReferenceLoss
from edgefuse.losses.target_contrast import TargetContrastLoss
from edgefuse.losses.variance_guided import VarianceGuidedLoss
from edgefuse.losses.weighted_intensity import WeightedIntensityLoss

__all__ = ["create", "names"]

_LOSSES: dict[str, type[Loss]] = {
    "angle_gradient": AngleGradientLoss,
    "direction_aware": DirectionAwareLoss,
    "distillation": DistillationLoss,
    "frequency_contrastive": FrequencyContrastiveLoss,
    "max_gradient": MaxGradientLoss,
    "max_intensity": MaxIntensityLoss,
    "saliency_structure": SaliencyStructureLoss,
    "ssim": SSIMLoss,
    "structure_charbonnier": StructureCharbonnierLoss,
    "structure_dice": StructureDiceLoss,
    "synthesised_reference": SynthesisedReferenceLoss,
    "target_contrast": TargetContrastLoss,
    "variance_guided": VarianceGuidedLoss,
    "weighted_intensity": WeightedIntensityLoss,
}


def names() -> tuple[str, ...]:
    """List the losses that ``create`` knows.

    Returns:
        The names, sorted.

    Example:
        >>> "ssim" in names()
        True
    """
    return tuple(sorted(_LOSSES))


def create(name: str, **config: Any) -> Loss:
    """Build a loss with its options bound.

    Args:
        name: A name from ``names()``; a function of the same name, with the same options, is in ``edgefuse.losses``.
            Or ``package.module:Class``, a subclass of ``Loss`` of your own.
        **config: Options of the loss, as its function documents them.

    Returns:
        The loss; ``forward(fused, ir, vis, context)`` gives a scalar.

    Raises:
        UsageError: The name, an option or its value is unknown; the message lists what is allowed.

    Example:
        >>> loss = create("direction_aware", scale_weights=(1.0, 0.5))
    """
    loss = _own_loss(name) if ":" in name else _LOSSES.get(name)
    if loss is None:
        raise UsageError(f"unknown loss {name!r}; known are {', '.join(names())}, or package.module:Class for your own")
    options = inspect.signature(loss).parameters.values()
    unknown = [key for key in config if key not in {option.name for option in options}]
    if unknown:
        listed = ", ".join(f"{option.name}={option.default!r}" for option in options) or "none"
        raise UsageError(f"the loss {name} has no option {', '.join(unknown)}; its options are {listed}")
    try:
        return loss(**config)
    except (TypeError, ValueError) as error:
        raise UsageError(f"the loss {name} cannot take {config!r}: {error}") from error


def _own_loss(name: str) -> type[Loss]:
    loss = import_foreign(name, kind="loss")
    if not (isinstance(loss, type) and issubclass(loss, Loss)):
        raise UsageError(f"loss {name!r}: it is no subclass of edgefuse.losses.Loss")
    return loss
