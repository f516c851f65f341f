"""One moment of the street: what moves, drawn over what stands still."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgefuse.synthetic.cast import Car, Cast, Pose, draw_car, draw_person
from edgefuse.synthetic.drawing import Camera, Floats, Light, Lighting, Sprite
from edgefuse.synthetic.street import KERB_METRES, ROAD_LEFT, ROAD_RIGHT
from edgefuse.synthetic.view import Contact, StaticView

__all__ = ["Moment", "compose", "parked_sprites"]

_CAR_METRES = (1.9, 4.2)
_STRIDE = 0.80
"""Length of a walking cycle, two steps, over the height of the walker."""


@dataclass(frozen=True)
class Moment:
    """Who is where at one time.

    Args:
        cars: Moving cars.
        people: Walkers, by number in the cast.
    """

    cars: tuple[tuple[Car, Pose], ...]
    people: tuple[tuple[int, Pose], ...]

    @classmethod
    def at(cls, cast: Cast, t_seconds: float) -> Moment:
        """The places of a cast at a time."""
        cars = tuple((car, pose) for car, way in cast.cars if (pose := way.at(t_seconds)) is not None)
        places = ((number, way.at(t_seconds)) for number, (_, way) in enumerate(cast.people))
        return cls(cars, tuple((number, pose) for number, pose in places if pose is not None))

    @property
    def beams(self) -> tuple[Light, ...]:
        """Headlamps, one light a car."""
        return tuple(_beam(pose) for _, pose in self.cars)


def _foot(pose: Pose) -> Floats:
    """The point of the ground at a pose."""  # [3]
    on_road = ROAD_LEFT < pose.x < ROAD_RIGHT
    return np.array([pose.x, 0.0 if on_road else KERB_METRES, pose.z], np.float32)


def _beam(pose: Pose) -> Light:
    """Both headlamps of a car as one light, dipped by three degrees."""
    ahead_x, ahead_z = float(np.sin(pose.heading)), float(np.cos(pose.heading))
    position = pose.x + 2.1 * ahead_x, 0.65, pose.z + 2.1 * ahead_z
    return Light(position, (200.0, 215.0, 225.0), "beam", facing=(ahead_x, -0.05, ahead_z), haze=0.0)


def _contact(pose: Pose, size: tuple[float, float], darkness: float, warmth: float = 0.0) -> Contact:
    """The ground below a thing of a width and length."""
    ahead = np.array([np.sin(pose.heading), 0.0, np.cos(pose.heading)]) * size[1] / 2
    right = np.array([np.cos(pose.heading), 0.0, -np.sin(pose.heading)]) * size[0] / 2
    corners = [ahead - right, ahead + right, -ahead + right, -ahead - right]
    return Contact(np.asarray(_foot(pose) + np.array(corners), np.float32), darkness, warmth)


def parked_sprites(camera: Camera, lighting: Lighting, cast: Cast) -> list[tuple[Sprite, Contact]]:
    """Parked cars as a camera sees them, and the ground below them."""
    found = []
    for car, pose in cast.parked:
        sprite = draw_car(camera, lighting, car, foot=_foot(pose), heading=pose.heading, samples=3)
        if sprite is not None:
            found.append((sprite, _contact(pose, _CAR_METRES, 0.8)))
    return found


def _sprites(camera: Camera, lighting: Lighting, cast: Cast, moment: Moment) -> list[tuple[Sprite, Contact]]:
    """All that moves as a camera sees it, from far to near."""
    found = []
    for car, pose in moment.cars:
        sprite = draw_car(camera, lighting, car, foot=_foot(pose), heading=pose.heading)
        if sprite is not None:
            found.append((sprite.faded(pose.opacity), _contact(pose, _CAR_METRES, 0.75, 1.6)))
    for number, pose in moment.people:
        outfit = cast.people[number][0]
        phase = 2 * np.pi * pose.travelled / (_STRIDE * outfit.height)
        sprite = draw_person(camera, lighting, outfit, foot=_foot(pose), heading=pose.heading, phase=phase)
        if sprite is not None:
            found.append((sprite.faded(pose.opacity), _contact(pose, (0.6, 0.6), 0.5)))
    return sorted(found, key=lambda one: -one[0].depth)


def compose(
    view: StaticView, lighting: Lighting, cast: Cast, moment: Moment
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Draw a moment.

    Args:
        view: What stands still.
        lighting: Lamps of the street.
        cast: Who is in it.
        moment: Where they are.

    Returns:
        Visible light in linear BGR, apparent temperature in degrees Celsius, and where people are.  # [H, W, 3],
        [H, W], [H, W]
    """
    beams = moment.beams if lighting.lights else ()
    things = _sprites(view.camera, lighting.extended(beams), cast, moment)
    radiance, temp = view.radiance.copy(), view.temp_celsius.copy()
    people = np.zeros(temp.shape, np.bool_)
    if beams:
        view.light_up(radiance, Lighting(beams, (0.0, 0.0, 0.0)))
    mirror = view.mirror.copy()
    for sprite, contact in things:
        view.touch(contact, radiance, temp)
        view.lay_mirrored(sprite, mirror)
    view.reflect(radiance, mirror)
    for sprite, _ in things:
        shown = view.shown(sprite)
        if shown is not None:
            view.lay(sprite, shown, radiance, temp)
            people[shown.at][shown.alpha > 0.5] = sprite.person
    radiance += view.airlight
    return radiance, temp, people
