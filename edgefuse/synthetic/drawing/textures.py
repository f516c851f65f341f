"""Procedural textures: periodic fractal noise, hashed random numbers, lettering, and looking them up."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgefuse.synthetic.drawing.camera import Floats

__all__ = ["fractal", "hashed", "lettering", "noise_tile", "sample_grid", "sample_image", "smoothstep"]

_TILE = 512
_TILES = 2
_MAP_COLUMNS = 1024
# OpenCV's remap takes no picture of 32767 rows or more.
_MAP_ROWS = 16384
_GLYPH = 100


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
    tile: Floats = ((shaped - shaped.mean()) / shaped.std()).astype(np.float32)
    tile.flags.writeable = False
    return tile


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
    return _look_up(tile, x, y, cv2.BORDER_WRAP)


def sample_grid(grid: Floats, column: NDArray[Any], row: NDArray[Any]) -> Floats:  # [h, w, C], [N], [N] -> [N, C]
    """Values between the nodes of a grid, at fractional columns and rows."""
    return _look_up(grid, column, row, cv2.BORDER_REPLICATE)


def sample_image(image: Floats, u_unit: Floats, v_unit: Floats) -> Floats:  # [h, w, C], [N], [N] -> [N, C]
    """Look an image up at positions in [0, 1], v downward; outside it the border repeats."""
    rows, columns = image.shape[:2]
    u = np.clip(u_unit, 0.0, 1.0) * columns - 0.5
    v = np.clip(v_unit, 0.0, 1.0) * rows - 0.5
    return _look_up(image, u, v, cv2.BORDER_REPLICATE)


def _look_up(image: Floats, x: NDArray[Any], y: NDArray[Any], border: int) -> Floats:
    """Bilinear values at N places, which are folded into a picture of places as OpenCV wants it."""
    count = x.size
    if count == 0:
        return np.zeros((0, *image.shape[2:]), np.float32)
    fold = (-1, _MAP_COLUMNS)
    padding = -count % _MAP_COLUMNS
    map_x = np.pad(x.astype(np.float32), (0, padding)).reshape(fold)
    map_y = np.pad(y.astype(np.float32), (0, padding)).reshape(fold)
    pieces = [
        cv2.remap(image, map_x[i : i + _MAP_ROWS], map_y[i : i + _MAP_ROWS], cv2.INTER_LINEAR, borderMode=border)
        for i in range(0, len(map_x), _MAP_ROWS)
    ]
    return np.asarray(np.concatenate(pieces).reshape(-1, *image.shape[2:])[:count], np.float32)


def hashed(a: NDArray[Any], b: NDArray[Any], *, seed: int) -> Floats:
    """A repeatable random number in [0, 1) for each pair of whole numbers, as for the bricks of a wall."""
    mixed = a.astype(np.int64).astype(np.uint64) * np.uint64(0x9E3779B1)
    mixed ^= b.astype(np.int64).astype(np.uint64) * np.uint64(0x85EBCA77)
    mixed ^= np.uint64(seed) * np.uint64(0xC2B2AE3D)
    mixed ^= mixed >> np.uint64(15)
    mixed *= np.uint64(0x2C1B3C6D)
    mixed ^= mixed >> np.uint64(12)
    return (mixed & np.uint64(0xFFFF)).astype(np.float32) / np.float32(65536)


def smoothstep(low: float, high: float, x: Floats) -> Floats:
    """0 below ``low``, 1 above ``high``, a cubic in between; ``low`` may exceed ``high`` to fall instead."""
    unit = np.clip((x - low) / (high - low), 0.0, 1.0)
    return np.asarray(unit * unit * (3.0 - 2.0 * unit), np.float32)


def _ink(line: str, weight: float) -> NDArray[np.uint8]:
    """A line of letters, cut to its ink."""
    scale = _GLYPH / 21  # the font's capitals are 21 units tall
    thick = max(1, round(weight * _GLYPH))
    (across, _), _ = cv2.getTextSize(line, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    picture = np.zeros((_GLYPH + 2 * thick, across + 2 * thick), np.uint8)
    cv2.putText(picture, line, (thick, _GLYPH + thick), cv2.FONT_HERSHEY_SIMPLEX, scale, 255, thick, cv2.LINE_AA)
    columns = np.flatnonzero(picture.any(axis=0))
    return picture[:, columns[0] : columns[-1] + 1]


def lettering(
    text: str, *, height: int, aspect: float, weight: float = 0.16, margin: float = 0.12, vertical: bool = False
) -> Floats:
    """The coverage of a word drawn to fill a panel.

    Args:
        text: The word, in ASCII capitals and digits.
        height: Rows of the picture.
        aspect: Width of the panel over its height.
        weight: Stroke thickness as a part of the letter height.
        margin: Free space on each side as a part of the shorter side.
        vertical: Set the letters one below the other.

    Returns:
        Coverage in [0, 1].  # [height, width]
    """
    width = max(2, round(height * aspect))
    drawn = [_ink(line, weight) for line in (text if vertical else [text])]
    border = margin * min(height, width)
    step = (height - 2 * border) / len(drawn)
    scale_y = step * (0.86 if vertical else 1.0) / drawn[0].shape[0]
    scale_x = min((width - 2 * border) / max(picture.shape[1] for picture in drawn), 1.25 * scale_y)
    scale_y = min(scale_y, 1.6 * scale_x)
    panel = np.zeros((height, width), np.float32)
    for index, picture in enumerate(drawn):
        size = max(1, round(picture.shape[1] * scale_x)), max(1, round(picture.shape[0] * scale_y))
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255.0
        top, left = round(border + step * (index + 0.5) - size[1] / 2), round((width - size[0]) / 2)
        panel[top : top + size[1], left : left + size[0]] = small[: height - top]
    return panel
