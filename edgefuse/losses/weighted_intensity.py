"""Weighted intensity: a fixed mixture of the sources, in the l1 or l2 norm (AngularFuse Eq. 1)."""

from __future__ import annotations

import math
from typing import Literal, get_args

from torch import Tensor

from edgefuse.errors import UsageError
from edgefuse.losses._boundary import check_images, in_full_precision
from edgefuse.losses._protocol import Loss

__all__ = ["Norm", "WeightedIntensityLoss", "weighted_intensity"]

Norm = Literal["l1", "l2"]


@in_full_precision
def weighted_intensity(
    fused: Tensor, ir: Tensor, vis: Tensor, *, ir_weight: float = 0.5, vis_weight: float = 0.5, norm: Norm = "l1"
) -> Tensor:
    """Hold the fused picture against a fixed mixture of the sources.

    Args:
        fused: The fused luminance, in [0, 1].  # [B, 1, H, W]
        ir: The infrared image.  # [B, 1, H, W]
        vis: The visible luminance.  # [B, 1, H, W]
        ir_weight: Share of the infrared, w1.
        vis_weight: Share of the visible, w2; 1 with ``ir_weight=0`` holds the picture to the visible alone.
        norm: ``"l1"``, the mean absolute difference, or ``"l2"``, the mean squared difference.

    Returns:
        The norm of ``fused - (ir_weight ir + vis_weight vis)``, averaged over pixels.  # []

    Raises:
        InputError: The pictures differ in shape or are no (B, 1, H, W) tensors.
        UsageError: A weight is not finite, or the norm is unknown.
    """
    check_images(fused=fused, ir=ir, vis=vis)
    _check_options(ir_weight, vis_weight, norm)
    difference = fused - (ir_weight * ir + vis_weight * vis)
    return difference.abs().mean() if norm == "l1" else difference.square().mean()


class WeightedIntensityLoss(Loss):
    """``weighted_intensity`` as a module."""

    def __init__(self, *, ir_weight: float = 0.5, vis_weight: float = 0.5, norm: Norm = "l1") -> None:
        _check_options(ir_weight, vis_weight, norm)
        super().__init__(weighted_intensity, ir_weight=ir_weight, vis_weight=vis_weight, norm=norm)


def _check_options(ir_weight: float, vis_weight: float, norm: str) -> None:
    """Refuse weights that are no numbers and norms that do not exist."""
    if not (math.isfinite(ir_weight) and math.isfinite(vis_weight)):
        raise UsageError(f"ir_weight and vis_weight must be finite, got {ir_weight!r} and {vis_weight!r}")
    if norm not in get_args(Norm):
        raise UsageError(f"norm must be one of {', '.join(get_args(Norm))}, got {norm!r}")
