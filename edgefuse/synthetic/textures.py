"""Procedural textures: periodic fractal noise, its sampling, hashed random numbers and lettering."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from edgefuse.synthetic.camera import Floats

__all__ = ["fractal", "hashed", "lettering", "noise_tile", "sample_grid", "sample_image", "smoothstep"]

_TILE = 512
_TILES = 2
_MAP_COLUMNS = 1024


@lru_cache(maxsize=32)
def noise_tile(seed: int, *, slope: float) -> Floats:
    """A periodic 512×512 tile of fractal noise of mean 0 and deviation 1.

    Args:
        seed: Which tile.
        slope: Amplitude falls as frequency to this power: 0 is white, 1 is cloud-like, above 1.5 is smooth.

    Returns:
        The tile, read-only since it is shared.
    """
    white = np.random.default_rng(seed).standard_normal((_TILE, _TILE))
    frequency = np.hypot(np.fft.fftfreq(_TILE)[:, None], np.fft.rfftfreq(_TILE)[None, :])
    frequency[0, 0] = np.inf
    shaped = np.fft.irfft2(np.fft.rfft2(white) * frequency**-slope, s=(_TILE, _TILE))
    tile = ((shaped - shaped.mean()) / shaped.std()).astype(np.float32)
    tile.flags.writeable = False
    return tile


def _remap(image: NDArray[np.float32], x: Floats, y: Floats, border: int) -> Floats:
    """Bilinear lookups at N places; OpenCV wants a map with both sides below 32768, so N is folded into rows."""
    count = x.size
    padding = -count % _MAP_COLUMNS
    fold = (-1, _MAP_COLUMNS)
    map_x = np.pad(x.astype(np.float32), (0, padding)).reshape(fold)
    map_y = np.pad(y.astype(np.float32), (0, padding)).reshape(fold)
    channels = image.shape[2:]
    pieces = [
        cv2.remap(image, map_x[i : i + 16384], map_y[i : i + 16384], cv2.INTER_LINEAR, borderMode=border)
        for i in range(0, len(map_x), 16384)
    ]
    return np.concatenate(pieces).reshape(-1, *channels)[:count]


def fractal(seed: int, x_metres: Floats, y_metres: Floats, *, slope: float, texels_per_metre: float) -> Floats:
    """Fractal noise at positions in metres.

    Args:
        seed: Which noise; seeds share a few tiles, each from its own place.
        x_metres: First coordinate.  # [N]
        y_metres: Second coordinate.  # [N]
        slope: As of the tile.
        texels_per_metre: Scale.

    Returns:
        Values of mean 0 and deviation 1.  # [N]
    """
    tile = noise_tile(seed % _TILES, slope=slope)
    x = (x_metres * texels_per_metre + (seed * 131.7) % _TILE) % _TILE
    y = (y_metres * texels_per_metre + (seed * 57.3) % _TILE) % _TILE
    return _remap(tile, x, y, cv2.BORDER_WRAP)


def sample_grid(grid: Floats, column: Floats, row: Floats) -> Floats:  # [h, w, C], [N], [N] -> [N, C]
    """Values between the nodes of a grid, at fractional columns and rows."""
    return _remap(grid, column, row, cv2.BORDER_REPLICATE)


def sample_image(image: Floats, u_unit: Floats, v_unit: Floats) -> Floats:  # [h, w, C], [N], [N] -> [N, C]
    """Look an image up at positions in [0, 1], v downward; outside it the border repeats."""
    rows, columns = image.shape[:2]
    u = np.clip(u_unit, 0.0, 1.0) * columns - 0.5
    v = np.clip(v_unit, 0.0, 1.0) * rows - 0.5
    return _remap(image, u, v, cv2.BORDER_REPLICATE)


def hashed(a: NDArray[np.int64], b: NDArray[np.int64], *, seed: int) -> Floats:
    """A repeatable random number in [0, 1) for each pair of integers, as for the bricks of a wall."""
    mixed = (a.astype(np.uint64) * np.uint64(0x9E3779B1)) ^ (b.astype(np.uint64) * np.uint64(0x85EBCA77))
    mixed ^= np.uint64(seed) * np.uint64(0xC2B2AE3D)
    mixed ^= mixed >> np.uint64(15)
    mixed *= np.uint64(0x2C1B3C6D)
    mixed ^= mixed >> np.uint64(12)
    return ((mixed & np.uint64(0xFFFF)).astype(np.float32)) / np.float32(65536)


def smoothstep(low: float, high: float, x: Floats) -> Floats:
    """0 below ``low``, 1 above ``high``, a cubic in between; ``low`` may exceed ``high`` to fall instead."""
    unit = np.clip((x - low) / (high - low), 0.0, 1.0)
    return np.asarray(unit * unit * (3.0 - 2.0 * unit), np.float32)


def lettering(
    text: str, *, height: int, aspect: float, weight: float = 0.16, margin: float = 0.12, vertical: bool = False
) -> Floats:
    """The coverage of a word drawn to fill a panel.

    Args:
        text: The word, in ASCII.
        height: Rows of the picture.
        aspect: Width of the panel over its height.
        weight: Stroke thickness as a part of the letter height.
        margin: Free space on each side as a part of the shorter side.
        vertical: Set the letters one below the other.

    Returns:
        Coverage in [0, 1].  # [height, width]
    """
    width = max(2, round(height * aspect))
    lines = list(text) if vertical else text.split("\n")
    box = margin * min(height, width)
    step = (height - 2 * box) / len(lines)
    glyph = 100
    drawn = []
    for line in lines:
        (across, _), _ = cv2.getTextSize(line, cv2.FONT_HERSHEY_SIMPLEX, glyph / 21, 1)
        thick = max(1, round(weight * glyph))
        picture = np.zeros((glyph + 2 * thick, across + 2 * thick), np.uint8)
        origin = (thick, glyph + thick)
        cv2.putText(picture, line, origin, cv2.FONT_HERSHEY_SIMPLEX, glyph / 21, 255, thick, cv2.LINE_AA)
        ink = np.flatnonzero(picture.any(axis=0))
        drawn.append(picture[:, ink[0] : ink[-1] + 1] if ink.size else picture)
    panel = np.zeros((height, width), np.float32)
    widest = max(picture.shape[1] for picture in drawn)
    tall = step * (0.86 if len(lines) > 1 else 1.0)
    scale_y = tall / drawn[0].shape[0]
    scale_x = min((width - 2 * box) / widest, 1.25 * scale_y)
    scale_y = min(scale_y, 1.6 * scale_x)
    for index, picture in enumerate(drawn):
        size = (max(1, round(picture.shape[1] * scale_x)), max(1, round(picture.shape[0] * scale_y)))
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255.0
        top = round(box + step * (index + 0.5) - size[1] / 2)
        left = round((width - size[0]) / 2)
        panel[top : top + size[1], left : left + size[0]] = small[: height - top]
    return panel
