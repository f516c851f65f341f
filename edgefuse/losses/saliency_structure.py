"""Saliency structure: what RPFNet's auxiliary decoder must show of the sources' difference (RPFNet Eq. 5-7)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from edgefuse.errors import UsageError
from edgefuse.kernels.gradient_loss import gradient_loss, sobel
from edgefuse.losses._boundary import check_images, in_full_precision
from edgefuse.losses._protocol import Loss

__all__ = ["SaliencyStructureLoss", "saliency_structure"]


@in_full_precision
def saliency_structure(
    fused: Tensor, ir: Tensor, vis: Tensor, *, residual_map: Tensor, texture_weight: float = 0.3
) -> Tensor:
    """Ask the residual map for the infrared's edges, and for response on texture and on heat.

    ``mean (|∇M'| - |∇ir|)² - λ1 mean (M' m)² - mean (M' T)²`` with the Sobel magnitude for ∇ and for the texture
    measure s that Eq. 6 leaves open, m where s(vis) is above its mean, T where the infrared is above its mean by more
    than its standard deviation; all statistics are those of one picture. The fused picture takes no part. The loss has
    no lower bound of its own: it rests on M' being in [0, 1].

    Args:
        fused: The fused luminance, in [0, 1].  # [B, 1, H, W]
        ir: The infrared image.  # [B, 1, H, W]
        vis: The visible luminance.  # [B, 1, H, W]
        residual_map: M', the auxiliary decoder's output, in [0, 1].  # [B, 1, H, W]
        texture_weight: λ1 of Eq. 6.

    Returns:
        The sum of Eq. 5, at least ``-1 - texture_weight``.  # []

    Raises:
        InputError: The pictures differ in shape or are no (B, 1, H, W) tensors.
        UsageError: The weight is negative or not finite.
    """
    check_images(fused=fused, ir=ir, vis=vis, residual_map=residual_map)
    _check_weight(texture_weight)
    edges = gradient_loss(residual_map, ir, ir, magnitude=1.0, magnitude_norm="l2")
    texture, heat = _texture_mask(vis), _heat_mask(ir)
    return edges - texture_weight * (residual_map * texture).square().mean() - (residual_map * heat).square().mean()


class SaliencyStructureLoss(Loss):
    """``saliency_structure`` as a module; it needs ``residual_map`` from the model."""

    needs = ("residual_map",)

    def __init__(self, *, texture_weight: float = 0.3) -> None:
        _check_weight(texture_weight)
        super().__init__(saliency_structure, texture_weight=texture_weight)


def _check_weight(texture_weight: float) -> None:
    """Refuse a weight that makes no loss."""
    if not (math.isfinite(texture_weight) and texture_weight >= 0):
        raise UsageError(f"texture_weight must be finite and at least 0, got {texture_weight!r}")


@torch.no_grad()
def _texture_mask(vis: Tensor) -> Tensor:
    """1 where the visible image's Sobel magnitude is above its mean, m of Eq. 6."""
    magnitude = sobel(vis).magnitude
    return (magnitude > magnitude.mean(dim=(1, 2, 3), keepdim=True)).to(vis.dtype)


@torch.no_grad()
def _heat_mask(ir: Tensor) -> Tensor:
    """1 where the infrared exceeds its mean by more than its standard deviation, T of Eq. 7."""
    deviation, mean = torch.std_mean(ir, dim=(1, 2, 3), correction=0, keepdim=True)
    return (ir > mean + deviation).to(ir.dtype)
