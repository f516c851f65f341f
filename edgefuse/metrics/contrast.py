"""Metrics of the fused image alone that measure contrast and sharpness: SD, SF, AG, EI."""

from __future__ import annotations

import math
from typing import Literal

import cv2
import numpy as np

from edgefuse.metrics.scene import Real, Scene, UndefinedError, sum_of_products

__all__ = [
    "average_gradient",
    "edge_intensity",
    "spatial_frequency",
    "spatial_frequency_uint8",
    "standard_deviation",
    "standard_deviation_uint8",
]


def standard_deviation(scene: Scene) -> float:
    """SD: population standard deviation of the fused image in levels of 0..255.

    Args:
        scene: The images.

    Returns:
        Levels. The integer sums under the root are exact.
    """
    return math.sqrt(scene.covariance("fused", "fused")) / scene.pixels


def standard_deviation_uint8(scene: Scene) -> float:
    """SD as ``SD_evaluation.m`` gives it for a uint8 array: a bug of ``linfeng2022`` and ``rpfnet``.

    MATLAB keeps ``F - mean`` and its square in saturating uint8 arithmetic: what is darker than the mean counts 0, and
    a square counts at most 255. The result never exceeds sqrt(255) and ranks methods differently from the true SD.

    Args:
        scene: The images.

    Returns:
        At most 15.97.
    """
    counts = scene.counts("fused")
    above = np.floor(np.arange(256) - scene.total("fused") / scene.pixels + 0.5).clip(0, 255)
    squares = np.minimum(above * above, 255)
    return math.sqrt(float(counts @ squares) / scene.pixels)


def spatial_frequency(scene: Scene, *, divisor: Literal["differences", "pixels"] = "differences") -> float:
    """SF: root of the mean squared row difference plus the mean squared column difference (Eskicioglu, Fisher 1995).

    Args:
        scene: The images.
        divisor: ``"differences"``: each mean over its own number of differences; ``"pixels"``: both sums over H·W,
            as VIFB has it, 0.1 to 0.2 % lower.

    Returns:
        Levels of 0..255.
    """
    _require_two_by_two(scene, "SF")
    image = scene.real("fused")
    down, across = image[1:] - image[:-1], image[:, 1:] - image[:, :-1]
    parts = ((sum_of_products(part, part), part.size) for part in (down, across))
    return math.sqrt(sum(total / (size if divisor == "differences" else image.size) for total, size in parts))


def spatial_frequency_uint8(scene: Scene) -> float:
    """SF as ``SF_evaluation.m`` gives it for a uint8 array: a bug of ``rpfnet``.

    Differences below zero become 0 and squares saturate at 255, so that only steps towards brighter pixels count.

    Args:
        scene: The images.

    Returns:
        Typically 2 to 11.
    """
    _require_two_by_two(scene, "SF")
    image = scene.plane("fused")
    total = 0.0
    for step in (cv2.subtract(image[1:], image[:-1]), cv2.subtract(image[:, 1:], image[:, :-1])):
        total += float(cv2.multiply(step, step).sum(dtype=np.int64)) / step.size
    return math.sqrt(total)


def average_gradient(scene: Scene, *, divisor: Literal["pixels", "inner"] = "pixels") -> float:
    """AG: sum of ``sqrt((gx^2 + gy^2) / 2)`` with central differences, one-sided at the borders (Cui et al. 2015).

    Args:
        scene: The images.
        divisor: ``"pixels"``: H·W, a mean; ``"inner"``: (H-1)(W-1), as the MATLAB codes have it.

    Returns:
        Levels of 0..255 per pixel.
    """
    _require_two_by_two(scene, "AG")
    image = scene.real("fused")
    # Doubled differences are small integers: the sum under the root is exact, and its 4 leaves with the mean's 2.
    square = _doubled_difference(image) ** 2
    square += _doubled_difference(image.T).T ** 2
    total = float(np.sqrt(square, out=square).sum()) / math.sqrt(8.0)
    return total / (scene.pixels if divisor == "pixels" else (scene.height - 1) * (scene.width - 1))


def _doubled_difference(image: Real) -> Real:
    """Twice the derivative down the columns."""
    out = np.empty_like(image)
    np.subtract(image[2:], image[:-2], out=out[1:-1])
    out[0] = 2.0 * (image[1] - image[0])
    out[-1] = 2.0 * (image[-1] - image[-2])
    return out


def edge_intensity(scene: Scene) -> float:
    """EI: mean Sobel magnitude of the fused image with replicated borders (VIFB).

    Args:
        scene: The images.

    Returns:
        Levels of 0..255, times the 8 of an unnormalised Sobel operator.
    """
    image = scene.plane("fused")
    gx, gy = (cv2.Sobel(image, cv2.CV_64F, dx, dy, borderType=cv2.BORDER_REPLICATE) for dx, dy in ((1, 0), (0, 1)))
    return float(np.sqrt(gx * gx + gy * gy).mean())


def _require_two_by_two(scene: Scene, metric: str) -> None:
    if min(scene.height, scene.width) < 2:
        raise UndefinedError(f"{metric} needs 2 pixels a side")
