"""Telling infrared and visible pictures that were given the wrong way round."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgefuse.arrays import Image
from edgefuse.errors import EdgeFuseError
from edgefuse.images import read_vis
from edgefuse.pairs import PathPair
from edgefuse.video import probe

__all__ = ["find_swapped", "is_gray", "is_scene_in_colour", "looks_swapped", "videos_look_swapped"]

_SIDE_PX = 120
"""Pictures are judged this small: noise, compression and cross-colour of analogue cameras average out, objects stay."""

_GRAY_COUNTS = 6.0
"""95 of 100 pixels of a gray picture differ by less between channels: JPEG and 4:2:0 video leave up to 4."""

_BRIGHTNESS_COUNTS = 2
_QUANTILE = 0.85
"""Of the pixels' colours; a coloured cross-hair, scale or logo in a thermal picture covers less than the rest."""

_LEAST_COLOUR_COUNTS = 3.0
_LEAST_FREE_SHARE = 0.42
_LARGEST_SATURATION_COUNTS = 110.0
"""A palette makes colour a function of the counts: within one brightness it hardly varies, or, where a palette runs
through one brightness twice as rainbows do, its colours are saturated throughout. Colour pictures that are all but gray
miss the limits too, and are taken for no sign.
"""

_SAMPLE = 9
"""Pairs of a folder that are looked at; reading them takes well under a second."""


def looks_swapped(ir: Image, vis: Image) -> bool:
    """Whether the infrared picture is a scene in colour and the visible one is gray.

    Args:
        ir: What was given as infrared: ``(H, W)``, or ``(H, W, 3)`` BGR uint8.
        vis: What was given as visible, of the same kinds.

    Returns:
        True only where colour is plain: a thermal palette, a tint or two gray pictures are no sign.
    """
    return is_scene_in_colour(ir) and is_gray(vis)


def is_gray(picture: Image) -> bool:
    """Whether the channels of a picture agree up to compression.

    Args:
        picture: ``(H, W)``, or ``(H, W, 3)`` BGR uint8.
    """
    return picture.ndim == 2 or float(np.percentile(_saturation(_reduced(picture)), 95)) < _GRAY_COUNTS


def is_scene_in_colour(picture: Image) -> bool:
    """Whether a picture shows a scene in its own colours, not counts through a palette.

    Args:
        picture: ``(H, W)``, or ``(H, W, 3)`` BGR uint8.
    """
    if picture.ndim == 2 or picture.dtype != np.uint8:
        return False
    small = _reduced(picture)
    if float(_saturation(small).mean()) > _LARGEST_SATURATION_COUNTS:
        return False
    planes = np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2YCrCb), np.float32).reshape(-1, 3)
    brightness, colours = (planes[:, 0] / _BRIGHTNESS_COUNTS).astype(int), planes[:, 1:]
    free = np.empty_like(colours)
    for level in np.unique(brightness):
        at = brightness == level
        free[at] = colours[at] - np.median(colours[at], axis=0)
    free_counts, counts = (
        float(np.quantile(np.linalg.norm(part, axis=1), _QUANTILE)) for part in (free, colours - np.median(colours, 0))
    )
    return free_counts >= _LEAST_COLOUR_COUNTS and free_counts >= _LEAST_FREE_SHARE * counts


def _reduced(picture: Image) -> NDArray[np.float32]:
    height, width = picture.shape[:2]
    factor = max(1, min(height, width) // _SIDE_PX)
    return np.asarray(
        cv2.resize(picture, (width // factor, height // factor), interpolation=cv2.INTER_AREA), np.float32
    )


def _saturation(bgr: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(bgr.max(axis=2) - bgr.min(axis=2))


def find_swapped(pairs: Sequence[PathPair]) -> PathPair | None:
    """Look at some of the pairs of a run.

    Args:
        pairs: Image files.

    Returns:
        The first pair that looks swapped, where a quarter of those looked at do; otherwise None. Files that cannot be
        read are passed over: fusing them says why.
    """
    sample = pairs[:: max(1, -(-len(pairs) // _SAMPLE))]
    found = [pair for pair in sample if _looks_swapped_on_disk(pair.ir, pair.vis)]
    return found[0] if found and 4 * len(found) >= len(sample) else None


def _looks_swapped_on_disk(ir: Path, vis: Path) -> bool:
    try:
        return is_scene_in_colour(read_vis(ir)) and is_gray(read_vis(vis))
    except EdgeFuseError:
        return False


def videos_look_swapped(ir: Path, vis: Path) -> bool:
    """Look at a frame from the middle of two videos: the first ones may be black.

    Args:
        ir: What was given as infrared.
        vis: What was given as visible.

    Returns:
        As :func:`looks_swapped` does; False where a frame cannot be decoded.

    Raises:
        InputError: A file is missing or no video.
    """
    frames = _middle_frame(ir), _middle_frame(vis)
    return frames[0] is not None and frames[1] is not None and looks_swapped(frames[0], frames[1])


def _middle_frame(path: Path) -> Image | None:
    middle = probe(path).frames // 2
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        # A file that cannot be searched goes on from its start.
        capture.set(cv2.CAP_PROP_POS_FRAMES, float(middle))
        decoded, frame = capture.read()
    finally:
        capture.release()
    return np.asarray(frame) if decoded else None
