"""Registration of a pair in plain NumPy, in float64: what the C++ and CUDA code are held against."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgefuse.arrays import Image

__all__ = ["STEPS", "reference_pair"]

STEPS = 32
"""Positions are rounded to 1/32 pixel."""

_BGR_WEIGHTS = np.array([0.114, 0.587, 0.299])  # BT.601


def reference_pair(
    ir: Image,
    vis: NDArray[np.uint8],
    inverse: NDArray[np.float64],
    *,
    stretch: bool,
    low: float,
    high: float,
    size: tuple[int, int],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both network inputs of a pair.

    Args:
        ir: Infrared frame.  # [h, w]
        vis: Visible frame, gray or BGR.  # [H, W] or [H, W, 3]
        inverse: Visible to infrared pixel coordinates.  # [3, 3]
        stretch: Whether the nearest infrared pixel, not the visible luminance, stands where ``ir`` does not reach.
        low: Infrared value that becomes 0.
        high: Infrared value that becomes 1.
        size: Height and width of the inputs.

    Returns:
        Infrared and visible luminance in [0, 1].  # [H', W'] each
    """
    luminance = (vis @ _BGR_WEIGHTS if vis.ndim == 3 else vis.astype(np.float64)) / 255  # [H, W]
    unit = np.clip((ir.astype(np.float64) - low) / (high - low), 0, 1)  # [h, w]
    rows, columns = np.mgrid[: vis.shape[0], : vis.shape[1]]
    x, y, w = np.einsum("ij,jhw->ihw", inverse, np.stack([columns, rows, np.ones(rows.shape)]))
    at_x, at_y = np.rint(x / w * STEPS) / STEPS, np.rint(y / w * STEPS) / STEPS
    last_y, last_x = (side - 1 for side in ir.shape)
    inside = (at_x >= 0) & (at_x <= last_x) & (at_y >= 0) & (at_y <= last_y)
    sampled = _bilinear(unit, np.clip(at_x, 0, last_x), np.clip(at_y, 0, last_y))
    registered = sampled if stretch else np.where(inside, sampled, luminance)
    padding = [(0, padded - side) for padded, side in zip(size, vis.shape, strict=False)]
    return np.pad(registered, padding, mode="reflect"), np.pad(luminance, padding, mode="reflect")


def _bilinear(image: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    right, bottom = np.minimum(left + 1, image.shape[1] - 1), np.minimum(top + 1, image.shape[0] - 1)
    to_right, to_bottom = x - left, y - top
    above = image[top, left] * (1 - to_right) + image[top, right] * to_right
    below = image[bottom, left] * (1 - to_right) + image[bottom, right] * to_right
    registered: NDArray[np.float64] = above * (1 - to_bottom) + below * to_bottom
    return registered
