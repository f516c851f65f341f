"""How a colour image becomes gray before a metric sees it: three rules, one level apart in a few pixels."""

from __future__ import annotations

from typing import Any, Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from edgefuse.errors import InputError

__all__ = ["Gray", "GrayRule", "check_image", "to_gray"]

Gray = NDArray[np.uint8]
"""One 8-bit plane, ``(H, W)``."""

GrayRule = Literal["matlab", "opencv", "pillow"]
"""``matlab``: ``rgb2gray``; ``opencv``: float ``BGR2GRAY``, then round half to even; ``pillow``: ``convert("L")``."""

# MATLAB's rgb2gray: the first row of the inverse of the NTSC YIQ matrix, scaled to sum to one (B, G, R).
_MATLAB = np.array([[0.114020904255103, 0.587043074451121, 0.298936021293775]])
# Pillow's fixed point weights with 16 fractional bits (B, G, R).
_PILLOW = np.array([[7471.0, 38470.0, 19595.0]])


def check_image(image: NDArray[Any], name: str) -> None:
    """Refuse what the metrics are not defined on.

    Args:
        image: Candidate image.
        name: What to call it in the error.

    Raises:
        InputError: Not uint8, or neither ``(H, W)`` nor ``(H, W, 3)``, or empty.
    """
    is_shape = image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)
    if image.dtype != np.uint8 or not is_shape or image.size == 0:
        raise InputError(
            f"{name} must be uint8 of shape (H, W) or (H, W, 3), not {image.dtype} of shape {image.shape}: "
            "the metrics are defined on 8-bit images"
        )


def to_gray(image: NDArray[np.uint8], rule: GrayRule) -> Gray:
    """Turn an image into one 8-bit plane.

    Args:
        image: ``(H, W)``, or ``(H, W, 3)`` BGR.
        rule: Which weights and which rounding.

    Returns:
        ``(H, W)``; a gray image as it is.
    """
    if image.ndim == 2:
        return image
    if rule == "opencv":
        gray = np.rint(cv2.cvtColor(image.astype(np.float32), cv2.COLOR_BGR2GRAY))
    elif rule == "matlab":
        gray = np.floor(cv2.transform(image.astype(np.float64), _MATLAB) + 0.5)
    elif rule == "pillow":
        gray = np.floor(cv2.transform(image.astype(np.float64), _PILLOW) / 65536 + 0.5)
    else:
        raise ValueError(f"gray rule must be one of {', '.join(get_args(GrayRule))}, not {rule!r}")
    return np.clip(gray, 0, 255).astype(np.uint8)
