"""What is set into the body of a car, and its wheels: flat polygons a little outside the body."""

from __future__ import annotations

import numpy as np

from edgefuse.synthetic.cast.car_parts import Part, Piece
from edgefuse.synthetic.drawing import Floats, Point

__all__ = ["fittings", "wheels"]

_AXLES = (1.30, -1.28)
_WHEEL_RADIUS = 0.32
_SIDE_METRES = 0.893


def _piece(points: list[Point], material: int, *, layer: int, flip: bool = False) -> Piece:
    corners = np.array(points[::-1] if flip else points, np.float32)
    return corners, material, layer


def _bar(low: float, high: float, half: float, forward: float, material: int, *, lean: float = 0.0) -> Piece:
    """A level bar across the front or rear, its top moved back by ``lean``."""
    top = forward - lean
    corners: list[Point] = [(-half, low, forward), (-half, high, top), (half, high, top), (half, low, forward)]
    return _piece(corners, material, layer=2, flip=forward > 0)


def fittings() -> list[Piece]:
    """Lamps, grilles, number plates, mirrors and the exhaust, in car axes: right, up, forward."""
    pieces = [
        _bar(0.24, 0.36, 0.53, 2.165, Part.GRILLE),
        _bar(0.47, 0.60, 0.43, 2.165, Part.GRILLE, lean=0.03),
        _bar(0.375, 0.465, 0.25, 2.18, Part.PLATE),
        _bar(0.22, 0.36, 0.66, -2.165, Part.TRIM),
        _bar(0.40, 0.425, 0.70, -2.17, Part.TRIM),
        _bar(0.62, 0.72, 0.26, -2.15, Part.PLATE, lean=-0.03),
    ]
    pipe: list[Point] = [
        (0.52 + 0.07 * float(np.sin(a)), 0.28 + 0.04 * float(np.cos(a)), -2.18) for a in np.arange(0, 6.2, 0.7)
    ]
    pieces.append(_piece(pipe, Part.EXHAUST, layer=2))
    front = [(0.47, 0.53, 2.165), (0.45, 0.645, 2.135), (0.755, 0.70, 1.985), (0.785, 0.60, 2.01), (0.70, 0.535, 2.10)]
    back = [(0.50, 0.74, -2.14), (0.50, 0.875, -2.105), (0.80, 0.90, -2.03), (0.815, 0.74, -2.06)]
    mirror = [(0.90, 0.93, 0.62), (1.04, 0.95, 0.60), (1.04, 1.06, 0.58), (0.91, 1.05, 0.60)]
    for side in (-1.0, 1.0):
        for outline, material, flips in (
            (front, Part.HEADLAMP, (side > 0,)),
            (back, Part.TAILLAMP, (side < 0,)),
            (mirror, Part.TRIM, (False, True)),
        ):
            mirrored: list[Point] = [(side * x, y, z) for x, y, z in outline]
            pieces += [_piece(mirrored, material, layer=2, flip=flip) for flip in flips]
    return pieces


def _disc(radius: float, right: float, axle: float) -> Floats:
    """A circle on one side of the car, around an axle, counter-clockwise from outside."""  # [24, 3]
    angle = np.linspace(0, 2 * np.pi, 25, dtype=np.float32)[:-1]
    circle = np.stack(
        [np.full_like(angle, right), _WHEEL_RADIUS + radius * np.sin(angle), axle + radius * np.cos(angle)], axis=1
    )
    return circle if right < 0 else circle[::-1]


def wheels() -> list[Piece]:
    """Arches, tyres and five-spoked rims as seen from each side, and the tyres' treads below the body."""
    pieces: list[Piece] = []
    for axle in _AXLES:
        for side in (-1.0, 1.0):
            arch = _disc(_WHEEL_RADIUS + 0.055, side * _SIDE_METRES, axle)
            arch[:, 1] = np.maximum(arch[:, 1], 0.20)
            pieces.append((arch, Part.TRIM, 2))
            pieces.append((_disc(_WHEEL_RADIUS, side * (_SIDE_METRES + 0.002), axle), Part.TYRE, 3))
            pieces.append((_disc(0.215, side * (_SIDE_METRES + 0.004), axle), Part.RIM, 4))
            pieces += [_gap(side * (_SIDE_METRES + 0.005), axle, 2 * np.pi * k / 5 + 0.3) for k in range(5)]
            inner, outer = side * 0.66, side * 0.86
            for z, flip in ((axle + 0.30, side > 0), (axle - 0.30, side < 0)):
                tread: list[Point] = [(inner, 0.02, z), (inner, 0.34, z), (outer, 0.34, z), (outer, 0.02, z)]
                pieces.append(_piece(tread, Part.TYRE, layer=0, flip=flip))
    return pieces


def _gap(right: float, axle: float, angle: float) -> Piece:
    """The dark gap between two spokes."""
    polar = ((0.07, angle), (0.19, angle - 0.32), (0.19, angle + 0.32))
    points: list[Point] = [
        (right, _WHEEL_RADIUS + radius * float(np.sin(turn)), axle + radius * float(np.cos(turn)))
        for radius, turn in polar
    ]
    return _piece(points, Part.TYRE, layer=5, flip=right > 0)
