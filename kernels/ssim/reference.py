"""Structural similarity in plain PyTorch: the definition that every other backend is held against."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["RADIUS", "SIGMA", "WINDOW", "constants", "reference_ssim"]

RADIUS = 5
SIGMA = 1.5
"""Wang et al. 2004, section III.B: an 11×11 circular-symmetric Gaussian of 1.5 pixels."""

_BELL = [math.exp(-0.5 * (distance / SIGMA) ** 2) for distance in range(-RADIUS, RADIUS + 1)]

WINDOW = tuple(weight / math.fsum(_BELL) for weight in _BELL)
"""Weights of the separable window along one axis."""


def constants(data_range: float) -> tuple[float, float]:
    """Return C1 and C2 of Wang et al. 2004, Eq. 7, for images of a range."""
    return (0.01 * data_range) ** 2, (0.03 * data_range) ** 2


def reference_ssim(image: Tensor, reference: Tensor, *, data_range: float) -> Tensor:
    """Return the mean structural similarity, differentiable with respect to both images.

    Args:
        image: An image.  # [B, 1, H, W]
        reference: Another one.  # [B, 1, H, W]
        data_range: Largest possible difference between two values.

    Returns:
        The mean over all pixels, windows at the border completed by zeros; in float64 where an image is float64, else
        in float32.  # []
    """
    double = torch.float64 in (image.dtype, reference.dtype)
    x, y = (plane.to(torch.float64 if double else torch.float32) for plane in (image, reference))
    blurred = _blur(torch.cat([x, y, x * x, y * y, x * y], dim=1))  # [B, 5, H, W]
    mean_x, mean_y, square_x, square_y, product = blurred.unbind(1)
    c1, c2 = constants(data_range)
    variances = (square_x - mean_x * mean_x) + (square_y - mean_y * mean_y)
    covariance = product - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + c1) / (mean_x * mean_x + mean_y * mean_y + c1)
    return (luminance * (2 * covariance + c2) / (variances + c2)).mean()


def _blur(planes: Tensor) -> Tensor:
    """Each plane times the Gaussian window."""
    window = torch.tensor(WINDOW, dtype=planes.dtype, device=planes.device).expand(planes.shape[1], 1, 1, -1)
    with torch.autocast(planes.device.type, enabled=False):
        rows = functional.conv2d(planes, window, padding=(0, RADIUS), groups=planes.shape[1])
        return functional.conv2d(rows, window.mT, padding=(RADIUS, 0), groups=planes.shape[1])
