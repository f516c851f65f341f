"""Registration of a pair on the CPU, by the C++ extension: arguments checked, tables computed once."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgefuse.arrays import Image
from edgefuse.errors import InputError, UsageError
from edgefuse.kernels import _native

__all__ = ["PairWarp"]


class PairWarp:
    """Turns pairs of one geometry into network inputs, reading each frame once.

    Sampling is bilinear at positions rounded to 1/32 pixel, as OpenCV's ``remap`` with fixed-point maps does it; gain
    and clipping come before, so a saturated pixel counts as white. Where the infrared camera does not look, the visible
    luminance stands in for it. It does not change once made and may serve several threads.

    Args:
        homography: Infrared to visible pixel coordinates (x, y, 1), pixel centres at whole numbers.  # [3, 3]
        ir_size: Height and width of infrared frames, at least 2 × 2.
        vis_size: Height and width of visible frames.

    Raises:
        InputError: The homography cannot be inverted, or a size is too small.
    """

    def __init__(self, homography: NDArray[np.float64], *, ir_size: tuple[int, int], vis_size: tuple[int, int]) -> None:
        matrix = np.asarray(homography, np.float64)
        if matrix.shape != (3, 3) or not np.isfinite(matrix).all() or np.linalg.matrix_rank(matrix) < 3:
            raise InputError("a homography needs three rows of three finite numbers and an inverse")
        inverse: NDArray[np.float64] = np.linalg.inv(matrix).astype(np.float64)
        self._map = _map(inverse, ir_size, vis_size, stretch=False)

    @classmethod
    def stretching(cls, *, ir_size: tuple[int, int], vis_size: tuple[int, int]) -> PairWarp:
        """Lay the whole infrared frame over the whole visible one, edges on edges; frames of one size stay as they are.

        Args:
            ir_size: Height and width of infrared frames.
            vis_size: Height and width of visible frames.

        Raises:
            InputError: A size is too small.
        """
        scale_y, scale_x = (one / other for one, other in zip(ir_size, vis_size, strict=True))
        # Pixel centres lie at whole numbers, so the edge of a picture lies at -1/2.
        inverse = [[scale_x, 0.0, (scale_x - 1) / 2], [0.0, scale_y, (scale_y - 1) / 2], [0.0, 0.0, 1.0]]
        warp = cls.__new__(cls)
        warp._map = _map(np.array(inverse), ir_size, vis_size, stretch=True)
        return warp

    @property
    def ir_size(self) -> tuple[int, int]:
        """Height and width of the infrared frames that it takes."""
        return self._map.source

    @property
    def vis_size(self) -> tuple[int, int]:
        """Height and width of the visible frames that it takes."""
        return self._map.target

    def tables(self) -> tuple[NDArray[Any], ...]:
        """What each visible pixel reads, as ``kernels/warp/warp_map.h`` describes it: for the same work elsewhere.

        Returns:
            ``offsets``, ``right`` and ``down`` by pixel, ``inside_from`` and ``inside_to`` by row.
        """
        table = self._map
        return table.offsets, table.right, table.down, table.inside_from, table.inside_to

    def __call__(
        self,
        ir: Image,
        vis: NDArray[np.uint8],
        *,
        low: float,
        high: float,
        size: tuple[int, int] | None = None,
        threads: int = 0,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Make the network inputs of one pair.

        Args:
            ir: Infrared frame: uint8, uint16 or float32.  # [h, w]
            vis: Visible frame, gray or BGR uint8.  # [H, W] or [H, W, 3]
            low: Infrared value that becomes 0.
            high: Infrared value that becomes 1.
            size: Height and width of the inputs, mirrored beyond the frame; those of ``vis`` where None.
            threads: At most so many; 0 for the processors of this process, as far as the frame is large enough.

        Returns:
            Infrared and visible luminance in [0, 1], newly allocated.  # [1, 1, H', W'] each

        Raises:
            InputError: Sizes or types are not those that it was made for, or ``size`` is smaller than ``vis``.
            UsageError: ``low`` is not below ``high``.
        """
        height, width = self.check(ir, vis, low=low, high=high, size=size)
        ir_input, vis_input = np.empty((height, width), np.float32), np.empty((height, width), np.float32)
        _native.warp_pair(
            self._map,
            np.ascontiguousarray(ir),
            np.ascontiguousarray(vis),
            ir_input,
            vis_input,
            low=low,
            high=high,
            threads=threads,
        )
        return ir_input[None, None], vis_input[None, None]

    def check(
        self, ir: Image, vis: NDArray[np.uint8], *, low: float, high: float, size: tuple[int, int] | None = None
    ) -> tuple[int, int]:
        """Refuse what a call would refuse.

        Args:
            ir: As for a call.
            vis: As for a call.
            low: As for a call.
            high: As for a call.
            size: As for a call.

        Returns:
            Height and width of the inputs.

        Raises:
            InputError: As a call does.
            UsageError: As a call does.
        """
        if ir.dtype not in (np.uint8, np.uint16, np.float32) or ir.shape != self.ir_size:
            wanted = f"infrared must be uint8, uint16 or float32 of {_text(self.ir_size)}"
            raise InputError(f"{wanted}, not {ir.dtype} of shape {ir.shape}")
        if vis.dtype != np.uint8 or vis.shape not in (self.vis_size, (*self.vis_size, 3)):
            wanted = f"visible must be gray or BGR uint8 of {_text(self.vis_size)}"
            raise InputError(f"{wanted}, not {vis.dtype} of shape {vis.shape}")
        # The arithmetic is float32: two numbers that it does not tell apart are no range.
        if not (math.isfinite(low) and math.isfinite(high) and np.float32(low) < np.float32(high)):
            raise UsageError(f"the range needs finite low < high, got {low!r} and {high!r}")
        height, width = size or self.vis_size
        if height < self.vis_size[0] or width < self.vis_size[1]:
            raise InputError(f"inputs of {width}x{height} are smaller than the frames, {_text(self.vis_size)}")
        return height, width


def _map(
    inverse: NDArray[np.float64], ir_size: tuple[int, int], vis_size: tuple[int, int], *, stretch: bool
) -> _native.WarpMap:
    if min(ir_size) < 2 or min(vis_size) < 1:
        raise InputError(f"infrared frames need at least 2x2 pixels and visible ones 1x1, got {ir_size} and {vis_size}")
    return _native.WarpMap(np.ascontiguousarray(inverse), source=ir_size, target=vis_size, stretch=stretch)


def _text(size: tuple[int, int]) -> str:
    return f"{size[1]}x{size[0]}"
