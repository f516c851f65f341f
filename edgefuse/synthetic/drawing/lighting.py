"""Lights of the street: what falls on a surface, and the glow that they leave in damp air."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from edgefuse.synthetic.drawing.camera import Camera, Floats
from edgefuse.synthetic.drawing.surfaces import Colour, Point

__all__ = ["Light", "Lighting"]

LightKind = Literal["lamp", "panel", "bulb", "beam"]

# A tenth of the sky's light: what adds less is left out.
_FAINTEST = 1e-3
_CHUNK = 8192


@dataclass(frozen=True)
class Light:
    """A point light.

    Args:
        position: Where it is, in metres.
        colour: Radiant intensity in linear BGR: irradiance at one metre on the axis.
        kind: ``lamp`` shines down in a cone, ``panel`` to the side that it faces, ``bulb`` everywhere, ``beam`` ahead.
        facing: Unit vector of the side that a panel, lamp or beam faces.
        haze: How much of its glow in the air to draw.
    """

    position: Point
    colour: Colour
    kind: LightKind
    facing: Point = (0.0, -1.0, 0.0)
    haze: float = 1.0


def _pattern(kind: LightKind, cosine: Floats) -> Floats:
    """Relative intensity of a kind of light at an angle to its axis."""
    if kind == "bulb":
        return np.ones_like(cosine)
    if kind == "panel":
        return np.maximum(cosine, np.float32(0.0))
    if kind == "beam":
        eighth = np.square(np.square(np.square(np.maximum(cosine, np.float32(0.0)))))
        return np.asarray(eighth * np.square(eighth), np.float32)  # cos²⁴: half as bright at 14 degrees
    # A street luminaire: full up to about 40 degrees off its axis, nothing above 70.
    unit = np.clip((cosine - 0.34) / 0.42, 0.0, 1.0)
    return np.asarray(unit * unit * (3.0 - 2.0 * unit), np.float32)


@dataclass(frozen=True)
class Lighting:
    """All lights, and the dim light of the night sky.

    Args:
        lights: The lights.
        ambient: Irradiance from the sky on a level surface, linear BGR.
    """

    lights: tuple[Light, ...]
    ambient: Colour

    @cached_property
    def _arrays(self) -> tuple[Floats, Floats, Floats]:
        """Positions, axes and colours of the lights."""  # [L, 3] each
        columns = (
            [(light.position, light.facing, light.colour) for light in self.lights]
            if self.lights
            else np.zeros((0, 3, 3), np.float32)
        )
        table = np.array(columns, np.float32)
        return table[:, 0], table[:, 1], table[:, 2]

    @cached_property
    def _kinds(self) -> dict[LightKind, list[int]]:
        """Numbers of the lights of each kind."""
        kinds = sorted({light.kind for light in self.lights})
        return {kind: [i for i, light in enumerate(self.lights) if light.kind == kind] for kind in kinds}

    def extended(self, more: Iterable[Light]) -> Lighting:
        """These lights and some more."""
        return Lighting((*self.lights, *more), self.ambient)

    def irradiance(self, points: Floats, normal: Floats, *, two_sided: bool = False) -> Floats:
        """Light falling on points.

        Args:
            points: World positions.  # [N, 3]
            normal: Unit normal, one for all or one for each point.  # [3] or [N, 3]
            two_sided: Count light from behind as well.

        Returns:
            Irradiance in linear BGR.  # [N, 3]
        """
        total = np.empty((len(points), 3), np.float32)
        # Small pieces stay in the processor's cache, and are near fewer lights than the whole.
        for start in range(0, len(points), _CHUNK):
            piece = slice(start, start + _CHUNK)
            turned = normal if normal.ndim == 1 else normal[piece]
            total[piece] = self._irradiance(points[piece], turned, two_sided=two_sided)
        return total

    def _irradiance(self, points: Floats, normal: Floats, *, two_sided: bool) -> Floats:
        """Irradiance of few enough points."""
        sky = 0.55 + 0.45 * normal[..., 1:2]
        total = np.empty((len(points), 3), np.float32)
        total[:] = np.array(self.ambient, np.float32) * sky
        low, high = points.min(axis=0), points.max(axis=0)
        for light in self.lights:
            source = np.array(light.position, np.float32)
            nearest = np.clip(source, low, high) - source
            if max(light.colour) / max(float(nearest @ nearest), 0.05) < _FAINTEST:
                continue
            offset = source - points
            squared = np.einsum("ij,ij->i", offset, offset) + np.float32(0.05)
            cosine = offset @ normal if normal.ndim == 1 else np.einsum("ij,ij->i", offset, normal)
            cosine = np.abs(cosine) if two_sided else np.maximum(cosine, 0.0)
            distance = np.sqrt(squared)
            pattern = _pattern(light.kind, -(offset @ np.array(light.facing, np.float32)) / distance)
            total += (cosine * pattern / (squared * distance))[:, None] * np.array(light.colour, np.float32)
        return total

    def arriving(self, point: Floats, *, count: int) -> list[tuple[Floats, Floats]]:
        """The strongest lights at one point.

        Args:
            point: World position.  # [3]
            count: How many to give at most.

        Returns:
            Pairs of the unit vector toward the light and its irradiance there, strongest first.
        """
        positions, axes, colours = self._arrays
        offset = positions - point
        squared = np.einsum("ij,ij->i", offset, offset) + np.float32(0.05)
        distance = np.sqrt(squared)
        cosine = np.asarray(-np.einsum("ij,ij->i", offset, axes) / distance, np.float32)
        pattern = np.zeros_like(cosine)
        for kind, numbers in self._kinds.items():
            pattern[numbers] = _pattern(kind, cosine[numbers])
        arriving = colours * (pattern / squared)[:, None]
        strongest = np.argsort(-arriving.sum(axis=1), kind="stable")[:count].tolist()
        return [(offset[i] / distance[i], arriving[i]) for i in strongest if arriving[i].max() > _FAINTEST]

    def airlight(self, camera: Camera, depth: Floats, *, scattering: float) -> Floats:  # [H, W] -> [H, W, 3]
        """Light scattered toward the camera by the air in front of each pixel.

        For a point light the single-scattering integral along a ray has a closed form: with the light's distance
        ``h`` from the ray and ``a`` the distance along it, I / h · (atan((d − a) / h) + atan(a / h)) (Sun et al. 2005,
        A Practical Analytic Single Scattering Model for Real Time Rendering, here without extinction).

        Args:
            camera: The view.
            depth: Depth of what each pixel sees, in metres.  # [H, W]
            scattering: Scattering coefficient times phase function, per metre.

        Returns:
            Radiance in linear BGR.  # [H, W, 3]
        """
        rows, columns = np.divmod(np.arange(depth.size), depth.shape[1])
        rays = camera.directions(rows, columns)
        length = np.linalg.norm(rays, axis=1)
        rays /= length[:, None]
        reach = np.minimum(depth.ravel(), 400.0) * length
        total = np.zeros((depth.size, 3), np.float32)
        eye = np.array(camera.position, np.float32)
        for light in self.lights:
            if light.haze == 0.0:
                continue
            offset = np.array(light.position, np.float32) - eye
            along = rays @ offset
            away = np.sqrt(np.maximum(float(offset @ offset) - along**2, 0.02))
            glow = (np.arctan((reach - along) / away) + np.arctan(along / away)) / away
            closest = offset - along[:, None] * rays
            cosine = np.asarray(-(closest @ np.array(light.facing, np.float32)) / away, np.float32)
            glow *= scattering * light.haze * (0.15 + 0.85 * _pattern(light.kind, cosine))
            total += glow[:, None] * np.array(light.colour, np.float32)
        return total.reshape(*depth.shape, 3)
