"""Lights of the street: what falls on a surface, and the glow that they leave in damp air."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from edgefuse.synthetic.camera import Camera, Floats

__all__ = ["Light", "Lighting"]

_FAINTEST = 1e-3
_CHUNK = 8192


@dataclass(frozen=True)
class Light:
    """A point light.

    Args:
        position: Where it is, in metres.
        colour: Radiant intensity in linear BGR: irradiance at one metre on the axis.
        kind: ``lamp`` shines down in a wide cone, ``panel`` to the side that it faces, ``bulb`` everywhere, ``beam`` ahead.
        facing: Unit vector of the side that a panel or beam faces.
        haze: How much of its glow in the air to draw.
    """

    position: tuple[float, float, float]
    colour: tuple[float, float, float]
    kind: Literal["lamp", "panel", "bulb", "beam"]
    facing: tuple[float, float, float] = (0.0, -1.0, 0.0)
    haze: float = 1.0


@dataclass(frozen=True)
class Lighting:
    """All lights, and the dim light of the night sky.

    Args:
        lights: The lights.
        ambient: Irradiance from the sky on a level surface, linear BGR.
    """

    lights: tuple[Light, ...]
    ambient: tuple[float, float, float]

    def irradiance(self, points: Floats, normal: Floats, *, two_sided: bool = False) -> Floats:
        """Light falling on points of one orientation.

        Args:
            points: World positions.  # [N, 3]
            normal: Unit normal, one for all or one for each point.  # [3] or [N, 3]
            two_sided: Count light from behind as well.

        Returns:
            Irradiance in linear BGR.  # [N, 3]
        """
        if len(points) > _CHUNK:
            # Small pieces stay in the processor's cache, and are near fewer lights than the whole.
            cuts = range(0, len(points), _CHUNK)
            each = (normal if normal.ndim == 1 else normal[cut : cut + _CHUNK] for cut in cuts)
            pieces = zip(cuts, each, strict=True)
            return np.concatenate(
                [self.irradiance(points[cut : cut + _CHUNK], part, two_sided=two_sided) for cut, part in pieces]
            )
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
            cosine = np.einsum("ij,...j->i", offset, normal) if normal.ndim == 1 else np.einsum("ij,ij->i", offset, normal)
            cosine = np.abs(cosine) if two_sided else np.maximum(cosine, 0.0)
            falling = cosine * self._pattern(light, offset, squared) / (squared * np.sqrt(squared))
            total += falling[:, None] * np.array(light.colour, np.float32)
        return total

    def arriving(self, point: Floats, *, count: int) -> list[tuple[Floats, Floats]]:
        """The strongest lights at one point.

        Args:
            point: World position.  # [3]
            count: How many to give at most.

        Returns:
            Pairs of the unit vector toward the light and its irradiance there, strongest first.
        """
        found = []
        for light in self.lights:
            offset = np.array(light.position, np.float32) - point
            squared = np.array([offset @ offset + 0.05], np.float32)
            strength = float(self._pattern(light, offset[None], squared)[0] / squared[0])
            colour = np.array(light.colour, np.float32) * np.float32(strength)
            found.append((np.asarray(offset / np.sqrt(squared[0]), np.float32), colour))
        found.sort(key=lambda pair: -float(pair[1].sum()))
        return [pair for pair in found[:count] if pair[1].max() > _FAINTEST]

    @staticmethod
    def _pattern(light: Light, offset: Floats, squared: Floats) -> Floats:
        """Relative intensity toward each point; ``offset`` runs from the point to the light."""
        if light.kind == "bulb":
            return np.ones_like(squared)
        cosine = -(offset @ np.array(light.facing, np.float32)) / np.sqrt(squared)
        if light.kind == "panel":
            return np.asarray(np.maximum(cosine, 0.0), np.float32)
        if light.kind == "beam":
            return np.asarray(np.maximum(cosine, 0.0) ** 24, np.float32)
        # A street luminaire: full up to about 40 degrees off its axis, nothing above 70.
        unit = np.clip((cosine - 0.34) / 0.42, 0.0, 1.0)
        return np.asarray(unit * unit * (3.0 - 2.0 * unit), np.float32)

    def airlight(self, camera: Camera, depth: Floats, *, scattering: float) -> Floats:  # [H, W] -> [H, W, 3]
        """Light scattered toward the camera by the air in front of each pixel.

        For a point light the single-scattering integral along a ray has a closed form: with the light's distance
        ``h`` from the ray and ``a`` the distance along it, I / h · (atan((d − a) / h) + atan(a / h)) (Sun et al. 2005,
        A Practical Analytic Single Scattering Model, without extinction).

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
            if light.kind != "bulb":
                closest = offset - along[:, None] * rays
                glow *= 0.15 + 0.85 * np.asarray(self._pattern(light, closest, away**2 + np.float32(1e-3)))
            total += (glow * (scattering * light.haze))[:, None] * np.array(light.colour, np.float32)
        return total.reshape(*depth.shape, 3)
