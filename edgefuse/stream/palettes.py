"""Colours for a thermal picture, a spot or box temperature, and the overlay on the visible picture."""

from __future__ import annotations

import functools
from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from edgefuse.arrays import Image
from edgefuse.errors import InputError, UsageError
from edgefuse.stream.profiles import ThermalProfile

__all__ = ["PALETTES", "Palette", "box_celsius", "check_palette", "colour", "overlay"]

Palette = Literal["white-hot", "black-hot", "inferno", "ironbow", "rainbow"]
PALETTES: tuple[Palette, ...] = get_args(Palette)

_IRONBOW = np.array(
    [
        [0, 0, 0],
        [100, 0, 30],
        [140, 10, 120],
        [110, 20, 190],
        [30, 80, 235],
        [0, 160, 255],
        [60, 225, 255],
        [255, 255, 255],
    ]
)
"""Blue, green and red of eight equal steps from cold to hot."""

_COLOUR_MAPS: dict[Palette, int] = {"inferno": cv2.COLORMAP_INFERNO, "rainbow": cv2.COLORMAP_JET}


def colour(unit: NDArray[np.float32], palette: Palette) -> NDArray[np.uint8]:
    """Colour a thermal picture.

    Args:
        unit: ``(H, W)`` float32 in [0, 1].
        palette: One of ``PALETTES``.

    Returns:
        ``(H, W, 3)`` BGR uint8.

    Raises:
        UsageError: An unknown palette.
    """
    check_palette(palette)
    gray = (np.clip(unit, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
    if palette == "black-hot":
        gray = 255 - gray
    if palette == "ironbow":
        return np.asarray(cv2.applyColorMap(gray, _ironbow_table()[:, None]), np.uint8)
    if palette in _COLOUR_MAPS:
        return np.asarray(cv2.applyColorMap(gray, _COLOUR_MAPS[palette]), np.uint8)
    return np.repeat(gray[..., None], 3, axis=2)


def check_palette(name: str) -> Palette:
    """Refuse what is no palette.

    Raises:
        UsageError: It is not one of ``PALETTES``.
    """
    for palette in PALETTES:
        if palette == name:
            return palette
    raise UsageError(f"palette must be one of {', '.join(PALETTES)}, not {name!r}")


def _ironbow_table() -> NDArray[np.uint8]:
    at = np.linspace(0, 255, len(_IRONBOW))
    columns = [np.interp(np.arange(256), at, _IRONBOW[:, channel]) for channel in range(3)]
    table: NDArray[np.uint8] = np.rint(np.stack(columns, axis=1)).astype(np.uint8)
    return table


_OVERLAY_TOP = 6 / 7
"""The overlay's hottest colour is ironbow's yellow: its white over a gray or white scene would be gray or white."""

_OVERLAY_OPACITY = (0.35, 0.85)
"""Of the coldest and the hottest: contours of both pictures stay visible in the cold, what is hot stands out."""


def overlay(unit: NDArray[np.float32], vis: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay the coloured infrared picture over the visible one, the hotter the more opaque.

    It shows where the hot targets are, and by the contours of the rest how well the two are registered.

    Args:
        unit: Infrared in [0, 1], of the size of ``vis``.  # [H, W]
        vis: ``(H, W)`` or ``(H, W, 3)`` BGR uint8.

    Returns:
        ``(H, W, 3)`` BGR uint8.
    """
    base = vis if vis.ndim == 3 else cv2.cvtColor(vis, cv2.COLOR_GRAY2BGR)
    counts = (np.clip(unit, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
    added, kept = _overlay_tables()
    below = cv2.multiply(base, cv2.applyColorMap(counts, kept), scale=1 / 255)
    return np.asarray(cv2.add(below, cv2.applyColorMap(counts, added)), np.uint8)


@functools.cache
def _overlay_tables() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """What each of 256 heats adds to a pixel, and the share of 255 that it leaves of it.  # [256, 1, 3] each"""
    heat = np.linspace(0.0, 1.0, 256, dtype=np.float32)[:, None]
    opacity = np.interp(heat, (0.0, 1.0), _OVERLAY_OPACITY)[..., None]
    added = np.rint(colour(heat * np.float32(_OVERLAY_TOP), "ironbow") * opacity).astype(np.uint8)
    return added, np.repeat(np.rint(255.0 * (1.0 - opacity)).astype(np.uint8), 3, axis=2)


def box_celsius(counts: Image, profile: ThermalProfile, box: tuple[int, int, int, int]) -> tuple[float, float, float]:
    """Temperature in a box of a radiometric picture; a spot is a box of one pixel.

    Args:
        counts: Raw counts, before any gain control.  # [H, W]
        profile: The camera's.
        box: x, y, width, height in pixels of ``counts``.

    Returns:
        Lowest, mean and highest temperature in degrees Celsius.

    Raises:
        InputError: The box leaves the picture.
        UsageError: The camera is not radiometric.
    """
    x, y, width, height = box
    if min(x, y) < 0 or min(width, height) < 1 or x + width > counts.shape[1] or y + height > counts.shape[0]:
        raise InputError(f"the box {box} leaves the infrared picture of {counts.shape[1]}x{counts.shape[0]}")
    part = counts[y : y + height, x : x + width].astype(np.float64)
    low, mean, high = (float(profile.celsius(float(value))) for value in (part.min(), part.mean(), part.max()))
    return low, mean, high
