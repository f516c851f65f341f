"""Files of a pair as 8-bit luminance, the form that training keeps in memory."""

from __future__ import annotations

import os

import cv2
import numpy as np
from numpy.typing import NDArray

from edgefuse.errors import InputError
from edgefuse.images import read_ir, read_vis
from edgefuse.thermal import to_unit

__all__ = ["read_pair"]


def read_pair(ir: str | os.PathLike[str], vis: str | os.PathLike[str]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read both images of a pair as 8-bit luminance.

    Args:
        ir: Infrared file, 1- or 3-channel, 8 or 16 bits or float; what is not 8-bit is stretched as at inference.
        vis: Visible file, gray or colour.

    Returns:
        Infrared and visible BT.601 luminance, of one shape.  # [H, W] each

    Raises:
        InputError: A file is missing, damaged or no image, or the two differ in size.
    """
    thermal, visible = read_ir(ir), read_vis(vis)
    if thermal.dtype != np.uint8:
        try:
            thermal = np.rint(to_unit(thermal) * 255)
        except InputError as error:
            raise InputError(f"{ir}: {error}") from error
    if visible.ndim == 3:
        visible = np.asarray(cv2.cvtColor(visible, cv2.COLOR_BGR2GRAY), np.uint8)
    if thermal.shape != visible.shape:
        sizes = [f"{height}x{width}" for width, height in (thermal.shape, visible.shape)]
        raise InputError(f"{ir}: {sizes[0]}, but {vis} is {sizes[1]}; align the pair first")
    return thermal.astype(np.uint8), visible
