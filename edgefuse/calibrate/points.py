"""A homography from points that a person clicked in both pictures."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edgefuse.calibrate.calibration import Calibration, Method
from edgefuse.errors import InputError

__all__ = ["from_points", "reprojection_rms"]

_SMALLEST_TRIANGLE = 0.002
"""Three of four points on a line leave the homography open: the area of the smallest triangle over the picture's."""


def from_points(
    ir: NDArray[np.float64],
    vis: NDArray[np.float64],
    *,
    ir_size: tuple[int, int],
    vis_size: tuple[int, int],
    distance_metres: float | None = None,
    time_offset_seconds: float = 0.0,
    method: Method = "points",
) -> Calibration:
    """Fit a homography to corresponding points, all of which count.

    Args:
        ir: Points (x, y) in the infrared picture, four or more.  # [N, 2]
        vis: The same points in the visible picture.  # [N, 2]
        ir_size: Height and width of the infrared picture.
        vis_size: Height and width of the visible picture.
        distance_metres: Distance of the points.
        time_offset_seconds: See :class:`Calibration`.
        method: What to note as the method.

    Returns:
        The calibration; its error is None for four points, which any homography fits.

    Raises:
        InputError: Too few points, points outside the pictures, or three of four on a line.
    """
    if ir.shape != vis.shape or ir.ndim != 2 or ir.shape[0] < 4:
        raise InputError(f"four or more points in both pictures are needed, not {len(ir)} and {len(vis)}")
    for name, points, (height, width) in (("infrared", ir, ir_size), ("visible", vis, vis_size)):
        if not np.isfinite(points).all() or (points < -0.5).any() or (points > [width - 0.5, height - 0.5]).any():
            raise InputError(f"a point lies outside the {name} picture of {width}x{height}")
        if _smallest_spread(points) < _SMALLEST_TRIANGLE * width * height:
            raise InputError(f"the {name} points lie nearly on a line or on each other: spread them over the picture")
    matrix, _ = cv2.findHomography(ir, vis, 0)
    if matrix is None:
        raise InputError("these points fit no homography")
    found = np.asarray(matrix, np.float64)
    return Calibration.of(
        found,
        ir_size=ir_size,
        vis_size=vis_size,
        method=method,
        error_px=None if len(ir) == 4 else reprojection_rms(found, ir, vis),
        points=len(ir),
        distance_metres=distance_metres,
        time_offset_seconds=time_offset_seconds,
    )


def reprojection_rms(matrix: NDArray[np.float64], ir: NDArray[np.float64], vis: NDArray[np.float64]) -> float:
    """Root mean square distance of mapped infrared points from visible ones, in visible pixels."""
    mapped = cv2.perspectiveTransform(ir.reshape(-1, 1, 2), matrix).reshape(-1, 2)
    return float(np.sqrt(np.mean(np.sum((mapped - vis) ** 2, axis=1))))


def _smallest_spread(points: NDArray[np.float64]) -> float:
    """Of four points the area of the smallest triangle; of more the area that all span, as an ellipse has it."""
    if len(points) > 4:
        return float(np.sqrt(max(0.0, np.linalg.det(np.cov(points.T)))))
    triples = ((0, 1, 2), (0, 1, 3), (0, 2, 3), (1, 2, 3))
    areas = []
    for a, b, c in triples:
        u, v = points[b] - points[a], points[c] - points[a]
        areas.append(abs(u[0] * v[1] - u[1] * v[0]) / 2)
    return float(min(areas))
