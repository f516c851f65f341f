"""Structural similarity to both sources (SSPFusion Eq. 12, RPFNet Eq. 13; Wang et al. 2004)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from edgefuse.errors import UsageError
from edgefuse.losses._boundary import check_images, in_full_precision
from edgefuse.losses._protocol import Loss

__all__ = ["SSIMLoss", "ssim"]

_SIDE, _SIGMA = 11, 1.5  # Wang et al. 2004, section III.B
_C1, _C2 = 0.01**2, 0.03**2  # the same, for a dynamic range of 1

# Up to this side two matrix products blur faster on a CPU than PyTorch's depthwise convolutions (2.5 times at 192×192).
_LARGEST_PRODUCT = 384


@in_full_precision
def ssim(fused: Tensor, ir: Tensor, vis: Tensor, *, ir_weight: float = 0.5, vis_weight: float = 0.5) -> Tensor:
    """Return what the fused picture lacks in structural similarity to each source.

    With the default weights this is SSPFusion's Eq. 12, ``1 - (SSIM(F, ir) + SSIM(F, vis)) / 2``. RPFNet's Eq. 13
    prints ``SSIM(F, ir) + SSIM(F, vis)``, which a minimiser would drive down; read as the sum of ``1 - SSIM`` it is
    this loss with both weights at 1. The window is Wang et al.'s 11×11 Gaussian of σ 1.5, completed by zeros at the
    border, so that pictures of any size have a value.

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
    return ir_weight * (1 - _mean_ssim(fused, ir)) + vis_weight * (1 - _mean_ssim(fused, vis))


class SSIMLoss(Loss):
    """``ssim`` as a module."""

    def __init__(self, *, ir_weight: float = 0.5, vis_weight: float = 0.5) -> None:
        _check_weights(ir_weight, vis_weight)
        super().__init__(ssim, ir_weight=ir_weight, vis_weight=vis_weight)


def _check_weights(ir_weight: float, vis_weight: float) -> None:
    """Refuse weights that make no loss."""
    if not all(math.isfinite(weight) and weight >= 0 for weight in (ir_weight, vis_weight)):
        raise UsageError(f"ir_weight and vis_weight must be at least 0, got {ir_weight!r} and {vis_weight!r}")


def _mean_ssim(first: Tensor, second: Tensor) -> Tensor:
    """Mean SSIM of two pictures."""
    local = _blur(torch.cat([first, second, first * first, second * second, first * second], dim=1))  # [B, 5, H, W]
    mean_1, mean_2, square_1, square_2, product = local.unbind(1)
    variance_1, variance_2 = square_1 - mean_1 * mean_1, square_2 - mean_2 * mean_2
    covariance = product - mean_1 * mean_2
    luminance = (2 * mean_1 * mean_2 + _C1) / (mean_1 * mean_1 + mean_2 * mean_2 + _C1)
    structure = (2 * covariance + _C2) / (variance_1 + variance_2 + _C2)
    return (luminance * structure).mean()


def _blur(planes: Tensor) -> Tensor:
    """Blur each plane with the separable Gaussian window."""
    if planes.device.type == "cpu" and max(planes.shape[-2:]) <= _LARGEST_PRODUCT:
        # As 1x1 convolutions, since autocast around the backward pass would round the gradients of a matrix product.
        flat = planes.flatten(0, 1)
        rows = functional.conv1d(flat, _band(flat.shape[1], planes))
        return functional.conv1d(rows.mT, _band(flat.shape[2], planes)).mT.reshape(planes.shape)
    window = _window(planes).expand(planes.shape[1], 1, 1, _SIDE)
    rows = functional.conv2d(planes, window, padding=(0, _SIDE // 2), groups=planes.shape[1])
    return functional.conv2d(rows, window.mT, padding=(_SIDE // 2, 0), groups=planes.shape[1])


def _window(like: Tensor) -> Tensor:
    distance = torch.arange(_SIDE, dtype=like.dtype, device=like.device) - _SIDE // 2
    window = torch.exp(-0.5 * (distance / _SIGMA).square())
    return window / window.sum()


def _band(length: int, like: Tensor) -> Tensor:
    """The window as a symmetric matrix: multiplying by it blurs along one axis.  # [length, length, 1]"""
    window, matrix = _window(like), like.new_zeros(length, length)
    for offset in range(-(_SIDE // 2), _SIDE // 2 + 1):
        if abs(offset) < length:
            matrix.diagonal(offset).fill_(window[offset + _SIDE // 2])
    return matrix[:, :, None]
