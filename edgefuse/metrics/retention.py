"""Target retention: how much of a warm target's contrast the fused image keeps."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgefuse.errors import InputError
from edgefuse.metrics.gray import GrayRule, check_image, to_gray
from edgefuse.metrics.scene import UndefinedError

__all__ = ["RING_PIXELS", "target_retention"]

RING_PIXELS = 15
"""Width of the ring of background around a target."""


def target_retention(
    fused: NDArray[np.uint8],
    ir: NDArray[np.uint8],
    mask: NDArray[Any],
    *,
    ring_pixels: int = RING_PIXELS,
    gray: GrayRule = "matlab",
) -> float:
    """Contrast of the masked targets against the ring around them, fused over infrared.

    Contrast is the mean inside the mask minus the mean of the pixels outside of it that an elliptic dilation by
    ``ring_pixels`` reaches. All targets of a mask count as one.

    Args:
        fused: Fused image, ``(H, W)`` or ``(H, W, 3)`` BGR uint8.
        ir: Infrared image, likewise.
        mask: ``(H, W)``; not zero at targets.
        ring_pixels: Width of the ring.
        gray: How colour becomes gray.

    Returns:
        1 where the fused image has the contrast of the infrared one, 0 where the target is gone, below 0 where it is
        inverted.

    Raises:
        InputError: Sizes differ, or images are not 8-bit.
        UndefinedError: The mask is empty or leaves no ring, or the infrared target has no contrast.
    """
    check_image(fused, "fused")
    check_image(ir, "ir")
    if mask.shape != fused.shape[:2] or ir.shape[:2] != fused.shape[:2]:
        sizes = (
            f"{name} is {image.shape[1]}x{image.shape[0]}"
            for name, image in (("fused", fused), ("ir", ir), ("mask", mask))
        )
        raise InputError(f"{', '.join(sizes)}: sizes must be equal")
    inside = mask != 0
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * ring_pixels + 1, 2 * ring_pixels + 1))
    ring = (cv2.dilate(inside.astype(np.uint8), ellipse) != 0) & ~inside
    if not inside.any() or not ring.any():
        raise UndefinedError("the mask is empty" if not inside.any() else "the mask leaves no background around it")

    def contrast(image: NDArray[np.uint8]) -> float:
        plane = to_gray(image, gray)
        return float(plane[inside].mean() - plane[ring].mean())

    contrast_ir = contrast(ir)
    if contrast_ir == 0:
        raise UndefinedError("the target has no contrast in ir")
    return contrast(fused) / contrast_ir
