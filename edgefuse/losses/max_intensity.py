"""Maximum intensity: the brighter source, pixel by pixel (DFECF Eq. 23, SSPFusion Eq. 13, AngularFuse Eq. 4)."""

from __future__ import annotations

import torch
from torch import Tensor

from edgefuse.losses._boundary import check_images, in_full_precision
from edgefuse.losses._protocol import Loss

__all__ = ["MaxIntensityLoss", "max_intensity"]


@in_full_precision
def max_intensity(fused: Tensor, ir: Tensor, vis: Tensor) -> Tensor:
    """Return the mean absolute difference to the pixel-wise maximum of the sources.

    Args:
        fused: The fused luminance, in [0, 1].  # [B, 1, H, W]
        ir: The infrared image.  # [B, 1, H, W]
        vis: The visible luminance.  # [B, 1, H, W]

    Returns:
        ``mean |fused - max(ir, vis)|``.  # []

    Raises:
        InputError: The pictures differ in shape or are no (B, 1, H, W) tensors.

    Example:
        >>> import torch
        >>> dark, bright = torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4)
        >>> float(max_intensity(dark, dark, bright))
        1.0
    """
    check_images(fused=fused, ir=ir, vis=vis)
    return (fused - torch.maximum(ir, vis)).abs().mean()


class MaxIntensityLoss(Loss):
    """``max_intensity`` as a module."""

    def __init__(self) -> None:
        super().__init__(max_intensity)
