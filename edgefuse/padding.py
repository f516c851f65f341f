"""Padding an image to a size that a network takes, and taking it off again."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edgefuse.errors import InputError

__all__ = ["pad_to", "padded_size"]


def padded_size(
    height: int, width: int, *, multiple: int = 1, minimum: int = 1, fixed: tuple[int, int] | None = None
) -> tuple[int, int]:
    """The size to pad an image to.

    Args:
        height: Height of the image in pixels.
        width: Width of the image in pixels.
        multiple: Both sides must be multiples of it.
        minimum: Both sides must be at least this.
        fixed: Height and width that a network of one size takes, or None.

    Returns:
        Height and width, each at least the image's.

    Raises:
        InputError: The image is larger than the one size that the network takes.
    """
    if fixed is not None:
        if height > fixed[0] or width > fixed[1]:
            raise InputError(
                f"the image is {width}x{height}, the model takes at most {fixed[1]}x{fixed[0]}: "
                f"resize the image, or export the model with --imgsz {height} {width}"
            )
        return fixed
    sides = (max(minimum, -(-side // multiple) * multiple) for side in (height, width))
    padded_height, padded_width = (-(-side // multiple) * multiple for side in sides)
    return padded_height, padded_width


def pad_to(image: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Extend an image to the right and downwards by mirroring it at its edge.

    Args:
        image: ``(H, W)``, at least 2 × 2 pixels.
        size: Height and width to reach.

    Returns:
        ``(size[0], size[1])``; the image itself where it has that size already.
    """
    down, right = size[0] - image.shape[0], size[1] - image.shape[1]
    if down == 0 and right == 0:
        return image
    padded: NDArray[np.float32] = cv2.copyMakeBorder(image, 0, down, 0, right, cv2.BORDER_REFLECT_101)  # type: ignore[assignment]
    return padded
