"""Motion-adaptive temporal filter: fused video stands still where neither camera sees a change."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edgefuse.errors import InputError
from edgefuse.kernels import cell_change, luminance_bgr, temporal_step

__all__ = ["CELL_PX", "FrameChange", "TemporalFilter", "cells_of"]

CELL_PX = 4
_STILL_LEVELS = 1.25
_MOVING_LEVELS = 2.5
_STILL_SHARE = 0.2
_AROUND = np.ones((3, 3), np.uint8)

Plane = NDArray[np.float32]


def cells_of(size: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns of cells of a picture with so many rows and columns of pixels; the last may have fewer."""
    return -(-size[0] // CELL_PX), -(-size[1] // CELL_PX)


class FrameChange:
    """Where a camera sees a change: the mean absolute difference of each cell's pixels to the frame before.

    The mean of differences, not the difference of means, feels texture that moves within a cell.
    """

    def __init__(self) -> None:
        self._before: Plane | None = None

    def __call__(self, frame: NDArray[np.uint8]) -> Plane:
        """Compare the next frame with the one before.

        Args:
            frame: Gray or BGR.  # [H, W] or [H, W, 3]

        Returns:
            Change of the BT.601 luminance in [0, 1] on cells of 4×4 pixels, those at the lower and right end of what is
            there; 1 everywhere for the first frame and the first of another size.  # [⌈H/4⌉, ⌈W/4⌉]
        """
        size = frame.shape[:2]
        if self._before is None or self._before.shape != size:
            self._before = _luminance(frame)
            return np.ones(cells_of(size), np.float32)
        return cell_change(_with_channels(frame), self._before)


class TemporalFilter:
    """Recursive filter of the fused luminance, as cameras have one against noise (3DNR).

    A fused picture brings out what is faint in either source, and with it their noise; and what a network darkens
    beside a person, so that he stands out, walks along with him over a wall that stands still. A single picture would
    lose by less of it, a video need not have it: a pixel around which neither source changed (by 1.25 levels of 255, on
    average over cells of 4×4 px) goes a fifth of the way to its new value, and one around which either source changed
    by 2.5 levels or more takes the new value at once, so that nothing that moves leaves a trail. Still pixels lag by
    four frames. Nothing depends on the rest of the frame.

    The colour is that of the new picture: what its luminance differs by is added to all channels.
    """

    def __init__(self) -> None:
        self._shown: Plane | None = None

    def reset(self) -> None:
        """Begin anew with the next picture, as after an exchange of the model."""
        self._shown = None

    def __call__(self, change: Plane, fused: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Filter the next picture of a video.

        Args:
            change: The larger change of the two sources; see ``FrameChange``.  # [⌈H/4⌉, ⌈W/4⌉]
            fused: The fused picture, gray or BGR; it is changed where it lies in one piece.  # [H, W] or [H, W, 3]

        Returns:
            The picture to show; the first one, and the first of another size, as it was.

        Raises:
            InputError: The change has not as many cells as the picture.
        """
        size = fused.shape[:2]
        cells = cells_of(size)
        if change.shape != cells:
            raise InputError(
                f"a picture of {size[1]}x{size[0]} has {cells[1]}x{cells[0]} cells, the change has shape {change.shape}"
            )
        if self._shown is None or self._shown.shape != size:
            self._shown = _luminance(fused)
            return fused
        picture = _with_channels(fused)
        temporal_step(picture, self._shown, _share(change))
        return picture.reshape(fused.shape)


def _with_channels(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(frame).reshape(*frame.shape[:2], -1)


def _luminance(frame: NDArray[np.uint8]) -> Plane:
    return luminance_bgr(np.ascontiguousarray(frame)) if frame.ndim == 3 else frame * np.float32(1 / 255)


def _share(change: Plane) -> Plane:
    """How far each cell goes towards the new picture, by what changed around it.  # [h, w]"""
    around = cv2.dilate(cv2.blur(change, (3, 3)), _AROUND)
    rise = (1 - _STILL_SHARE) / (_MOVING_LEVELS - _STILL_LEVELS)
    share = cv2.addWeighted(around, 255 * rise, around, 0.0, _STILL_SHARE - _STILL_LEVELS * rise)
    return np.asarray(np.clip(share, _STILL_SHARE, 1, out=share), np.float32)
