"""What cars are made of, and the polygons that they are made from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgefuse.synthetic.drawing import Floats

__all__ = ["CarMesh", "Part", "Piece"]

Piece = tuple[Floats, int, int]
"""Corners of a polygon, number of its material, and its layer."""


class Part:
    """Numbers of the materials of a car; those up to ``GLASS`` are curved."""

    PAINT, GLASS, TRIM, TYRE, RIM, HEADLAMP, TAILLAMP, PLATE, GRILLE, EXHAUST = range(1, 11)
    COUNT = 11


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
