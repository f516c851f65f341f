"""Where the cameras of a stream see a change, for the temporal filter."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edgefuse.arrays import Image
from edgefuse.stream.agc import GainRange
from edgefuse.stream.registration import Registration
from edgefuse.temporal import CELL_PX, FrameChange

__all__ = ["PairChange"]

Plane = NDArray[np.float32]


class PairChange:
    """The larger change of both cameras, on cells of the visible picture.

    Infrared frames are compared in their own geometry, before registration: that takes no full-size infrared picture,
    which a GPU would not give back.
    """

    def __init__(self) -> None:
        self._vis = FrameChange()
        self._ir: Plane | None = None

    def __call__(self, registration: Registration, ir: Image, vis: NDArray[np.uint8], *, gain: GainRange) -> Plane:
        """Compare the next pair with the one before.

        Args:
            registration: The geometry.
            ir: Infrared frame: uint8, uint16 or float32.  # [h, w]
            vis: Visible frame.
            gain: The infrared counts that become 0 and 1.

        Returns:
            Change in [0, 1] of each cell, 1 where there is none to compare with.  # [⌈H/4⌉, ⌈W/4⌉]

        Raises:
            InputError: The sizes are not those of the calibration, or differ without one.
        """
        counts, before = np.array(ir, np.float32), self._ir
        # Infrared pixels are averaged to be as large as cells; those of a small sensor are larger already.
        shrinking = max(1.0, CELL_PX * ir.shape[1] / vis.shape[1])
        size = (max(2, round(ir.shape[0] / shrinking)), max(2, round(ir.shape[1] / shrinking)))
        warp = registration.cell_warp(size, ir, vis)
        change, self._ir = self._vis(vis), counts
        if before is None or before.shape != counts.shape:
            return np.ones_like(change)
        difference = cv2.absdiff(counts, before)
        if size != difference.shape:
            difference = cv2.resize(difference, size[::-1], interpolation=cv2.INTER_AREA)
        blank = np.zeros(change.shape, np.uint8)
        moved: Plane = warp(np.asarray(difference, np.float32), blank, low=0.0, high=gain.high - gain.low)[0][0, 0]
        return np.maximum(moved, change)
