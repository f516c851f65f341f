"""Distillation: as the picture of a larger network, the teacher (Hinton et al. 2015, for pictures)."""

from __future__ import annotations

from torch import Tensor

from edgefuse.losses._boundary import check_images, in_full_precision
from edgefuse.losses._protocol import Loss

__all__ = ["DistillationLoss", "distillation"]


@in_full_precision
def distillation(fused: Tensor, ir: Tensor, vis: Tensor, *, teacher: Tensor) -> Tensor:
    """Return the mean absolute difference to what a teacher makes of the same pair.

    Args:
        fused: The fused luminance, in [0, 1].  # [B, 1, H, W]
        ir: The infrared image; takes no part.  # [B, 1, H, W]
        vis: The visible luminance; takes no part.  # [B, 1, H, W]
        teacher: The teacher's fused luminance, in [0, 1]; no gradient flows into it.  # [B, 1, H, W]

    Returns:
        ``mean |fused - teacher|``.  # []

    Raises:
        InputError: The pictures differ in shape or are no (B, 1, H, W) tensors.

    Example:
        >>> import torch
        >>> dark, bright = torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4)
        >>> float(distillation(dark, dark, dark, teacher=bright))
        1.0
    """
    check_images(fused=fused, ir=ir, vis=vis, teacher=teacher)
    return (fused - teacher.detach()).abs().mean()


class DistillationLoss(Loss):
    """``distillation`` as a module; it needs ``teacher``, which the recipe's table of that name gives."""

    needs = ("teacher",)

    def __init__(self) -> None:
        super().__init__(distillation)
