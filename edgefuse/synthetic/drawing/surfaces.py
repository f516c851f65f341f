"""What a ray meets: flat faces, where it met them, and what they are made of there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgefuse.synthetic.drawing.camera import Floats

__all__ = ["Colour", "Face", "Hit", "Material", "Point", "Surface", "linear", "rectangle"]

Colour = tuple[float, float, float]
Point = tuple[float, float, float]


def linear(values: NDArray[Any]) -> Colour:  # [3]
    """A colour or point from an array."""
    first, second, third = (float(value) for value in values)
    return first, second, third


@dataclass(frozen=True)
class Hit:
    """Places where pixels meet one face.

    Args:
        s: Metres along the face's first axis.  # [N]
        t: Metres along its second axis.  # [N]
        point: World positions.  # [N, 3]
        direction: World directions from the camera, of unit depth.  # [N, 3]
        footprint: Metres across one sample, square to the ray.  # [N]
    """

    s: Floats
    t: Floats
    point: Floats
    direction: Floats
    footprint: Floats

    def __len__(self) -> int:
        return int(self.s.size)

    def part(self, chosen: NDArray[np.intp]) -> Hit:
        """The places with these numbers."""
        return Hit(self.s[chosen], self.t[chosen], self.point[chosen], self.direction[chosen], self.footprint[chosen])


@dataclass
class Surface:
    """What a face is made of at N places; colours are linear BGR.

    Args:
        albedo: Part of the light sent back.  # [N, 3]
        temp_celsius: Apparent temperature in the thermal infrared.  # [N]
        emission: Light sent out by itself; zero if not given.  # [N, 3]
        wet: How mirror-like the ground is, in [0, 1]; zero if not given.  # [N]
        opaque: False where the face has a hole.  # [N]
    """

    albedo: Floats
    temp_celsius: Floats
    emission: Floats = field(default_factory=lambda: np.zeros((), np.float32))
    wet: Floats = field(default_factory=lambda: np.zeros((), np.float32))
    opaque: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        if self.emission.ndim == 0:
            self.emission = np.zeros_like(self.albedo)
        if self.wet.ndim == 0:
            self.wet = np.zeros_like(self.temp_celsius)


Material = Callable[[Hit], Surface]


@dataclass(frozen=True)
class Face:
    """A flat convex polygon.

    Args:
        corners: Its corners in order, in metres.  # [K, 3]
        origin: Where s = t = 0.  # [3]
        axis_s: Unit vector of s.  # [3]
        axis_t: Unit vector of t.  # [3]
        material: What it is made of.
        occluder: Number of the thing it belongs to when something moving may pass behind that, else 0.
        two_sided: Lit on whichever side the light is, as leaves are.
    """

    corners: Floats
    origin: Floats
    axis_s: Floats
    axis_t: Floats
    material: Material = field(repr=False)
    occluder: int = 0
    two_sided: bool = False

    @property
    def normal(self) -> Floats:
        """Unit vector out of the face: s × t."""
        return np.asarray(np.cross(self.axis_s, self.axis_t), np.float32)


def rectangle(
    origin: Point,
    along_s: Point,
    along_t: Point,
    material: Material,
    *,
    occluder: int = 0,
    two_sided: bool = False,
) -> Face:
    """A rectangular face from one corner and its two sides, given as vectors in metres; it faces s × t."""
    corner, s, t = (np.array(vector, np.float32) for vector in (origin, along_s, along_t))
    corners = np.stack([corner, corner + s, corner + s + t, corner + t])
    return Face(
        corners, corner, s / np.linalg.norm(s), t / np.linalg.norm(t), material, occluder=occluder, two_sided=two_sided
    )
