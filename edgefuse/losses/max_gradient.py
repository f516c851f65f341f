"""Maximum gradient: the sharper source, pixel by pixel (DFECF Eq. 22, SSPFusion Eq. 14, AngularFuse Eq. 4)."""

from __future__ import annotations

from torch import Tensor

from edgefuse.kernels.gradient_loss import gradient_loss
from edgefuse.losses._protocol import Loss

__all__ = ["MaxGradientLoss", "max_gradient"]


def max_gradient(fused: Tensor, ir: Tensor, vis: Tensor) -> Tensor:
    """Return the mean absolute difference of Sobel magnitudes to the pixel-wise maximum of the sources'.

    The equations print ``max(∇vis, ∇ir)`` without saying what ∇ of a pixel is; the fusion codes they build on take
    ``|Gx| + |Gy|``, and so does this loss.

    Args:
        fused: The fused luminance, in [0, 1].  # [B, 1, H, W]
        ir: The infrared image.  # [B, 1, H, W]
        vis: The visible luminance.  # [B, 1, H, W]

    Returns:
        ``mean | |∇fused| - max(|∇ir|, |∇vis|) |``.  # []

    Raises:
        InputError: The pictures differ in shape or are no (B, 1, H, W) tensors.

    Example:
        >>> import torch
        >>> vis = torch.rand(1, 1, 8, 8)
        >>> float(max_gradient(vis, torch.zeros_like(vis), vis))
        0.0
    """
    return gradient_loss(fused, ir, vis, max_magnitude=1.0)


class MaxGradientLoss(Loss):
    """``max_gradient`` as a module."""

    def __init__(self) -> None:
        super().__init__(max_gradient)
