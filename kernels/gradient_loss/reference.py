"""The gradient loss in plain PyTorch: the definition that every other backend is held against."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from edgefuse.kernels.gradient_loss.weights import TermWeights

__all__ = ["ANGLE_EPSILON", "SobelGradient", "reference_terms", "sobel"]

ANGLE_EPSILON = 1e-3
"""Length of the third component that keeps the angle defined where a gradient vanishes.

A quarter of the smallest non-zero Sobel response of an 8-bit image, 1/255, so that no real edge is touched; large
enough that float32 rounding of a flat region (2e-7) cannot turn its gradient by more than 2e-4.
"""


class SobelGradient(NamedTuple):
    """Sobel derivatives of an image."""

    x: Tensor  # [B, 1, H, W]
    y: Tensor  # [B, 1, H, W]

    @property
    def squared(self) -> Tensor:
        """The squared Euclidean length."""
        return self.x * self.x + self.y * self.y

    @property
    def magnitude(self) -> Tensor:
        """The Euclidean length, with derivative 0 where it is 0."""
        squared = self.squared
        flat = squared == 0
        return squared.masked_fill(flat, 1).sqrt().masked_fill(flat, 0)


def reference_terms(fused: Tensor, ir: Tensor, vis: Tensor, *, weights: TermWeights) -> dict[str, Tensor]:
    """Return each active term, unweighted, differentiable with respect to all three images.

    Args:
        fused: The fused luminance.  # [B, 1, H, W]
        ir: The infrared image.  # [B, 1, H, W]
        vis: The visible luminance.  # [B, 1, H, W]
        weights: Which terms are on; the scale weights are the only numbers of it that enter the values.

    Returns:
        Scalars by the names of ``TERMS``, in float64 where an input is float64, else in float32.
    """
    double = torch.float64 in (fused.dtype, ir.dtype, vis.dtype)
    fused, ir, vis = (image.to(torch.float64 if double else torch.float32) for image in (fused, ir, vis))
    of_fused, of_ir, of_vis = sobel(fused), sobel(ir), sobel(vis)
    terms = {}
    if weights.magnitude != 0 or weights.angle != 0:
        reference = _stronger(of_ir, of_vis)
        if weights.magnitude != 0:
            distance = of_fused.magnitude - reference.magnitude
            terms["magnitude"] = (distance.abs() if weights.magnitude_norm == "l1" else distance.square()).mean()
        if weights.angle != 0:
            terms["angle"] = (1 - _cosine(of_fused, reference)).mean()
    if weights.direction != 0:
        terms["direction"] = _direction(fused, ir, vis, scale_weights=weights.scale_weights)
    if weights.max_magnitude != 0:
        target = torch.maximum(of_ir.x.abs() + of_ir.y.abs(), of_vis.x.abs() + of_vis.y.abs())
        terms["max_magnitude"] = (of_fused.x.abs() + of_fused.y.abs() - target).abs().mean()
    return terms


def sobel(image: Tensor) -> SobelGradient:
    """Return the unnormalised Sobel derivatives of an image continued by zeros; exactly 0 where the image is constant.

    Args:
        image: An image.  # [B, 1, H, W]

    Returns:
        The derivatives, positive where the image brightens to the right and downward.
    """
    padded = functional.pad(image, (1, 1, 1, 1))  # [B, 1, H+2, W+2]
    along_y = padded[..., :-2, :] + 2 * padded[..., 1:-1, :] + padded[..., 2:, :]  # [B, 1, H, W+2]
    along_x = padded[..., :-2] + 2 * padded[..., 1:-1] + padded[..., 2:]  # [B, 1, H+2, W]
    return SobelGradient(x=along_y[..., 2:] - along_y[..., :-2], y=along_x[..., 2:, :] - along_x[..., :-2, :])


def _stronger(of_ir: SobelGradient, of_vis: SobelGradient) -> SobelGradient:
    """Reference gradient of AngularFuse Eq. 12: the longer vector of the two sources, visible on a tie."""
    from_ir = of_ir.squared > of_vis.squared
    return SobelGradient(x=torch.where(from_ir, of_ir.x, of_vis.x), y=torch.where(from_ir, of_ir.y, of_vis.y))


def _cosine(first: SobelGradient, second: SobelGradient) -> Tensor:
    """Cosine of AngularFuse Eq. 16 between the vectors (Gx, Gy, ε).

    The third component makes the cosine smooth everywhere and 1 where both gradients vanish, which is also what equal
    gradients give; with ε -> 0 it is Eq. 16.
    """
    epsilon = ANGLE_EPSILON**2
    inner = first.x * second.x + first.y * second.y + epsilon
    return inner * ((first.squared + epsilon) * (second.squared + epsilon)).rsqrt()


def _direction(fused: Tensor, ir: Tensor, vis: Tensor, *, scale_weights: tuple[float, ...]) -> Tensor:
    """Per-axis, sign-preserving L1 over average-pooled scales (arXiv 2510.13067), mean over pixels and both axes."""
    total = fused.new_zeros(())
    for scale, weight in enumerate(scale_weights):
        if scale > 0:
            fused, ir, vis = (functional.avg_pool2d(image, 2) for image in (fused, ir, vis))  # [B, 1, H/2, W/2]
        for f, i, v in zip(sobel(fused), sobel(ir), sobel(vis), strict=True):
            total = total + weight * 0.5 * (f - torch.where(i.abs() > v.abs(), i, v)).abs().mean()
    return total
