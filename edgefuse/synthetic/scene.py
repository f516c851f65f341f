"""A simulated night street, seen by an infrared and a visible camera at any time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from edgefuse.errors import UsageError
from edgefuse.synthetic.camera import Camera, Floats
from edgefuse.synthetic.cast import Cast, build_cast
from edgefuse.synthetic.figures import draw_person
from edgefuse.synthetic.ground import KERB_METRES, ROAD_LEFT, ROAD_RIGHT
from edgefuse.synthetic.lighting import Light, Lighting
from edgefuse.synthetic.motion import Pose
from edgefuse.synthetic.optics import ThermalSensor, VisibleSensor, add_glare
from edgefuse.synthetic.sprites import Sprite
from edgefuse.synthetic.street import build_street
from edgefuse.synthetic.vehicles import Car, draw_car
from edgefuse.synthetic.view import StaticView

__all__ = ["ScenePair", "StreetScene"]


@dataclass(frozen=True)
class ScenePair:
    """What both cameras see at one moment, with the truth behind it.

    Args:
        ir: Infrared picture, uint8.  # [H, W]
        vis: Visible picture, BGR uint8.  # [H, W, 3]
        ir16: Raw infrared, uint16 in hundredths of a kelvin.  # [H, W]
        people: Where people are in the infrared picture, bool.  # [H, W]
        temp_kelvin: True apparent temperature, without optics and noise, float32.  # [H, W]
        t_seconds: When.
    """

    ir: NDArray[np.uint8]
    vis: NDArray[np.uint8]
    ir16: NDArray[np.uint16]
    people: NDArray[np.bool_]
    temp_kelvin: Floats
    t_seconds: float


class StreetScene:
    """A night street."""

    def __init__(self, height: int = 480, width: int = 640, *, seed: int = 0, pedestrians: int = 7, cars: int = 2) -> None:
        focal = 0.97 * float(np.sqrt(height * width))
        self.camera = Camera(height, width, focal, (width - 1) / 2, 0.42 * height, (0.9, 1.85, 0.0), np.deg2rad(9.0))
        self.seed = seed
        street = build_street(seed)
        self.cast: Cast = build_cast(seed, pedestrians=pedestrians, cars=cars)
        self.lighting = street.lighting
        parked = []
        for car, pose in self.cast.parked:
            sprite = draw_car(self.camera, street.lighting, car, foot=_foot(pose), heading=pose.heading)
            if sprite is not None:
                parked.append(sprite)
        self.view = StaticView(self.camera, street, parked)
        self.visible = VisibleSensor(height, width, seed)
        self.thermal = ThermalSensor(height, width, seed)

    def render(self, t_seconds: float = 0.0) -> ScenePair:
        """Render a moment."""
        view, camera = self.view, self.camera
        driving = [(car, pose) for car, path in self.cast.cars if (pose := path.at(t_seconds)) is not None]
        beams = tuple(beam for car, pose in driving if (beam := _beam(pose)))
        lighting = Lighting(self.lighting.lights + beams, self.lighting.ambient)
        sprites: list[Sprite] = []
        shadows: list[tuple[Floats, float]] = []
        for car, pose in driving:
            sprite = draw_car(camera, lighting, car, foot=_foot(pose), heading=pose.heading)
            if sprite is not None:
                sprites.append(sprite)
                shadows.append((_footprint(pose, 1.9, 4.2), 0.75))
        for outfit, path in self.cast.people:
            pose = path.at(t_seconds)
            if pose is None:
                continue
            stride = 0.80 * outfit.height
            sprite = draw_person(
                camera, lighting, outfit, foot=_foot(pose), heading=pose.heading, phase=2 * np.pi * pose.travelled / stride
            )
            if sprite is not None:
                sprites.append(sprite if pose.opacity == 1.0 else sprite.faded(pose.opacity))
                shadows.append((_footprint(pose, 0.62, 0.62), 0.5))
        sprites.sort(key=lambda sprite: -sprite.depth)

        radiance = view.radiance.copy()
        temp = view.temp_celsius.copy()
        if beams:
            self._light_up(radiance, beams)
        for outline, strength in shadows:
            self._shadow(radiance, outline, strength)
        mirror = view.mirror.copy()
        for sprite in sprites:
            view.lay_mirrored(sprite, mirror)
        self._reflect(radiance, mirror)
        people = np.zeros(temp.shape, np.bool_)
        for sprite in sprites:
            view.lay(sprite, radiance, temp)
            shown = view.visible_alpha(sprite)
            if shown is not None:
                at, _, alpha = shown
                target = people[at]
                target[alpha > 0.5] = sprite.person
        radiance += view.airlight
        add_glare(radiance)
        rng = np.random.default_rng([self.seed, int(round(t_seconds * 1e6)) & 0xFFFFFFFFFFFF])
        vis = self.visible.expose(radiance, rng)
        counts = self.thermal.measure(temp, rng)
        return ScenePair(self.thermal.display(counts), vis, counts, people, temp + np.float32(273.15), t_seconds)

    def _light_up(self, radiance: Floats, beams: tuple[Light, ...]) -> None:
        view = self.view
        light = Lighting(beams, (0.0, 0.0, 0.0)).irradiance(view.coarse_points, view.coarse_normals)
        coarse = light.reshape(*view.coarse_shape, 3)
        full = cv2.resize(coarse, (radiance.shape[1], radiance.shape[0]), interpolation=cv2.INTER_LINEAR)
        radiance += view.albedo * full

    def _shadow(self, radiance: Floats, outline: Floats, strength: float) -> None:
        inside = self.camera.to_camera(outline)
        if inside[:, 2].min() < 0.8:
            return
        points = self.camera.project(outline)[:, :2]
        softness = 0.12 * self.camera.focal_px / float(inside[:, 2].mean())
        margin = int(3 * softness) + 2
        left, top = (int(c) - margin for c in points.min(axis=0))
        right, bottom = (int(c) + margin for c in points.max(axis=0))
        left, top = max(left, -margin * 4), max(top, -margin * 4)
        mask = np.zeros((bottom - top, right - left), np.float32)
        cv2.fillConvexPoly(mask, np.rint((points - [left, top]) * 16).astype(np.int32), strength, shift=4)
        mask = cv2.GaussianBlur(mask, (0, 0), max(0.5, softness))
        x0, y0, x1, y1 = max(0, left), max(0, top), min(radiance.shape[1], right), min(radiance.shape[0], bottom)
        if x0 >= x1 or y0 >= y1:
            return
        part = mask[y0 - top : y1 - top, x0 - left : x1 - left] * self.view.ground[y0:y1, x0:x1]
        radiance[y0:y1, x0:x1] *= (1.0 - part)[..., None]

    def _reflect(self, radiance: Floats, mirror: Floats) -> None:
        view = self.view
        rows = max(3, int(0.045 * self.camera.height)) | 1
        blurred = cv2.blur(cv2.blur(mirror, (3, rows)), (1, max(3, rows // 2) | 1))
        mixed = 0.35 * mirror + 0.65 * blurred
        lower = radiance[view.mirror_top :]
        full = cv2.resize(mixed, (lower.shape[1], lower.shape[0]), interpolation=cv2.INTER_LINEAR)
        lower += view.mirror_weight[view.mirror_top :] * full

    def frames(self, rate_hz: float, duration_seconds: float | None = None) -> Iterator[ScenePair]:
        """Frames at a rate."""
        number = 0
        while duration_seconds is None or number < round(rate_hz * duration_seconds):
            yield self.render(number / rate_hz)
            number += 1


def _foot(pose: Pose) -> Floats:
    on_road = ROAD_LEFT < pose.x < ROAD_RIGHT
    return np.array([pose.x, 0.0 if on_road else KERB_METRES, pose.z], np.float32)


def _beam(pose: Pose) -> Light | None:
    ahead = float(np.sin(pose.heading)), float(np.cos(pose.heading))
    position = pose.x + 2.1 * ahead[0], 0.65, pose.z + 2.1 * ahead[1]
    tilt = 0.05
    return Light(position, (200.0, 215.0, 225.0), "beam", facing=(ahead[0], -tilt, ahead[1]), haze=0.0)


def _footprint(pose: Pose, width: float, length: float) -> Floats:
    ahead = np.array([np.sin(pose.heading), 0.0, np.cos(pose.heading)])
    right = np.array([ahead[2], 0.0, -ahead[0]])
    centre = _foot(pose)
    corners = [centre + ahead * (a * length / 2) + right * (b * width / 2) for a, b in ((1, -1), (1, 1), (-1, 1), (-1, -1))]
    return np.array(corners, np.float32)
