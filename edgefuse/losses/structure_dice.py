"""Structure dice: predicted structure maps against self-supervised ones (SSPFusion Eq. 3-4)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from edgefuse.errors import UsageError
from edgefuse.losses._boundary import check_images, in_full_precision
from edgefuse.losses._protocol import Loss
from edgefuse.losses._structure import check_maps

__all__ = ["StructureDiceLoss", "structure_dice"]


@in_full_precision
def structure_dice(
    fused: Tensor,
    ir: Tensor,
    vis: Tensor,
    *,
    structure_maps: Sequence[Tensor],
    structure_targets: Sequence[Tensor],
    smoothing: float = 1.0,
) -> Tensor:
    """Return how far the predicted structure maps are from overlapping their targets.

    ``Σ (Σ p² + Σ g² + 2s) / (2 Σ p g + 2s)`` over the maps: Eq. 4's inverted dice coefficient, as in Deng et al. 2018,
    each channel of each picture a map of its own, and with the smoothing s, without which two maps that do not
    overlap would have no finite distance. Equal maps give 1 each. The fused picture takes no part.

    Args:
        fused: The fused luminance, in [0, 1].  # [B, 1, H, W]
        ir: The infrared image.  # [B, 1, H, W]
        vis: The visible luminance.  # [B, 1, H, W]
        structure_maps: S, the predicted maps of every scale and source, in [0, 1].  # each [B, C, h, w]
        structure_targets: S^gt in the same order; no gradient flows into them.
        smoothing: s in pixels; 0 is Eq. 4 to the letter.

    Returns:
        The sum over maps of the mean over channels and pictures; at least the number of maps.  # []

    Raises:
        InputError: The pictures, or a map and its target, differ in shape.
        UsageError: The smoothing is negative or not finite.
    """
    check_images(fused=fused, ir=ir, vis=vis)
    check_maps(structure_maps, structure_targets)
    _check_smoothing(smoothing)
    total = fused.new_zeros(())
    for predicted, target in zip(structure_maps, structure_targets, strict=True):
        p, g = predicted.flatten(2), target.detach().flatten(2)  # [B, C, h*w]
        overlap = 2 * ((p * g).sum(2) + smoothing)  # [B, C]
        total = total + ((p.square().sum(2) + g.square().sum(2) + 2 * smoothing) / overlap).mean()
    return total


class StructureDiceLoss(Loss):
    """``structure_dice`` as a module; it needs ``structure_maps`` and ``structure_targets`` from the model."""

    needs = ("structure_maps", "structure_targets")

    def __init__(self, *, smoothing: float = 1.0) -> None:
        _check_smoothing(smoothing)
        super().__init__(structure_dice, smoothing=smoothing)


def _check_smoothing(smoothing: float) -> None:
    """Refuse a smoothing that is none."""
    if not (math.isfinite(smoothing) and smoothing >= 0):
        raise UsageError(f"smoothing must be finite and at least 0, got {smoothing!r}")
