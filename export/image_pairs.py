"""Image pairs to check an artifact on and to calibrate it with: real ones, or the simulated street."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgefuse.arrays import Image
from edgefuse.errors import InputError
from edgefuse.images import read_ir, read_vis
from edgefuse.kernels import luminance_bgr
from edgefuse.pairs import PathPair, pair_folders
from edgefuse.thermal import to_unit
from edgefuse.wording import counted

__all__ = ["PairSet", "network_inputs", "real_pairs", "synthetic_pairs"]

Floats = NDArray[np.float32]

# The street is drawn small and enlarged: a parity check needs structure at all scales, not new detail.
_LARGEST_RENDERED_SIDE = 320


@dataclass(frozen=True)
class PairSet:
    """Pairs as arrays, and where they came from.

    Attributes:
        description: For the manifest: no paths of this machine.
        pairs: ``(H, W)`` infrared and ``(H, W)`` or ``(H, W, 3)`` BGR visible images.
    """

    description: str
    pairs: tuple[tuple[Image, NDArray[np.uint8]], ...]


def synthetic_pairs(height: int, width: int, *, count: int = 2) -> PairSet:
    """Pairs of the simulated night street at one size.

    Args:
        height: Rows.
        width: Columns.
        count: How many moments of the street.

    Returns:
        The pairs.
    """
    from edgefuse.synthetic import StreetScene

    shrink = min(1.0, _LARGEST_RENDERED_SIDE / max(height, width))
    rows, columns = (max(48, round(side * shrink)) for side in (height, width))
    scene = StreetScene(rows, columns, seed=7)
    pairs = []
    for i in range(count):
        shown = scene.render(2.5 * i)
        ir, vis = (cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC) for image in (shown.ir, shown.vis))
        pairs.append((ir, np.asarray(vis, dtype=np.uint8)))
    return PairSet(f"simulated street, {count} moments", tuple(pairs))


def real_pairs(ir: str | os.PathLike[str], vis: str | os.PathLike[str], *, count: int | None = None) -> PairSet:
    """Pairs of two files, or of two folders by name, spread evenly over them.

    Args:
        ir: Infrared file or folder.
        vis: Visible file or folder.
        count: How many pairs at most.

    Returns:
        The pairs.

    Raises:
        InputError: Nothing pairs up, or an image cannot be read.
    """
    ir, vis = Path(ir), Path(vis)
    if ir.is_dir() != vis.is_dir():
        raise InputError(f"{ir} and {vis} must be two files or two folders")
    found = pair_folders(ir, vis).pairs if ir.is_dir() else (PathPair(ir.stem, ir, vis),)
    if count is not None and count < len(found):
        found = tuple(found[round(i * (len(found) - 1) / max(count - 1, 1))] for i in range(count))
    arrays = tuple((read_ir(pair.ir), read_vis(pair.vis)) for pair in found)
    return PairSet(f"{counted(len(arrays), 'pair')} of {ir.parent.name}/{ir.name} and {vis.name}", arrays)


def network_inputs(
    pair: tuple[Image, NDArray[np.uint8]], *, names: Sequence[str], channels: Sequence[int], size: tuple[int, int]
) -> list[Floats]:
    """Turn a pair into a network's inputs.

    Args:
        pair: Infrared and visible image.
        names: Names of the inputs; of a single one, ``vis`` takes the visible image and any other name the infrared.
        channels: 1 for luminance, 3 for colour in RGB order (the infrared image three times).
        size: Height and width in pixels.

    Returns:
        One array an input.  # [1, C, H, W]
    """
    ir, vis = pair
    infrared = _sized(to_unit(ir), size)
    images = []
    for place, (name, count) in enumerate(zip(names, channels, strict=True)):
        is_visible = name == "vis" or (len(names) > 1 and place == 1)
        if not is_visible:
            planes = np.repeat(infrared[None], count, axis=0)
        elif count == 1:
            gray = luminance_bgr(vis) if vis.ndim == 3 else vis
            planes = _sized(_unit(gray), size)[None]
        else:
            colour = vis if vis.ndim == 3 else np.repeat(vis[..., None], 3, axis=2)
            planes = np.stack([_sized(_unit(colour[..., channel]), size) for channel in (2, 1, 0)])
        images.append(np.ascontiguousarray(planes[None], dtype=np.float32))
    return images


def _unit(image: NDArray[np.uint8] | Floats) -> Floats:
    return image.astype(np.float32) / np.float32(255.0) if image.dtype == np.uint8 else image.astype(np.float32)


def _sized(image: Floats, size: tuple[int, int]) -> Floats:
    """Cut the middle out of an image that is large enough, and enlarge one that is not."""
    height, width = size
    if image.shape[0] < height or image.shape[1] < width:
        return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), dtype=np.float32)
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[top : top + height, left : left + width]
