"""Image files as luminance."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgefuse.errors import InputError

__all__ = ["decode_luminance", "read_luminance"]

Pixels = NDArray[Any]  # [H, W] or [H, W, C], uint8 or uint16


def read_luminance(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Read an image file as 8-bit luminance.

    Args:
        path: An 8- or 16-bit image with 1, 3 or 4 channels.

    Returns:
        BT.601 luminance; 16-bit images, raw thermal ones among them, are stretched from their darkest to their
        brightest thousandth.  # [H, W]

    Raises:
        InputError: The file is missing, damaged, empty or not an image.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot read it ({error.strerror})") from error
    return decode_luminance(content, path)


def decode_luminance(content: bytes, path: Path) -> NDArray[np.uint8]:
    """Decode the bytes of an image file as 8-bit luminance; ``path`` is for the messages. See `read_luminance`."""
    if not content:
        raise InputError(f"{path}: the file is empty")
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None or image.size == 0:
        raise InputError(f"{path}: not an image, or a damaged one")
    if image.dtype not in (np.uint8, np.uint16):
        raise InputError(f"{path}: {image.dtype} pixels; 8- and 16-bit images are read")
    luminance = _luminance(image)
    return _stretch(luminance) if luminance.dtype == np.uint16 else np.asarray(luminance, np.uint8)


def _stretch(image: Pixels) -> NDArray[np.uint8]:
    """Map the range between the darkest and the brightest thousandth of the pixels to 8 bits."""
    low, high = np.percentile(image, (0.1, 99.9))
    scaled = (image.astype(np.float32) - low) * (255.0 / max(float(high - low), 1.0))
    return np.asarray(np.clip(np.rint(scaled), 0, 255), np.uint8)


def _luminance(image: Pixels) -> Pixels:
    """BT.601 luminance; three equal channels keep their value exactly."""
    if image.ndim == 2:
        return image
    if image.shape[2] == 1:
        return image[:, :, 0]
    code = cv2.COLOR_BGRA2GRAY if image.shape[2] == 4 else cv2.COLOR_BGR2GRAY
    return np.asarray(cv2.cvtColor(image, code))
