"""What stands still, as one camera sees it: computed once, shared by all frames."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from edgefuse.synthetic.camera import Camera, Floats
from edgefuse.synthetic.raster import GBuffer, draw_faces
from edgefuse.synthetic.sprites import Sprite
from edgefuse.synthetic.street import Street
from edgefuse.synthetic.textures import fractal

__all__ = ["Cover", "StaticView"]

_SCATTERING = 0.00035
_AIR_CELSIUS = 6.0
_MOST_SAMPLES = 6_000_000


@dataclass(frozen=True)
class Cover:
    """A thing that moving ones may pass behind: its depth, and how much of each pixel of a window it covers."""

    depth: float
    top: int
    left: int
    alpha: Floats


class StaticView:
    """The street without anything that moves.

    Args:
        camera: The view.
        street: The street.
        parked: Sprites of the parked cars, as seen by the camera.
        samples: Samples across a pixel; by default 3 for small pictures, fewer for large ones.
    """

    def __init__(self, camera: Camera, street: Street, parked: list[Sprite], *, samples: int | None = None) -> None:
        self.camera = camera
        self.street = street
        factor = samples or max(1, min(3, int((_MOST_SAMPLES / (camera.height * camera.width)) ** 0.5)))
        fine = camera.scaled(factor)
        buffer = GBuffer.empty(fine.height, fine.width)
        draw_faces(buffer, fine, (*street.faces, *street.ground), street.lighting, light_step=3 * factor)
        fill_sky(buffer, fine)
        self.radiance = self._shrunk(buffer.radiance)
        self.albedo = self._shrunk(buffer.albedo)
        self.temp_celsius = self._shrunk(buffer.temp_celsius)
        wet = self._shrunk(buffer.wet)
        self.covers = self._covers(buffer)
        self.ground = (wet > 0.02).astype(np.float32)
        self._keep_coarse(buffer, fine)
        depth = cv2.resize(np.minimum(buffer.depth, 1e4), (camera.width, camera.height), interpolation=cv2.INTER_NEAREST)
        self.airlight = self._air(depth)
        self.mirror_weight = self._mirror_weight(wet)
        self.mirror = self._mirror()
        for sprite in sorted(parked, key=lambda one: -one.depth):
            self._park(sprite)

    def _shrunk(self, layer: Floats) -> Floats:
        """Samples averaged to pixels."""
        size = self.camera.width, self.camera.height
        return np.asarray(cv2.resize(layer, size, interpolation=cv2.INTER_AREA), np.float32)

    def _covers(self, buffer: GBuffer) -> list[Cover]:
        """One cover for each occluder that can be seen."""
        found = []
        for number, foot in enumerate(self.street.occluders, start=1):
            there = buffer.occluder == number
            if not there.any():
                continue
            alpha = self._shrunk(there.astype(np.float32))
            rows, columns = np.flatnonzero(alpha.any(axis=1)), np.flatnonzero(alpha.any(axis=0))
            top, left = int(rows[0]), int(columns[0])
            depth = float(self.camera.to_camera(np.array([foot], np.float32))[0, 2])
            found.append(Cover(depth, top, left, alpha[top : rows[-1] + 1, left : columns[-1] + 1].copy()))
        return found

    def _keep_coarse(self, buffer: GBuffer, fine: Camera) -> None:
        """Positions and normals on a coarse grid, for the light of moving cars."""
        step = 4 * (fine.height // self.camera.height)
        rows, columns = np.meshgrid(np.arange(step // 2, fine.height, step), np.arange(step // 2, fine.width, step), indexing="ij")
        flat = rows.ravel(), columns.ravel()
        depth = np.minimum(buffer.depth[flat], 300.0)
        self.coarse_shape = rows.shape
        self.coarse_points = np.array(fine.position, np.float32) + depth[:, None] * fine.directions(*flat)
        self.coarse_normals = buffer.normal[flat]

    def _air(self, depth: Floats) -> Floats:
        """Glow of the lamps in damp air, computed on half the rows and columns."""
        camera = self.camera
        half = Camera(
            (camera.height + 1) // 2,
            (camera.width + 1) // 2,
            camera.focal_px / 2,
            (camera.centre_u + 0.5) / 2 - 0.5,
            (camera.horizon_v + 0.5) / 2 - 0.5,
            camera.position,
            camera.yaw_radians,
        )
        small = cv2.resize(depth, (half.width, half.height), interpolation=cv2.INTER_NEAREST)
        glow = self.street.lighting.airlight(half, small, scattering=_SCATTERING)
        return np.asarray(cv2.resize(glow, (camera.width, camera.height), interpolation=cv2.INTER_LINEAR), np.float32)

    def _mirror_weight(self, wet: Floats) -> Floats:
        """How much of the mirrored street wet ground sends to the camera: Fresnel's law in Schlick's form."""
        rows = np.arange(self.camera.height, dtype=np.float32)[:, None] - np.float32(self.camera.horizon_v)
        across = (np.arange(self.camera.width, dtype=np.float32)[None, :] - self.camera.centre_u) / self.camera.focal_px
        down = np.maximum(rows, 0.5) / self.camera.focal_px
        cosine = down / np.sqrt(1.0 + down**2 + across**2)
        fresnel = 0.02 + 0.98 * (1.0 - cosine) ** 5
        return np.asarray((wet * fresnel)[..., None], np.float32)

    @property
    def mirror_top(self) -> int:
        """First row that can show a reflection, even so that half resolution starts on it."""
        return max(0, min(self.camera.height - 2, int(self.camera.horizon_v) // 2 * 2))

    def _mirror(self) -> Floats:
        """The street in a mirror at the level of the road, at half resolution, from the horizon down."""
        camera = self.camera
        flipped = camera.mirrored()
        buffer = GBuffer.empty(camera.height, camera.width)
        draw_faces(buffer, flipped, self.street.faces, self.street.lighting)
        fill_sky(buffer, flipped)
        upright = np.ascontiguousarray(buffer.radiance[::-1])[self.mirror_top :]
        size = (camera.width + 1) // 2, (upright.shape[0] + 1) // 2
        return np.asarray(cv2.resize(upright, size, interpolation=cv2.INTER_AREA), np.float32)

    def _park(self, sprite: Sprite) -> None:
        """Add a parked car to the picture, and to the things that others may pass behind."""
        self.lay(sprite, self.radiance, self.temp_celsius)
        self.lay_mirrored(sprite, self.mirror)
        window = sprite.window(self.camera.height, self.camera.width)
        if window is None:
            return
        at, inner = window
        self.albedo[at] *= 1.0 - sprite.alpha[inner][..., None]
        self.mirror_weight[at] *= 1.0 - sprite.alpha[inner][..., None]
        self.ground[at] *= 1.0 - sprite.alpha[inner]
        self.covers.append(Cover(sprite.depth, at[0].start, at[1].start, sprite.alpha[inner]))

    def visible_alpha(self, sprite: Sprite) -> tuple[tuple[slice, slice], tuple[slice, slice], Floats] | None:
        """Where a sprite shows, and its coverage less what stands in front of it."""
        window = sprite.window(self.camera.height, self.camera.width)
        if window is None:
            return None
        at, inner = window
        alpha = sprite.alpha[inner]
        for cover in self.covers:
            if cover.depth >= sprite.depth:
                continue
            top, left = max(at[0].start, cover.top), max(at[1].start, cover.left)
            bottom = min(at[0].stop, cover.top + cover.alpha.shape[0])
            right = min(at[1].stop, cover.left + cover.alpha.shape[1])
            if top >= bottom or left >= right:
                continue
            if alpha.base is not None or alpha is sprite.alpha:
                alpha = alpha.copy()
            part = cover.alpha[top - cover.top : bottom - cover.top, left - cover.left : right - cover.left]
            alpha[top - at[0].start : bottom - at[0].start, left - at[1].start : right - at[1].start] *= 1.0 - part
        return at, inner, alpha

    def lay(self, sprite: Sprite, radiance: Floats, temp_celsius: Floats) -> None:
        """Lay a sprite over both pictures, in place."""
        shown = self.visible_alpha(sprite)
        if shown is None:
            return
        at, inner, alpha = shown
        under = radiance[at]
        under += alpha[..., None] * (sprite.radiance[inner] - under)
        below = temp_celsius[at]
        below += alpha * (sprite.temp_celsius[inner] - below)

    def lay_mirrored(self, sprite: Sprite, mirror: Floats) -> None:
        """Lay the reflection of a sprite over the mirrored street, in place."""
        flipped = sprite.mirrored()
        top, left = flipped.top - self.mirror_top, flipped.left
        rows, columns = flipped.alpha.shape
        low_row, low_column = top // 2, left // 2
        size = (columns // 2 + 2, rows // 2 + 2)
        shift = np.array(
            [[0.5, 0, (left - 2 * low_column) / 2 - 0.25], [0, 0.5, (top - 2 * low_row) / 2 - 0.25]], np.float32
        )
        alpha = cv2.warpAffine(np.ascontiguousarray(flipped.alpha), shift, size)
        light = cv2.warpAffine(np.ascontiguousarray(flipped.radiance), shift, size)
        small = Sprite(low_row, low_column, alpha, light, alpha, sprite.depth, 0.0, sprite.person)
        window = small.window(*mirror.shape[:2])
        if window is None:
            return
        at, inner = window
        under = mirror[at]
        under += alpha[inner][..., None] * (light[inner] - under)


def fill_sky(buffer: GBuffer, camera: Camera) -> None:
    """Night sky behind everything: the glow of the town in the visible, deep cold overhead in the infrared."""
    rows, columns = np.nonzero(np.isinf(buffer.depth))
    if rows.size == 0:
        return
    rays = camera.directions(rows, columns)
    level = np.hypot(rays[:, 0], rays[:, 2])
    rise = np.abs(rays[:, 1]) / level
    # Clouds lie on a ceiling: their pattern shrinks toward the horizon.
    ceiling = 1.0 / (rise + 0.12)
    clouds = fractal(41, rays[:, 0] / level * ceiling, ceiling, slope=1.45, texels_per_metre=38.0)
    cloud = np.clip(0.5 + 0.42 * clouds, 0.0, 1.4)
    night = np.array([0.0125, 0.0072, 0.0046], np.float32)
    town = np.array([0.0120, 0.0125, 0.0165], np.float32)
    glow = np.exp(-rise / 0.16)
    light = night * (0.7 + 0.5 * cloud)[:, None] + town * (glow * (0.7 + 0.5 * cloud) + 0.22 * cloud)[:, None]
    buffer.radiance[rows, columns] = light
    sine = rise / np.sqrt(1.0 + rise**2)
    buffer.temp_celsius[rows, columns] = _AIR_CELSIUS - 34.0 * (1.0 - np.exp(-2.1 * sine)) - 3.0 + 4.5 * cloud * (1 - glow)
