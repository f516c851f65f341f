"""The gradient loss on the CPU, by the C++ extension."""

from __future__ import annotations

import torch
from torch import Tensor

from edgefuse.kernels import _native
from edgefuse.kernels.gradient_loss.reference import ANGLE_EPSILON
from edgefuse.kernels.gradient_loss.weights import TERMS, TermWeights

__all__ = ["native_loss"]


def native_loss(
    fused: Tensor, ir: Tensor, vis: Tensor, *, weights: TermWeights, with_gradient: bool
) -> tuple[Tensor, Tensor]:
    """Return the loss and its terms, and its gradient with respect to the fused image.

    Args:
        fused: The fused luminance, float32 on the CPU, any strides.  # [B, 1, H, W]
        ir: The infrared image.  # [B, 1, H, W]
        vis: The visible luminance.  # [B, 1, H, W]
        weights: Which terms are on, and their weights.
        with_gradient: Whether the gradient is wanted.

    Returns:
        The weighted sum followed by the unweighted terms in the order of ``TERMS`` (0 for those that are off), and the
        gradient, empty where it is not wanted.  # [5], [B, 1, H, W]
    """
    gradient = fused.new_empty(fused.shape if with_gradient else 0)
    terms = _native.gradient_loss(
        fused.detach(),
        ir.detach(),
        vis.detach(),
        gradient if with_gradient else None,
        magnitude=weights.magnitude,
        squared=weights.magnitude_norm == "l2",
        angle=weights.angle,
        direction=weights.direction,
        scale_weights=weights.scale_weights,
        max_magnitude=weights.max_magnitude,
        angle_epsilon=ANGLE_EPSILON,
        threads=torch.get_num_threads(),
    )
    total = sum(getattr(weights, name) * term for name, term in zip(TERMS, terms, strict=True))
    return torch.tensor((total, *terms)), gradient
