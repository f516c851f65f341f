"""Reading and writing still images, with bounds."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgefuse.arrays import Image
from edgefuse.errors import InputError
from edgefuse.image_header import ImageHeaderError, image_size
from edgefuse.manifest import write_atomically

__all__ = ["LARGEST_IMAGE_PIXELS", "SMALLEST_SIDE", "read_ir", "read_vis", "write_image"]

LARGEST_IMAGE_PIXELS = 1 << 26
"""Images over 67 megapixels (8192 × 8192) are refused before they are decoded."""

SMALLEST_SIDE = 8
"""An image with a side under 8 pixels holds no scene to fuse; it is a sign of a broken file."""


def read_ir(path: str | os.PathLike[str]) -> Image:
    """Read an infrared image.

    Args:
        path: PNG, JPEG, TIFF, BMP or WebP file with 1 or 3 channels, of 8 or 16 bits or float.

    Returns:
        ``(H, W)`` in the file's own dtype. Of three equal channels one is kept; of three different ones (a
        palette) the BT.601 luminance.

    Raises:
        InputError: The file is missing, no image, damaged, too large or too small.
    """
    image = _decode(Path(path), cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)
    if image.ndim == 2:
        return image
    blue, green, red = (image[..., channel] for channel in range(3))
    if np.array_equal(blue, green) and np.array_equal(green, red):
        return np.ascontiguousarray(blue)
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))


def read_vis(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Read a visible image as 8-bit, gray where the file is gray.

    Args:
        path: PNG, JPEG, TIFF, BMP or WebP file.

    Returns:
        ``(H, W)`` or ``(H, W, 3)`` BGR uint8, as :func:`cv2.imread` orders it; transparency is dropped.

    Raises:
        InputError: The file is missing, no image, damaged, too large or too small.
    """
    image: NDArray[np.uint8] = _decode(Path(path), cv2.IMREAD_ANYCOLOR).astype(np.uint8, copy=False)
    return image


def _decode(path: Path, flags: int) -> Image:
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except OSError as error:
        raise InputError(f"{path}: cannot read it ({error.strerror})") from error
    try:
        height, width = image_size(data)
    except ImageHeaderError as error:
        raise InputError(f"{path}: {error}") from error
    if height * width > LARGEST_IMAGE_PIXELS:
        raise InputError(f"{path}: {width}x{height} pixels is more than {LARGEST_IMAGE_PIXELS}; crop or resize it")
    if min(height, width) < SMALLEST_SIDE:
        raise InputError(f"{path}: {width}x{height} pixels is too small; each side needs at least {SMALLEST_SIDE}")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise InputError(f"{path}: cannot decode it ({error.err})") from error
    if image is None:
        raise InputError(f"{path}: cannot decode it; the file is damaged")
    return np.asarray(image)


def write_image(path: str | os.PathLike[str], image: Image) -> None:
    """Write an image in one step: a reader never sees half of it.

    Args:
        path: File whose suffix names the format; its folder is made where it is missing.
        image: ``(H, W)`` or ``(H, W, 3)`` BGR.

    Raises:
        InputError: The suffix is no image format, or the file cannot be written.
    """
    path = Path(path)
    try:
        encoded, data = cv2.imencode(path.suffix, image)
    except cv2.error as error:
        raise InputError(
            f"{path}: cannot write {path.suffix or 'a file without suffix'}; use .png, .jpg or .tif"
        ) from error
    if not encoded:
        raise InputError(f"{path}: OpenCV cannot encode this image as {path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data.tobytes())
    except OSError as error:
        raise InputError(f"{path}: cannot write it ({error.strerror})") from error
