"""The shape of a car: a body lofted through cross-sections, glass, lamps and wheels, all as flat polygons."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import Literal

import cv2
import numpy as np

from edgefuse.synthetic.cast.car_fittings import fittings, wheels
from edgefuse.synthetic.cast.car_parts import CarMesh, Part, Piece
from edgefuse.synthetic.drawing import Floats

__all__ = ["HALF_LENGTH_METRES", "CarShape", "car_mesh"]

CarShape = Literal["hatchback", "saloon"]

HALF_LENGTH_METRES = 2.15


# Height of the body's top along the car, front first, for a hatchback and a saloon.
_PROFILES = {
    "hatchback": (
        (2.15, 2.11, 2.00, 1.80, 1.40, 0.95, 0.62, 0.20, -0.10, -0.70, -1.30, -1.62, -1.90, -2.06, -2.15),
        (0.50, 0.66, 0.745, 0.80, 0.88, 0.95, 1.16, 1.39, 1.455, 1.475, 1.43, 1.37, 1.05, 0.93, 0.55),
    ),
    "saloon": (
        (2.15, 2.11, 2.00, 1.80, 1.40, 0.90, 0.55, 0.10, -0.20, -0.60, -0.95, -1.25, -1.55, -2.00, -2.10, -2.15),
        (0.50, 0.64, 0.725, 0.78, 0.86, 0.93, 1.15, 1.37, 1.425, 1.43, 1.39, 1.23, 1.04, 0.99, 0.88, 0.55),
    ),
}


def _half_width(along: Floats) -> Floats:
    """Half of the body's width: full amidships, rounded toward both ends."""
    stations = (-2.15, -2.10, -1.95, -1.6, 0.0, 1.5, 1.85, 2.02, 2.10, 2.15)
    widths = (0.72, 0.79, 0.85, 0.885, 0.89, 0.885, 0.845, 0.77, 0.69, 0.60)
    return np.asarray(np.interp(along, stations, widths), np.float32)


def _section(along: float, top: float, half: float) -> Floats:
    """Right half of a cross-section, from the sill to the middle of the roof: right and up."""  # [11, 2]
    belt = 0.90 + 0.03 * (0.5 - along / 4.3)
    shoulder = min(belt, top - 0.035)
    cabin = float(np.clip((top - belt) / 0.45, 0.0, 1.0))
    edge = 0.90 - 0.20 * cabin
    waist = 0.22 + 0.62 * (shoulder - 0.22)
    points = [
        (0.90 * half, 0.20),
        (0.955 * half, 0.25),
        (0.985 * half, 0.22 + 0.40 * (shoulder - 0.22)),
        (1.0 * half, waist),
        (0.99 * half, 0.22 + 0.85 * (shoulder - 0.22)),
        (0.965 * half, shoulder),
    ]
    rim = max(top - 0.055, shoulder + 0.006)
    points += [
        ((0.965 + (edge - 0.965) * 0.5) * half, shoulder + 0.52 * (rim - shoulder)),
        (edge * half, rim),
        (0.86 * edge * half, top - 0.016),
        (0.5 * edge * half, top - 0.003),
        (0.0, top),
    ]
    return np.array(points, np.float32)


def _loft(shape: CarShape) -> Floats:
    """Cross-sections along the body, each from the left sill over the roof to the right one."""  # [S, 21, 3]
    along_points, top_points = (np.array(row, np.float32) for row in _PROFILES[shape])
    spans = pairwise(along_points.tolist())
    along = np.concatenate([*(np.linspace(a, b, 3, dtype=np.float32)[:-1] for a, b in spans), along_points[-1:]])
    top = np.interp(-along, -along_points, top_points).astype(np.float32)
    top = cv2.GaussianBlur(top[None], (0, 0), 0.7, borderType=cv2.BORDER_REPLICATE)[0]
    rows = []
    for a, t, w in zip(along.tolist(), top.tolist(), _half_width(along).tolist(), strict=True):
        section = _section(a, t, w)
        ring = np.concatenate([section[:-1] * np.array([-1, 1], np.float32), section[::-1]])
        rows.append(np.column_stack([ring, np.full(len(ring), a, np.float32)]))
    return np.stack(rows).astype(np.float32)


@lru_cache(maxsize=4)
def car_mesh(shape: CarShape) -> CarMesh:
    """The whole car as polygons, counter-clockwise from outside."""
    grid = _loft(shape)
    pieces: list[Piece] = []
    for i in range(len(grid) - 1):
        for j in range(grid.shape[1] - 1):
            quad = np.stack([grid[i, j], grid[i, j + 1], grid[i + 1, j + 1], grid[i + 1, j]])
            pieces.append((quad, _material(shape, quad.mean(axis=0), j), 1))
    pieces += [(grid[0][::-1], Part.PAINT, 1), (grid[-1], Part.PAINT, 1)]
    pieces += [*fittings(), *wheels()]
    polygons = [polygon for polygon, _, _ in pieces]
    return CarMesh(
        vertices=np.concatenate(polygons),
        starts=np.cumsum([0, *(len(polygon) for polygon in polygons)]),
        middles=np.stack([polygon.mean(axis=0) for polygon in polygons]),
        normals=np.stack([_normal(polygon) for polygon in polygons]),
        materials=np.array([material for _, material, _ in pieces], np.uint8),
        layers=np.array([layer for _, _, layer in pieces], np.int64),
    )


def _normal(polygon: Floats) -> Floats:
    """Unit normal of a polygon by Newell's sum, which bears slightly bent ones."""
    following = np.roll(polygon, -1, axis=0)
    total = np.cross(polygon, following).sum(axis=0)
    return np.asarray(total / max(float(np.linalg.norm(total)), 1e-9), np.float32)


def _material(shape: CarShape, middle: Floats, column: int) -> int:
    """What a piece of the body is made of, by where it lies."""
    along = float(middle[2])
    ring = min(column, 19 - column)  # 0 at the sill, 9 in the middle
    if ring == 0:
        return Part.TRIM
    screen = (0.16, 0.93) if shape == "hatchback" else (0.06, 0.88)
    rear = (-1.88, -1.60) if shape == "hatchback" else (-1.52, -1.00)
    if ring in (5, 6):
        low, high = (-1.60, 0.62) if shape == "hatchback" else (-1.12, 0.58)
        if low < along < high and float(middle[1]) > 0.93:
            pillar = abs(along + 0.42) < 0.06 or (shape == "hatchback" and abs(along + 1.22) < 0.07)
            return Part.TRIM if pillar else Part.GLASS
        return Part.PAINT
    if ring >= 7 and (screen[0] < along < screen[1] or rear[0] < along < rear[1]):
        return Part.GLASS
    return Part.PAINT
