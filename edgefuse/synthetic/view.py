"""What stands still, as one camera sees it: computed once, shared by all frames."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from edgefuse.synthetic.drawing import Camera, Floats, GBuffer, Lighting, Sprite, draw_faces, fractal
from edgefuse.synthetic.drawing.sprites import Window
from edgefuse.synthetic.street import Street

__all__ = ["Contact", "Shown", "StaticView"]

_SCATTERING = 0.00035
_AIR_CELSIUS = 6.0
_MOST_SAMPLES = 6_000_000
_COARSE_PX = 4


@dataclass(frozen=True)
class _Cover:
    """A thing that moving ones may pass behind: its depth, and how much of each pixel of a window it covers."""

    depth: float
    top: int
    left: int
    alpha: Floats


@dataclass(frozen=True)
class Contact:
    """Where a thing touches the ground and keeps light from it.

    Args:
        outline: Corners of a convex patch of ground, in metres.  # [K, 3]
        darkness: Part of the light that is kept away.
        warmth: Kelvins that it warms the ground by.
    """

    outline: Floats
    darkness: float
    warmth: float = 0.0


@dataclass(frozen=True)
class Shown:
    """Where a sprite shows in the image, and its coverage less what stands in front of it."""

    at: Window
    inner: Window
    alpha: Floats


class StaticView:
    """The street without anything that moves.

    Args:
        camera: The view.
        street: The street.
        lighting: What lights it; a thermal view needs none.
        parked: Sprites and ground contacts of the parked cars, as seen by the camera.
    """

    def __init__(
        self, camera: Camera, street: Street, lighting: Lighting, parked: list[tuple[Sprite, Contact]]
    ) -> None:
        self.camera = camera
        self._street = street
        self._lighting = lighting
        factor = max(1, min(3, int((_MOST_SAMPLES / (camera.height * camera.width)) ** 0.5)))
        fine = camera.scaled(factor)
        buffer = GBuffer.empty(fine.height, fine.width)
        draw_faces(buffer, fine, (*street.faces, *street.ground), lighting, light_step=3 * factor)
        _fill_sky(buffer, fine)
        self.radiance = self._shrunk(buffer.radiance)
        self.albedo = self._shrunk(buffer.albedo)
        self.temp_celsius = self._shrunk(buffer.temp_celsius)
        wet = self._shrunk(buffer.wet)
        self.ground = np.asarray(wet > 0.02, np.float32)
        self.mirror_weight = self._mirror_weight(wet)
        self.airlight = self._airlight(buffer.depth)
        self._covers = self._occluders(buffer)
        self._keep_coarse(buffer, fine)
        self.mirror = self._mirror()
        for sprite, contact in sorted(parked, key=lambda one: -one[0].depth):
            self._park(sprite, contact)

    def _shrunk(self, layer: Floats) -> Floats:
        """Samples averaged to pixels."""
        size = self.camera.width, self.camera.height
        return np.asarray(cv2.resize(layer, size, interpolation=cv2.INTER_AREA), np.float32)

    def _occluders(self, buffer: GBuffer) -> list[_Cover]:
        """One cover for each occluder that can be seen."""
        found = []
        for number, foot in enumerate(self._street.occluders, start=1):
            there = buffer.occluder == number
            if not there.any():
                continue
            alpha = self._shrunk(there.astype(np.float32))
            rows, columns = np.flatnonzero(alpha.any(axis=1)), np.flatnonzero(alpha.any(axis=0))
            top, left = int(rows[0]), int(columns[0])
            depth = float(self.camera.to_camera(np.array([foot], np.float32))[0, 2])
            found.append(_Cover(depth, top, left, alpha[top : rows[-1] + 1, left : columns[-1] + 1].copy()))
        return found

    def _keep_coarse(self, buffer: GBuffer, fine: Camera) -> None:
        """Positions and normals on a coarse grid, for the light of moving cars."""
        step = _COARSE_PX * (fine.height // self.camera.height)
        places = np.arange(step // 2, fine.height, step), np.arange(step // 2, fine.width, step)
        rows, columns = np.meshgrid(*places, indexing="ij")
        flat = rows.ravel(), columns.ravel()
        depth = np.minimum(buffer.depth[flat], 300.0)
        self._coarse_shape = rows.shape
        self._coarse_points = np.asarray(np.array(fine.position) + depth[:, None] * fine.directions(*flat), np.float32)
        self._coarse_normals = buffer.normal[flat]

    def _airlight(self, depth: Floats) -> Floats:  # [H·k, W·k] -> [H, W, 3]
        """Glow of the lamps in damp air, computed on half the rows and columns."""
        half = self.camera.halved()
        small = cv2.resize(np.minimum(depth, 1e4), (half.width, half.height), interpolation=cv2.INTER_NEAREST)
        glow = self._lighting.airlight(half, np.asarray(small, np.float32), scattering=_SCATTERING)
        return np.asarray(
            cv2.resize(glow, (self.camera.width, self.camera.height), interpolation=cv2.INTER_LINEAR), np.float32
        )

    def _mirror_weight(self, wet: Floats) -> Floats:  # [H, W] -> [H, W, 1]
        """How much of the mirrored street wet ground sends to the camera: Fresnel's law in Schlick's form."""
        camera = self.camera
        rows = np.arange(camera.height, dtype=np.float32)[:, None] - np.float32(camera.horizon_v)
        across = (np.arange(camera.width, dtype=np.float32)[None, :] - camera.centre_u) / camera.focal_px
        down = np.maximum(rows, 0.5) / camera.focal_px
        cosine = down / np.sqrt(1.0 + down**2 + across**2)
        return np.asarray((wet * (0.05 + 0.95 * (1.0 - cosine) ** 5))[..., None], np.float32)

    @property
    def mirror_top(self) -> int:
        """First row that can show a reflection; even, since the mirror has every second row."""
        return max(0, min(self.camera.height - 2, int(self.camera.horizon_v))) // 2 * 2

    def _mirror(self) -> Floats:  # [(H - top) / 2, W / 2, 3]
        """The street in a mirror at the level of the road, at half resolution, from the horizon down."""
        camera = self.camera
        flipped = camera.mirrored()
        buffer = GBuffer.empty(camera.height, camera.width)
        draw_faces(buffer, flipped, self._street.faces, self._lighting)
        _fill_sky(buffer, flipped)
        upright = np.ascontiguousarray(buffer.radiance[::-1][self.mirror_top :])
        size = (camera.width + 1) // 2, (upright.shape[0] + 1) // 2
        return np.asarray(cv2.resize(upright, size, interpolation=cv2.INTER_AREA), np.float32)

    def _park(self, sprite: Sprite, contact: Contact) -> None:
        """Add a parked car to the picture, and to the things that others may pass behind."""
        self.touch(contact, self.radiance, self.temp_celsius)
        shown = self.shown(sprite)
        if shown is None:
            return
        self.lay(sprite, shown, self.radiance, self.temp_celsius)
        self.lay_mirrored(sprite, self.mirror)
        bare = 1.0 - shown.alpha
        self.albedo[shown.at] *= bare[..., None]
        self.mirror_weight[shown.at] *= bare[..., None]
        self.ground[shown.at] *= bare
        rows, columns = shown.at
        self._covers.append(_Cover(sprite.depth, rows.start, columns.start, sprite.alpha[shown.inner]))

    def shown(self, sprite: Sprite) -> Shown | None:
        """Where a sprite shows, or None where it lies outside the image."""
        window = sprite.window(self.camera.height, self.camera.width)
        if window is None:
            return None
        (rows, columns), inner = window
        alpha = sprite.alpha[inner].copy()
        for cover in self._covers:
            if cover.depth >= sprite.depth:
                continue
            top, left = max(rows.start, cover.top), max(columns.start, cover.left)
            bottom = min(rows.stop, cover.top + cover.alpha.shape[0])
            right = min(columns.stop, cover.left + cover.alpha.shape[1])
            if top < bottom and left < right:
                hidden = cover.alpha[top - cover.top : bottom - cover.top, left - cover.left : right - cover.left]
                part = slice(top - rows.start, bottom - rows.start), slice(left - columns.start, right - columns.start)
                alpha[part] *= 1.0 - hidden
        return Shown((rows, columns), inner, alpha)

    def lay(self, sprite: Sprite, shown: Shown, radiance: Floats, temp_celsius: Floats) -> None:
        """Lay a sprite over both pictures, in place."""
        under = radiance[shown.at]
        under += shown.alpha[..., None] * (sprite.radiance[shown.inner] - under)
        below = temp_celsius[shown.at]
        below += shown.alpha * (sprite.temp_celsius[shown.inner] - below)

    def lay_mirrored(self, sprite: Sprite, mirror: Floats) -> None:
        """Lay the reflection of a sprite over the mirrored street, in place, at the mirror's half resolution."""
        flipped = sprite.mirrored()
        top, left = (flipped.top - self.mirror_top) // 2, flipped.left // 2
        rows, columns = flipped.alpha.shape
        shift = np.array(
            [
                [0.5, 0.0, flipped.left / 2 - left - 0.25],
                [0.0, 0.5, (flipped.top - self.mirror_top) / 2 - top - 0.25],
            ]
        )
        size = columns // 2 + 2, rows // 2 + 2
        alpha = np.asarray(cv2.warpAffine(np.ascontiguousarray(flipped.alpha), shift, size), np.float32)
        light = np.asarray(cv2.warpAffine(np.ascontiguousarray(flipped.radiance), shift, size), np.float32)
        window = replace(flipped, top=top, left=left, alpha=alpha).window(*mirror.shape[:2])
        if window is not None:
            at, inner = window
            mirror[at] += alpha[inner][..., None] * (light[inner] - mirror[at])

    def touch(self, contact: Contact, radiance: Floats, temp_celsius: Floats) -> None:
        """Darken, and perhaps warm, the ground below a thing, in place."""
        place = self.camera.to_camera(contact.outline)
        if float(place[:, 2].min()) < 0.8:
            return
        points = self.camera.project(contact.outline)[:, :2]
        softness = max(0.5, 0.12 * self.camera.focal_px / float(place[:, 2].mean()))
        margin = int(3 * softness) + 2
        left, top = (max(-margin, int(c) - margin) for c in points.min(axis=0))
        right = min(self.camera.width + margin, int(points[:, 0].max()) + margin)
        bottom = min(self.camera.height + margin, int(points[:, 1].max()) + margin)
        x0, y0, x1, y1 = max(0, left), max(0, top), min(self.camera.width, right), min(self.camera.height, bottom)
        if x0 >= x1 or y0 >= y1:
            return
        mask = np.zeros((bottom - top, right - left), np.float32)
        cv2.fillConvexPoly(mask, np.rint((points - [left, top]) * 16).astype(np.int32), 1.0, shift=4)
        soft = np.asarray(cv2.GaussianBlur(mask, (0, 0), softness), np.float32)
        part = soft[y0 - top : y1 - top, x0 - left : x1 - left] * self.ground[y0:y1, x0:x1]
        radiance[y0:y1, x0:x1] *= (1.0 - np.float32(contact.darkness) * part)[..., None]
        temp_celsius[y0:y1, x0:x1] += np.float32(contact.warmth) * part

    def light_up(self, radiance: Floats, beams: Lighting) -> None:
        """Add the light of moving cars on what stands still, in place."""
        light = beams.irradiance(self._coarse_points, self._coarse_normals).reshape(*self._coarse_shape, 3)
        full = cv2.resize(light, (self.camera.width, self.camera.height), interpolation=cv2.INTER_LINEAR)
        radiance += self.albedo * np.asarray(full, np.float32)

    def reflect(self, radiance: Floats, mirror: Floats) -> None:
        """Add what wet ground mirrors, in place: rough water draws it out downward."""
        tall = max(3, int(0.06 * self.camera.height)) | 1
        drawn_out = cv2.blur(cv2.blur(mirror, (3, tall)), (1, max(3, tall // 2) | 1))
        mixed = cv2.addWeighted(mirror, 0.35, drawn_out, 0.65, 0.0)
        lower = radiance[self.mirror_top :]
        full = cv2.resize(mixed, (lower.shape[1], lower.shape[0]), interpolation=cv2.INTER_LINEAR)
        lower += self.mirror_weight[self.mirror_top :] * np.asarray(full, np.float32)


def _fill_sky(buffer: GBuffer, camera: Camera) -> None:
    """Night sky behind everything: the glow of the town in the visible, deep cold overhead in the infrared."""
    rows, columns = np.nonzero(np.isinf(buffer.depth))
    if rows.size == 0:
        return
    rays = camera.directions(rows, columns)
    level = np.hypot(rays[:, 0], rays[:, 2])
    rise = np.asarray(np.abs(rays[:, 1]) / level, np.float32)
    # Clouds lie on a ceiling: their pattern shrinks toward the horizon.
    ceiling = np.float32(1.0) / (rise + np.float32(0.12))
    clouds = fractal(
        41, np.asarray(rays[:, 0] / level * ceiling, np.float32), ceiling, slope=1.45, texels_per_metre=38.0
    )
    cloud = np.clip(0.5 + 0.42 * clouds, 0.0, 1.4)
    glow = np.exp(-rise / 0.16)
    night, town = np.array([0.0125, 0.0072, 0.0046]), np.array([0.0120, 0.0125, 0.0165])
    light = night * (0.7 + 0.5 * cloud)[:, None] + town * (glow * (0.7 + 0.5 * cloud) + 0.22 * cloud)[:, None]
    buffer.radiance[rows, columns] = light
    depth_of_air = 1.0 - np.exp(-2.1 * rise / np.sqrt(1.0 + rise**2))
    buffer.temp_celsius[rows, columns] = _AIR_CELSIUS - 3.0 - 34.0 * depth_of_air + 4.5 * cloud * (1 - glow)
