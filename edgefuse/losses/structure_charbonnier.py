"""Structure reconstruction: a Charbonnier distance of structure maps (SSPFusion Eq. 10)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from edgefuse.errors import UsageError
from edgefuse.losses._boundary import check_images, in_full_precision
from edgefuse.losses._protocol import Loss
from edgefuse.losses._structure import check_maps

__all__ = ["StructureCharbonnierLoss", "structure_charbonnier"]


@in_full_precision
def structure_charbonnier(
    fused: Tensor,
    ir: Tensor,
    vis: Tensor,
    *,
    structure_maps: Sequence[Tensor],
    structure_targets: Sequence[Tensor],
    epsilon: float = 1e-3,
) -> Tensor:
    """Return the Charbonnier distance between the predicted structure maps and their targets.

    ``Σ mean √((p - g)² + ε²)`` over the maps. Eq. 10 prints the norm of a whole map under the root; the loss that it
    cites (Lai et al. 2019) takes the root pixel by pixel, and so does this. The fused picture takes no part.

    Args:
        fused: The fused luminance, in [0, 1].  # [B, 1, H, W]
        ir: The infrared image.  # [B, 1, H, W]
        vis: The visible luminance.  # [B, 1, H, W]
        structure_maps: S, the predicted maps of every scale and source, in [0, 1].  # each [B, C, h, w]
        structure_targets: S^gt in the same order; no gradient flows into them.
        epsilon: ε, the distance below which the loss turns from linear to quadratic.

    Returns:
        The sum over maps of the mean over their pixels; at least ε times the number of maps.  # []

    Raises:
        InputError: The pictures, or a map and its target, differ in shape.
        UsageError: ε is not positive.
    """
    check_images(fused=fused, ir=ir, vis=vis)
    check_maps(structure_maps, structure_targets)
    _check_epsilon(epsilon)
    total = fused.new_zeros(())
    for predicted, target in zip(structure_maps, structure_targets, strict=True):
        total = total + torch.sqrt((predicted - target.detach()).square() + epsilon**2).mean()
    return total


class StructureCharbonnierLoss(Loss):
    """``structure_charbonnier`` as a module; it needs ``structure_maps`` and ``structure_targets`` from the model."""

    needs = ("structure_maps", "structure_targets")

    def __init__(self, *, epsilon: float = 1e-3) -> None:
        _check_epsilon(epsilon)
        super().__init__(structure_charbonnier, epsilon=epsilon)


def _check_epsilon(epsilon: float) -> None:
    """Refuse an ε that leaves a root without a derivative."""
    if not (math.isfinite(epsilon) and epsilon > 0):
        raise UsageError(f"epsilon must be finite and above 0, got {epsilon!r}")
