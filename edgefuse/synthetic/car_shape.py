"""The shape of a car: a body lofted through cross-sections, glass, lamps and wheels, all as flat polygons."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from edgefuse.synthetic.camera import Floats

__all__ = ["HALF_LENGTH_METRES", "CarMesh", "CarShape", "Part", "car_mesh"]

CarShape = Literal["hatchback", "saloon"]

HALF_LENGTH_METRES = 2.15
_AXLES = (1.30, -1.28)
_WHEEL_RADIUS = 0.32


class Part:
    """Numbers of the materials of a car."""

    PAINT, GLASS, TRIM, TYRE, RIM, HEADLAMP, TAILLAMP, PLATE, GRILLE = range(1, 10)
    COUNT = 10


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


@dataclass(frozen=True)
class CarMesh:
    """Convex polygons in car axes: right, up, forward, in metres.

    Args:
        vertices: Corners of all polygons, one after the other.  # [V, 3]
        starts: Where each polygon's corners begin, and after the last, V.  # [P + 1]
        middles: Mean corner of each.  # [P, 3]
        normals: Outward unit normals.  # [P, 3]
        materials: Numbers of ``Part``.  # [P]
        layers: What lies on what: 0 tyres below, 1 body, 2 and up what is set into it.  # [P]
    """

    vertices: Floats
    starts: NDArray[np.int64]
    middles: Floats
    normals: Floats
    materials: NDArray[np.uint8]
    layers: NDArray[np.int64]


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
    spans = zip(along_points[:-1], along_points[1:], strict=True)
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
    pieces: list[tuple[Floats, int, int]] = []
    for i in range(len(grid) - 1):
        for j in range(grid.shape[1] - 1):
            quad = np.stack([grid[i, j], grid[i, j + 1], grid[i + 1, j + 1], grid[i + 1, j]])
            pieces.append((quad, _material(shape, quad.mean(axis=0), j), 1))
    pieces += [(grid[0][::-1], Part.PAINT, 1), (grid[-1], Part.PAINT, 1)]
    pieces += [(polygon, material, 2) for polygon, material in _fittings()]
    pieces += _wheels()
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


def _fittings() -> list[tuple[Floats, int]]:
    """Lamps, grille, bumpers' dark parts and number plates, a little outside the body."""
    pieces: list[tuple[list[tuple[float, float, float]], int]] = []

    def across(low: float, high: float, half_low: float, half_high: float, z: float, material: int, *, lean: float = 0.0) -> None:
        corners = [(-half_low, low, z), (-half_high, high, z - lean), (half_high, high, z - lean), (half_low, low, z)]
        pieces.append((corners[::-1] if z > 0 else corners, material))

    across(0.24, 0.36, 0.50, 0.56, 2.165, Part.GRILLE)
    across(0.47, 0.60, 0.40, 0.46, 2.165, Part.GRILLE, lean=0.03)
    across(0.375, 0.465, 0.25, 0.25, 2.18, Part.PLATE)
    across(0.22, 0.36, 0.66, 0.66, -2.165, Part.TRIM)
    across(0.62, 0.72, 0.26, 0.26, -2.15, Part.PLATE, lean=-0.03)
    for side in (-1.0, 1.0):
        front = [(0.47, 0.53, 2.165), (0.45, 0.645, 2.135), (0.755, 0.70, 1.985), (0.785, 0.60, 2.01), (0.70, 0.535, 2.10)]
        back = [(0.50, 0.74, -2.14), (0.50, 0.875, -2.105), (0.80, 0.90, -2.03), (0.815, 0.74, -2.06)]
        for loop, material, flip in ((front, Part.HEADLAMP, side > 0), (back, Part.TAILLAMP, side < 0)):
            points = [(side * x, y, z) for x, y, z in loop]
            pieces.append((points[::-1] if flip else points, material))
        mirror = [(0.90, 0.93, 0.62), (1.04, 0.95, 0.60), (1.04, 1.06, 0.58), (0.91, 1.05, 0.60)]
        for flip in (False, True):
            points = [(side * x, y, z) for x, y, z in mirror]
            pieces.append((points[::-1] if flip else points, Part.TRIM))
    return [(np.array(points, np.float32), material) for points, material in pieces]


def _wheels() -> list[tuple[Floats, int, int]]:
    """Tyres below the body, and on each side arches, tyres and rims as seen from that side."""
    pieces: list[tuple[Floats, int, int]] = []
    angle = np.linspace(0, 2 * np.pi, 25, dtype=np.float32)[:-1]
    circle = np.stack([np.zeros_like(angle), np.sin(angle), np.cos(angle)], axis=1)
    for axle in _AXLES:
        for side in (-1.0, 1.0):
            centre = np.array([0.0, _WHEEL_RADIUS, axle], np.float32)
            turn = 1 if side < 0 else -1

            def disc(radius: float, right: float, c: Floats = centre, t: int = turn) -> Floats:
                return np.asarray((c + circle * radius + np.array([right, 0, 0], np.float32))[::t], np.float32)

            arch = disc(_WHEEL_RADIUS + 0.055, side * 0.893)
            arch[:, 1] = np.maximum(arch[:, 1], 0.20)
            pieces.append((arch, Part.TRIM, 2))
            pieces.append((disc(_WHEEL_RADIUS, side * 0.895), Part.TYRE, 3))
            pieces.append((disc(0.215, side * 0.897), Part.RIM, 4))
            for k in range(5):
                a = 2 * np.pi * k / 5 + 0.3
                gap = np.array(
                    [(0, 0.07 * np.sin(a), 0.07 * np.cos(a)), (0, 0.19 * np.sin(a - 0.32), 0.19 * np.cos(a - 0.32)),
                     (0, 0.19 * np.sin(a + 0.32), 0.19 * np.cos(a + 0.32))], np.float32,
                )  # fmt: skip
                pieces.append((np.asarray((centre + gap + np.array([side * 0.898, 0, 0], np.float32))[::turn], np.float32), Part.TYRE, 5))
            for z, flip in ((axle + 0.30, side > 0), (axle - 0.30, side < 0)):
                x0, x1 = side * 0.66, side * 0.86
                tread = np.array([(x0, 0.02, z), (x0, 0.34, z), (x1, 0.34, z), (x1, 0.02, z)], np.float32)
                pieces.append((tread[::-1] if flip else tread, Part.TYRE, 0))
    return pieces


