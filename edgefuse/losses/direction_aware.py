"""Direction-aware multi-scale gradient loss (Yang et al. 2025, arXiv 2510.13067)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from edgefuse.errors import UsageError
from edgefuse.kernels.gradient_loss import gradient_loss
from edgefuse.losses._protocol import Loss

__all__ = ["DirectionAwareLoss", "direction_aware"]


def direction_aware(
    fused: Tensor, ir: Tensor, vis: Tensor, *, scale_weights: Sequence[float] = (1.0, 1.0, 1.0)
) -> Tensor:
    """Hold each axis of the fused gradient against the stronger source gradient of that axis, sign included.

    At scale s the three images are average-pooled 2×2 s times. The target of each axis is the source gradient whose
    absolute value on that axis is larger, the visible one's where they are equal. A magnitude loses the sign of an
    edge, and with it which side is the bright one; this target keeps it.

    Args:
        fused: The fused luminance, in [0, 1].  # [B, 1, H, W]
        ir: The infrared image.  # [B, 1, H, W]
        vis: The visible luminance.  # [B, 1, H, W]
        scale_weights: The weight of each scale, the finest first; their number is the number of scales.

    Returns:
        The sum over scales of weight × mean absolute difference over pixels and both axes.  # []

    Raises:
        InputError: The pictures differ in shape, or are too small for so many scales.
        UsageError: The weights are empty, negative or not finite.

    Example:
        >>> import torch
        >>> ir, vis = torch.rand(1, 1, 8, 8), torch.zeros(1, 1, 8, 8)
        >>> float(direction_aware(ir, ir, vis))
        0.0
    """
    _check_weights(scale_weights)
    return gradient_loss(fused, ir, vis, direction=1.0, scales=tuple(scale_weights))


class DirectionAwareLoss(Loss):
    """``direction_aware`` as a module."""

    def __init__(self, *, scale_weights: Sequence[float] = (1.0, 1.0, 1.0)) -> None:
        _check_weights(scale_weights)
        super().__init__(direction_aware, scale_weights=tuple(scale_weights))


def _check_weights(scale_weights: Sequence[float]) -> None:
    """Refuse weights that make no loss."""
    if not all(math.isfinite(weight) and weight >= 0 for weight in scale_weights) or not any(scale_weights):
        raise UsageError(f"scale_weights must be finite, at least 0 and not all 0, got {scale_weights!r}")
