"""Brings infrared frames into the geometry of the visible ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgefuse.arrays import Image
from edgefuse.calibrate import Calibration
from edgefuse.errors import InputError
from edgefuse.kernels.warp import PairWarp
from edgefuse.stream.agc import GainRange
from edgefuse.temporal import CELL_PX, cells_of

__all__ = ["Registration"]


class Registration:
    """Brings infrared pictures into the geometry of the visible ones.

    Where the infrared camera does not look, the visible luminance stands in for it, so that fusion leaves the visible
    picture as it is there.

    Args:
        calibration: The geometry, or None for cameras that see the same.
        resize: Without a calibration, stretch an infrared picture of another size over the visible one.
    """

    def __init__(self, calibration: Calibration | None = None, *, resize: bool = False) -> None:
        self._calibration, self._resize = calibration, resize
        self._warp: PairWarp | None = None
        self._cell_warp: PairWarp | None = None

    def __call__(self, ir_unit: NDArray[np.float32], vis: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Register one picture.

        Args:
            ir_unit: Infrared in [0, 1].  # [h, w]
            vis: Visible frame.

        Returns:
            Infrared in [0, 1], of the size of ``vis``.  # [H, W]

        Raises:
            InputError: The sizes are not those of the calibration, or differ without one.
        """
        plane: NDArray[np.float32] = self.inputs(ir_unit, vis, gain=GainRange(0.0, 1.0), size=None)[0][0, 0]
        return plane

    def inputs(
        self, ir: Image, vis: NDArray[np.uint8], *, gain: GainRange, size: tuple[int, int] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Make the network inputs of a pair: gain, registration, luminance and padding in one pass.

        Args:
            ir: Infrared frame: uint8, uint16 or float32.  # [h, w]
            vis: Visible frame.
            gain: The infrared counts that become 0 and 1.
            size: Height and width of the inputs; those of ``vis`` where None.

        Returns:
            Infrared and visible luminance in [0, 1].  # [1, 1, H', W'] each

        Raises:
            InputError: The sizes are not those of the calibration, or differ without one.
        """
        return self.warp(ir, vis)(ir, vis, low=gain.low, high=gain.high, size=size)

    def warp(self, ir: Image, vis: NDArray[np.uint8]) -> PairWarp:
        """The geometry of a pair; the same object as long as the sizes stay.

        Args:
            ir: Infrared frame.  # [h, w]
            vis: Visible frame.

        Returns:
            What registers it.

        Raises:
            InputError: The sizes are not those of the calibration, or differ without one.
        """
        sizes = ir.shape[:2], vis.shape[:2]
        if self._warp is None or (self._warp.ir_size, self._warp.vis_size) != sizes:
            self.check(ir, vis)
            self._warp, self._cell_warp = self._warp_between(*sizes), None
        return self._warp

    def cell_warp(self, ir_cells: tuple[int, int], ir: Image, vis: NDArray[np.uint8]) -> PairWarp:
        """The same geometry between pictures on cells; the same object as long as the sizes stay.

        Args:
            ir_cells: Height and width that infrared frames are averaged to.
            ir: Infrared frame.  # [h, w]
            vis: Visible frame, whose cells have 4×4 pixels.

        Returns:
            What registers them.

        Raises:
            InputError: As for ``warp``.
        """
        self.warp(ir, vis)
        if self._cell_warp is None or self._cell_warp.ir_size != ir_cells:
            vis_cells = cells_of(vis.shape)
            if self._calibration is None:
                self._cell_warp = PairWarp.stretching(ir_size=ir_cells, vis_size=vis_cells)
            else:
                to_frame = np.linalg.inv(_scaling(ir_cells[0] / ir.shape[0], ir_cells[1] / ir.shape[1]))
                matrix = _scaling(1 / CELL_PX, 1 / CELL_PX) @ self._calibration.matrix @ to_frame
                self._cell_warp = PairWarp(matrix, ir_size=ir_cells, vis_size=vis_cells)
        return self._cell_warp

    def _warp_between(self, ir_size: tuple[int, ...], vis_size: tuple[int, ...]) -> PairWarp:
        sizes = {"ir_size": (ir_size[0], ir_size[1]), "vis_size": (vis_size[0], vis_size[1])}
        if self._calibration is not None:
            return PairWarp(self._calibration.matrix, **sizes)
        if ir_size != vis_size and not self._resize:
            raise InputError(
                f"infrared is {ir_size[1]}x{ir_size[0]}, visible is {vis_size[1]}x{vis_size[0]}: "
                "calibrate the cameras (edgefuse calibrate) and give --calibration, or --resize-ir to stretch it"
            )
        return PairWarp.stretching(**sizes)

    def check(self, ir: Image, vis: NDArray[np.uint8]) -> None:
        """Refuse sizes that the calibration was not made for: it would warp wrongly without a sign of it."""
        calibration = self._calibration
        if calibration is None or (ir.shape[:2], vis.shape[:2]) == (calibration.ir_size, calibration.vis_size):
            return
        made_for, found = (
            " and ".join(f"{width}x{height}" for height, width in sizes)
            for sizes in ((calibration.ir_size, calibration.vis_size), (ir.shape[:2], vis.shape[:2]))
        )
        raise InputError(f"the calibration is for frames of {made_for} (infrared, visible), these are {found}")


def _scaling(by_y: float, by_x: float) -> NDArray[np.float64]:
    """Coordinates (x, y, 1) of a scaled picture, pixel centres at whole numbers."""
    return np.array([[by_x, 0.0, (by_x - 1) / 2], [0.0, by_y, (by_y - 1) / 2], [0.0, 0.0, 1.0]])
