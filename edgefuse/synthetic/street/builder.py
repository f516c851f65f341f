"""Collecting the surfaces and lights of a street while it is laid out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgefuse.synthetic.drawing import Face, Light, Material, Point, linear, rectangle

__all__ = ["FRONT_RIGHT", "WALL_LEFT", "StreetBuilder"]

FRONT_RIGHT = 6.6
WALL_LEFT = -8.0


class StreetBuilder:
    """The parts of a street so far, and the source of its choices.

    Args:
        seed: Which street.
    """

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng([seed, 0x57])
        self.seed = int(self.rng.integers(1, 1 << 20))
        self.faces: list[Face] = []
        self.lights: list[Light] = []
        self.feet: list[Point] = []

    def occluder(self, x: float, z: float) -> int:
        """Register the foot of a thing that others may pass behind; gives its number, from 1."""
        self.feet.append((x, 0.0, z))
        return len(self.feet)

    def face(
        self,
        origin: Point,
        along_s: Point,
        along_t: Point,
        material: Material,
        *,
        occluder: int = 0,
        two_sided: bool = False,
    ) -> None:
        """Add a rectangle that faces s × t."""
        self.faces.append(rectangle(origin, along_s, along_t, material, occluder=occluder, two_sided=two_sided))

    def box(self, corner: Point, size: Point, material: Material, *, occluder: int) -> None:
        """Add an upright box: front, both sides and top."""
        (x, y, z), (width, height, length) = corner, size
        self.face(corner, (width, 0, 0), (0, height, 0), material, occluder=occluder)
        self.face((x, y, z + length), (0, 0, -length), (0, height, 0), material, occluder=occluder)
        self.face((x + width, y, z), (0, 0, length), (0, height, 0), material, occluder=occluder)
        self.face((x, y + height, z), (0, 0, length), (width, 0, 0), material, occluder=occluder)

    def glow(self, position: Point, colour: NDArray[Any], *, facing: Point) -> None:
        """Add the soft light that something bright on a house throws on the street."""
        self.lights.append(Light(position, linear(colour), "panel", facing=facing, haze=0.0))
