"""Motion-adaptive temporal filter: fused video stands still where neither camera sees a change."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edgefuse.errors import InputError
from edgefuse.kernels import cell_means, luminance_bgr, temporal_step

__all__ = ["CELL_PX", "TemporalFilter", "luminance_cells"]

CELL_PX = 4
_STILL_LEVELS = 1.5
_MOVING_LEVELS = 3.0
_STILL_SHARE = 0.25
_AROUND = np.ones((3, 3), np.uint8)

Plane = NDArray[np.float32]


def luminance_cells(frame: NDArray[np.uint8]) -> Plane:
    """Average a frame over cells of 4×4 pixels; those at the lower and right end may have less.

    Args:
        frame: Gray or BGR.  # [H, W] or [H, W, 3]

    Returns:
        Mean BT.601 luminance in [0, 1].  # [⌈H/4⌉, ⌈W/4⌉]
    """
    return cell_means(_with_channels(frame))


class TemporalFilter:
    """Recursive filter of the fused luminance, as cameras have one against noise (3DNR).

    A fused picture brings out what is faint in either source, and with it their noise; and what a network darkens
    beside a person, so that he stands out, walks along with him over a wall that stands still. A single picture would
    lose by less of it, a video need not have it: a pixel around which neither source changed (by 1.5 levels of 255 on
    cells of 4×4 px) goes a quarter of the way to its new value, and one around which either source changed by 3 levels
    or more takes the new value at once, so that nothing that moves leaves a trail. Still pixels lag by three frames.
    Nothing depends on the rest of the frame.

    The colour is that of the new picture: what its luminance differs by is added to all channels.
    """

    def __init__(self) -> None:
        self._sources: tuple[Plane, Plane] | None = None
        self._shown: Plane | None = None

    def reset(self) -> None:
        """Begin anew with the next picture, as after an exchange of the model."""
        self._sources = self._shown = None

    def __call__(self, ir: Plane, vis: Plane, fused: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Filter the next picture of a video.

        Args:
            ir: Infrared in [0, 1] in the geometry of the visible picture, means of cells.  # [⌈H/4⌉, ⌈W/4⌉]
            vis: Visible luminance, likewise; see ``luminance_cells``.
            fused: The fused picture, gray or BGR; it is changed where it lies in one piece.  # [H, W] or [H, W, 3]

        Returns:
            The picture to show; the first one, and the first of another size, as it was.

        Raises:
            InputError: The sources have not as many cells as the picture.
        """
        size = fused.shape[:2]
        cells = (-(-size[0] // CELL_PX), -(-size[1] // CELL_PX))
        if ir.shape != cells or vis.shape != cells:
            raise InputError(
                f"a picture of {size[1]}x{size[0]} has {cells[1]}x{cells[0]} cells; "
                f"the sources have shapes {ir.shape} and {vis.shape}"
            )
        before, self._sources = self._sources, (ir, vis)
        if before is None or self._shown is None or self._shown.shape != size:
            self._shown = luminance_bgr(fused) if fused.ndim == 3 else fused * np.float32(1 / 255)
            return fused
        picture = _with_channels(fused)
        temporal_step(picture, self._shown, _share((ir, vis), before))
        return picture.reshape(fused.shape)


def _with_channels(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(frame).reshape(*frame.shape[:2], -1)


def _share(now: tuple[Plane, Plane], before: tuple[Plane, Plane]) -> Plane:
    """How far each cell goes towards the new picture, by what changed around it.  # [h, w]"""
    change = cv2.max(*(cv2.absdiff(new, old) for new, old in zip(now, before, strict=True)))
    around = cv2.dilate(cv2.blur(change, (3, 3)), _AROUND)
    rise = (1 - _STILL_SHARE) / (_MOVING_LEVELS - _STILL_LEVELS)
    share = cv2.addWeighted(around, 255 * rise, around, 0.0, _STILL_SHARE - _STILL_LEVELS * rise)
    return np.asarray(np.clip(share, _STILL_SHARE, 1, out=share), np.float32)
