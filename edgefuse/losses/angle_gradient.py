"""Angle-aware gradient loss: length and direction of the stronger source gradient (AngularFuse Eq. 9-18)."""

from __future__ import annotations

import math
from typing import get_args

from torch import Tensor

from edgefuse.errors import UsageError
from edgefuse.kernels.gradient_loss import MagnitudeNorm, gradient_loss
from edgefuse.losses._protocol import Loss

__all__ = ["AngleGradientLoss", "angle_gradient"]


def angle_gradient(
    fused: Tensor,
    ir: Tensor,
    vis: Tensor,
    *,
    magnitude_weight: float = 5.0,
    angle_weight: float = 1.0,
    norm: MagnitudeNorm = "l2",
) -> Tensor:
    """Hold the fused gradient against the longer of the two source gradients, in length and in direction.

    At each pixel the reference is the Sobel gradient vector of the source where it is longer, the visible one's where
    both are equally long (Eq. 12). The cosine of Eq. 16 is undefined where a gradient vanishes; there the operation's
    third component decides (see ``edgefuse.kernels.gradient_loss``): two vanishing gradients agree, a vanishing one and
    a real one do not.

    Args:
        fused: The fused luminance, in [0, 1].  # [B, 1, H, W]
        ir: The infrared image.  # [B, 1, H, W]
        vis: The visible luminance.  # [B, 1, H, W]
        magnitude_weight: Weight of the distance between the lengths, λ1 of Eq. 18.
        angle_weight: Weight of one minus the cosine, λ2 of Eq. 18.
        norm: ``"l2"``, the mean squared distance between the lengths, as Eq. 15 prints it, or ``"l1"``, the mean
            absolute one.

    Returns:
        The weighted sum of Eq. 18.  # []

    Raises:
        InputError: The pictures differ in shape or are no (B, 1, H, W) tensors.
        UsageError: A weight is negative, both are 0, or the norm is unknown.

    Example:
        >>> import torch
        >>> ir, vis = torch.rand(1, 1, 8, 8), torch.zeros(1, 1, 8, 8)
        >>> round(float(angle_gradient(ir, ir, vis)), 5)
        0.0
    """
    _check_weights(magnitude_weight, angle_weight)
    return gradient_loss(fused, ir, vis, magnitude=magnitude_weight, magnitude_norm=norm, angle=angle_weight)


class AngleGradientLoss(Loss):
    """``angle_gradient`` as a module."""

    def __init__(self, *, magnitude_weight: float = 5.0, angle_weight: float = 1.0, norm: MagnitudeNorm = "l2") -> None:
        _check_weights(magnitude_weight, angle_weight)
        if norm not in get_args(MagnitudeNorm):
            raise UsageError(f"norm must be one of {', '.join(get_args(MagnitudeNorm))}, got {norm!r}")
        super().__init__(angle_gradient, magnitude_weight=magnitude_weight, angle_weight=angle_weight, norm=norm)


def _check_weights(magnitude_weight: float, angle_weight: float) -> None:
    """Refuse weights that make no loss."""
    weights = (magnitude_weight, angle_weight)
    if not all(math.isfinite(weight) and weight >= 0 for weight in weights) or not any(weights):
        raise UsageError(
            "magnitude_weight and angle_weight must be finite, at least 0 and not both 0, "
            f"got {magnitude_weight!r} and {angle_weight!r}"
        )
