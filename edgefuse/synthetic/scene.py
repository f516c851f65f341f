"""A simulated night street, seen by an infrared and a visible camera at any time."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgefuse.errors import UsageError
from edgefuse.synthetic.cast import MAX_CARS, MAX_PEDESTRIANS, build_cast
from edgefuse.synthetic.drawing import Camera, Floats, Lighting
from edgefuse.synthetic.frame import Moment, compose, parked_sprites
from edgefuse.synthetic.mount import InfraredMount
from edgefuse.synthetic.sensors import ZERO_CELSIUS, ThermalSensor, VisibleSensor, add_glare
from edgefuse.synthetic.street import build_street
from edgefuse.synthetic.view import StaticView

__all__ = ["ScenePair", "StreetScene"]

_SIZES_PX = (32, 4096)
_EYE_METRES = (0.9, 1.85, 0.0)
_YAW_DEGREES = 9.0
_NO_LIGHT = Lighting((), (0.0, 0.0, 0.0))


@dataclass(frozen=True)
class ScenePair:
    """What both cameras see at one moment, with the truth behind the infrared picture.

    Args:
        ir: Infrared picture, uint8; the range in kelvin is fixed.  # [H, W]
        vis: Visible picture, BGR uint8.  # [H, W, 3]
        ir16: Raw infrared, uint16 in hundredths of a kelvin.  # [H, W]
        people: True where a person is in the infrared picture.  # [H, W]
        temp_kelvin: Apparent temperature before optics and noise, float32.  # [H, W]
        t_seconds: Time of the scene.
    """

    ir: NDArray[np.uint8]
    vis: NDArray[np.uint8]
    ir16: NDArray[np.uint16]
    people: NDArray[np.bool_]
    temp_kelvin: Floats
    t_seconds: float


class StreetScene:
    """A night street with lamps, shops, traffic and people, for demonstrations and tests without cameras.

    The visible camera sees light, colour, lettering and reflections on the wet road, and hardly the people in the dark;
    the infrared camera sees warm people and engines, and neither paint nor lettering. What stands still is drawn once,
    here; ``render`` only adds what moves. Rendering changes nothing, so several threads may share a scene.

    Args:
        height: Rows of both pictures.
        width: Columns.
        seed: Which street, people, cars and noise.
        pedestrians: How many people walk.
        cars: How many cars drive; some more are parked.
        noise: Sensor noise relative to that of plain cameras; 0 for none.
        mount: How the infrared camera sits beside the visible one; by default both see exactly the same.

    Raises:
        UsageError: An argument outside what the scene can draw.

    Example:
        >>> pair = StreetScene(48, 64, seed=1).render(2.5)
        >>> pair.ir.shape, pair.vis.shape
        ((48, 64), (48, 64, 3))
    """

    def __init__(
        self,
        height: int = 480,
        width: int = 640,
        *,
        seed: int = 0,
        pedestrians: int = 8,
        cars: int = 2,
        noise: float = 1.0,
        mount: InfraredMount | None = None,
    ) -> None:
        _check("height", height, *_SIZES_PX)
        _check("width", width, *_SIZES_PX)
        _check("seed", seed, 0, (1 << 31) - 1)
        _check("pedestrians", pedestrians, 0, MAX_PEDESTRIANS)
        _check("cars", cars, 0, MAX_CARS)
        if not (math.isfinite(noise) and 0.0 <= noise <= 10.0):
            raise UsageError(f"noise must lie in [0, 10], not {noise!r}")
        self.height, self.width, self.seed = height, width, seed
        self.mount = mount or InfraredMount()
        focal_px = 0.97 * math.sqrt(height * width)
        centre, horizon = (width - 1) / 2, 0.45 * height
        self._camera = Camera(height, width, focal_px, centre, horizon, _EYE_METRES, math.radians(_YAW_DEGREES))
        self._street = build_street(seed)
        self._cast = build_cast(seed, pedestrians=pedestrians, cars=cars)
        self._view = self._static_view(self._camera, self._street.lighting)
        self._thermal_view = None if self.mount.registered else self._static_view(self._thermal_camera(), _NO_LIGHT)
        self._visible = VisibleSensor(height, width, seed=seed, noise=noise)
        self._thermal = ThermalSensor(height, width, seed=seed, noise=noise)

    def _thermal_camera(self) -> Camera:
        """The infrared camera before it turns: at its own place, with a margin to turn in."""
        moved = self._camera.moved(self.mount.right_metres, self.mount.up_metres)
        return moved.padded(self.mount.margin(self._camera))

    def _static_view(self, camera: Camera, lighting: Lighting) -> StaticView:
        return StaticView(camera, self._street, lighting, parked_sprites(camera, lighting, self._cast))

    def render(self, t_seconds: float = 0.0) -> ScenePair:
        """Take both pictures at a time.

        Args:
            t_seconds: Time of the scene, from 0 on; the same time gives the same pictures.

        Returns:
            The pictures and the truth behind them.

        Raises:
            UsageError: A time that is negative or not finite.
        """
        if not (math.isfinite(t_seconds) and t_seconds >= 0.0):
            raise UsageError(f"t_seconds must be finite and not negative, not {t_seconds!r}")
        moment = Moment.at(self._cast, t_seconds)
        radiance, temp, people = compose(self._view, self._street.lighting, self._cast, moment)
        if self._thermal_view is not None:
            _, temp, people = compose(self._thermal_view, _NO_LIGHT, self._cast, moment)
            temp, people = self._turned(temp, people)
        rng = np.random.default_rng([self.seed, round(t_seconds * 1e6)])
        add_glare(radiance)
        vis = self._visible.expose(radiance, rng)
        ir16 = self._thermal.measure(temp, rng)
        return ScenePair(self._thermal.display(ir16), vis, ir16, people, temp + np.float32(ZERO_CELSIUS), t_seconds)

    def _turned(self, temp: Floats, people: NDArray[np.bool_]) -> tuple[Floats, NDArray[np.bool_]]:
        """The infrared picture from the one before the camera turned, whose margin is cut off."""
        margin = self.mount.margin(self._camera)
        unpadded = np.array([[1.0, 0.0, -margin], [0.0, 1.0, -margin], [0.0, 0.0, 1.0]])
        warp = self.mount.turned(self._camera) @ unpadded
        size = self.width, self.height
        turned = cv2.warpPerspective(temp, warp, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        mask = cv2.warpPerspective(people.astype(np.uint8), warp, size, flags=cv2.INTER_NEAREST)
        return np.asarray(turned, np.float32), mask != 0

    def homography(self, distance_metres: float = math.inf) -> NDArray[np.float64]:
        """The true map from infrared to visible pixels for what lies at one distance.

        Args:
            distance_metres: Depth along the visible camera's axis; ``inf`` for what is far away.

        Returns:
            The homography, its last element 1.  # [3, 3]

        Raises:
            UsageError: A distance that is not positive.
        """
        if not distance_metres > 0.0:
            raise UsageError(f"distance_metres must be positive, not {distance_metres!r}")
        return self.mount.to_visible(self._camera, distance_metres)

    def frames(self, rate_hz: float, duration_seconds: float | None = None) -> Iterator[ScenePair]:
        """Frames at a rate, as a live source gives them; they are rendered as they are asked for.

        Args:
            rate_hz: Frames a second.
            duration_seconds: Length; without it there is no end.

        Returns:
            An iterator of pairs at times 0, 1 / rate, 2 / rate, …

        Raises:
            UsageError: A rate that is not positive, or a negative duration.
        """
        if not (math.isfinite(rate_hz) and rate_hz > 0.0):
            raise UsageError(f"rate_hz must be positive, not {rate_hz!r}")
        if duration_seconds is not None and not (math.isfinite(duration_seconds) and duration_seconds >= 0.0):
            raise UsageError(f"duration_seconds must not be negative, not {duration_seconds!r}")
        numbers = itertools.count() if duration_seconds is None else range(round(rate_hz * duration_seconds))
        return (self.render(number / rate_hz) for number in numbers)


def _check(name: str, value: int, low: int, high: int) -> None:
    """Refuse what is not a whole number in a range."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise UsageError(f"{name} must be a whole number from {low} to {high}, not {value!r}")
