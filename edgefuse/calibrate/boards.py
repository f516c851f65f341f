"""Calibration boards in pictures of both cameras.

A plain checkerboard is invisible to a thermal camera: it needs a heated board, or a plate with holes before a warm or
cold background. Which of the two is bright depends on that, so each thermal picture is tried as it is and inverted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from edgefuse.arrays import Image
from edgefuse.calibrate.calibration import Calibration
from edgefuse.calibrate.points import from_points
from edgefuse.errors import InputError
from edgefuse.fuser import luminance
from edgefuse.thermal import to_unit

__all__ = ["BoardKind", "find_board", "from_boards"]

BoardKind = Literal["circles", "checkerboard"]

_SMALLEST_SIDE_PX = 480
"""Boards are sought in pictures at least this large: on a 160 × 120 thermal picture a circle is a few pixels wide."""


def find_board(image: Image, size: tuple[int, int], kind: BoardKind) -> NDArray[np.float64] | None:
    """Find the points of one board.

    Args:
        image: ``(H, W)`` of any thermal kind, or ``(H, W, 3)`` BGR uint8.
        size: Points a row, and rows: circles, or inner corners of a checkerboard.
        kind: Which board.

    Returns:
        Points (x, y) row by row, or None where no whole board is seen.  # [N, 2]
    """
    unit = luminance(np.asarray(image, np.uint8)) if image.ndim == 3 else to_unit(image)
    gray = (unit * 255.0 + 0.5).astype(np.uint8)
    enlarge = max(1, -(-_SMALLEST_SIDE_PX // min(gray.shape)))
    if enlarge > 1:
        gray = np.asarray(cv2.resize(gray, None, fx=enlarge, fy=enlarge, interpolation=cv2.INTER_CUBIC), np.uint8)
    equalised = cv2.createCLAHE(2.0, (8, 8)).apply(cv2.GaussianBlur(gray, (0, 0), 1.0))
    for candidate in (gray, 255 - gray, equalised, 255 - equalised):
        points = _find(np.asarray(candidate, np.uint8), size, kind)
        if points is not None:
            # Enlarging by n moves the centre of pixel 0 to (n - 1) / 2.
            return np.asarray((points - (enlarge - 1) / 2) / enlarge, np.float64)
    return None


def _find(gray: NDArray[np.uint8], size: tuple[int, int], kind: BoardKind) -> NDArray[np.float64] | None:
    if kind == "circles":
        found, points = cv2.findCirclesGrid(gray, size, flags=cv2.CALIB_CB_SYMMETRIC_GRID | cv2.CALIB_CB_CLUSTERING)
    else:
        found, points = cv2.findChessboardCornersSB(gray, size, flags=cv2.CALIB_CB_NORMALIZE_IMAGE)
    return np.asarray(points, np.float64).reshape(-1, 2) if found else None


def from_boards(
    pairs: Sequence[tuple[Image, Image]],
    *,
    size: tuple[int, int],
    kind: BoardKind,
    distance_metres: float | None = None,
    time_offset_seconds: float = 0.0,
) -> Calibration:
    """Fit a homography to boards that both cameras see, all at about one distance.

    Args:
        pairs: Infrared and visible pictures of the same moments, each camera with one size.
        size: See :func:`find_board`.
        kind: Which board.
        distance_metres: Distance of the boards.
        time_offset_seconds: See :class:`Calibration`.

    Returns:
        The calibration.

    Raises:
        InputError: No pair shows the board in both pictures, or the sizes differ.
    """
    if len({(ir.shape[:2], vis.shape[:2]) for ir, vis in pairs}) > 1:
        raise InputError("the pictures of a camera must have one size")
    found = [(find_board(ir, size, kind), find_board(vis, size, kind)) for ir, vis in pairs]
    ir_points, vis_points = [], []
    for in_ir, in_vis in found:
        if in_ir is None or in_vis is None:
            continue
        ir_points.append(in_ir)
        vis_points.append(_same_order(in_ir, in_vis))
    if not ir_points:
        seen = sum(ir is not None for ir, _ in found), sum(vis is not None for _, vis in found)
        raise InputError(
            f"no pair shows the whole {kind} board of {size[0]}x{size[1]} points in both pictures "
            f"(infrared {seen[0]}, visible {seen[1]} of {len(found)}): heat the board, or give four points"
        )
    ir, vis = pairs[0]
    return from_points(
        np.concatenate(ir_points),
        np.concatenate(vis_points),
        ir_size=(ir.shape[0], ir.shape[1]),
        vis_size=(vis.shape[0], vis.shape[1]),
        distance_metres=distance_metres,
        time_offset_seconds=time_offset_seconds,
        method=kind,
    )


def _same_order(ir: NDArray[np.float64], vis: NDArray[np.float64]) -> NDArray[np.float64]:
    """A board may be read from either end; the cameras stand upright side by side, so both read it one way."""
    return vis[::-1] if float(np.dot(ir[-1] - ir[0], vis[-1] - vis[0])) < 0 else vis
