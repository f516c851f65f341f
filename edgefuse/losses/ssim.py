"""Structural similarity to both sources (SSPFusion Eq. 12, RPFNet Eq. 13; Wang et al. 2004)."""

from __future__ import annotations

import math

from torch import Tensor

from edgefuse.errors import UsageError
from edgefuse.kernels.ssim import ssim as mean_ssim
from edgefuse.losses._boundary import check_images
from edgefuse.losses._protocol import Loss

__all__ = ["SSIMLoss", "ssim"]


def ssim(fused: Tensor, ir: Tensor, vis: Tensor, *, ir_weight: float = 0.5, vis_weight: float = 0.5) -> Tensor:
    """Return what the fused picture lacks in structural similarity to each source.

    With the default weights this is SSPFusion's Eq. 12, ``1 - (SSIM(F, ir) + SSIM(F, vis)) / 2``. RPFNet's Eq. 13
    prints ``SSIM(F, ir) + SSIM(F, vis)``, which a minimiser would drive down; read as the sum of ``1 - SSIM`` it is
    this loss with both weights at 1. The window is Wang et al.'s 11×11 Gaussian of σ 1.5, completed by zeros at the
    border, so that pictures of any size have a value. Arithmetic is float32 (float64 where given) whatever surrounds
    it.

    Args:
        fused: The fused luminance, in [0, 1].  # [B, 1, H, W]
        ir: The infrared image.  # [B, 1, H, W]
        vis: The visible luminance.  # [B, 1, H, W]
        ir_weight: Weight of ``1 - SSIM(fused, ir)``.
        vis_weight: Weight of ``1 - SSIM(fused, vis)``.

    Returns:
        The weighted sum; 0 when the fused picture equals both sources.  # []

    Raises:
        InputError: The pictures differ in shape or are no (B, 1, H, W) tensors.
        UsageError: A weight is negative or not finite.
    """
    check_images(fused=fused, ir=ir, vis=vis)
    _check_weights(ir_weight, vis_weight)
    return ir_weight * (1 - mean_ssim(fused, ir)) + vis_weight * (1 - mean_ssim(fused, vis))


class SSIMLoss(Loss):
    """``ssim`` as a module."""

    def __init__(self, *, ir_weight: float = 0.5, vis_weight: float = 0.5) -> None:
        _check_weights(ir_weight, vis_weight)
        super().__init__(ssim, ir_weight=ir_weight, vis_weight=vis_weight)


def _check_weights(ir_weight: float, vis_weight: float) -> None:
    """Refuse weights that make no loss."""
    if not all(math.isfinite(weight) and weight >= 0 for weight in (ir_weight, vis_weight)):
        raise UsageError(f"ir_weight and vis_weight must be at least 0, got {ir_weight!r} and {vis_weight!r}")
