"""Who is in the street: walkers, moving and parked cars, and their ways."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from edgefuse.synthetic.cast.cars import Car
from edgefuse.synthetic.cast.motion import Pose, Way
from edgefuse.synthetic.cast.outfits import Outfit, random_outfit
from edgefuse.synthetic.drawing import Colour

__all__ = ["MAX_CARS", "MAX_PEDESTRIANS", "Cast", "build_cast"]

MAX_PEDESTRIANS = 32
MAX_CARS = 6

_PAINTS: tuple[Colour, ...] = (
    (0.30, 0.10, 0.03), (0.035, 0.03, 0.32), (0.42, 0.42, 0.42), (0.03, 0.03, 0.03), (0.20, 0.22, 0.22),
    (0.10, 0.22, 0.08), (0.06, 0.33, 0.50),
)  # fmt: skip
_PARKED_METRES = (26.4, 32.0, 37.6, 48.8, 54.4)

# One walker crosses the road; cars keep a timetable of the same period, so that they stop for them.
_PERIOD_SECONDS = 40.0
_CROSSING_WAY = ((-9.5, 9.0), (4.6, 9.0), (5.1, 46.0))
_CROSSING_ELAPSED = 7.3

# The other walkers: corners of the way, dark clothes, speed, seconds since the start.
_WALKS = (
    (((-5.75, 48.0), (-5.6, 3.0)), True, 1.25, 21.0),
    (((-6.45, 48.2), (-6.3, 3.2)), True, 1.25, 21.0),
    (((5.6, 60.0), (5.3, 1.5)), False, 1.35, 34.8),
    (((-7.2, 4.0), (-7.1, 60.0)), True, 1.2, 19.5),
    (((4.7, 2.0), (4.5, 58.0)), False, 1.4, 14.0),
    (((6.1, 52.0), (6.0, 2.0)), False, 1.2, 24.0),
    (((-9.5, 26.0), (-4.2, 23.5), (-3.9, 60.0)), True, 1.1, 8.0),
)


@dataclass(frozen=True)
class Cast:
    """All that moves, or could.

    Args:
        people: Walkers and their ways.
        cars: Moving cars and their ways.
        parked: Parked cars and where they stand.
    """

    people: tuple[tuple[Outfit, Way], ...]
    cars: tuple[tuple[Car, Way], ...]
    parked: tuple[tuple[Car, Pose], ...]


def _people(rng: np.random.Generator, count: int) -> list[tuple[Outfit, Way]]:
    """Walkers: one who crosses the road, then those of the pavements, the ways used again when there are many."""
    length = sum(float(np.hypot(b[0] - a[0], b[1] - a[1])) for a, b in pairwise(_CROSSING_WAY))
    timetable = ((0.0, 0.0), (length / 1.3, length))
    crossing = Way(_CROSSING_WAY, timetable, _PERIOD_SECONDS, _CROSSING_ELAPSED)
    people = [(random_outfit(rng, 0, dark=True), crossing)]
    for index in range(count - 1):
        corners, dark, speed, elapsed = _WALKS[index % len(_WALKS)]
        lap = index // len(_WALKS)
        elapsed += 8.3 * lap + float(rng.uniform(-1.2, 1.2))
        way = Way.steady(corners, speed, elapsed_seconds=elapsed)
        people.append((random_outfit(rng, index + 1, dark=dark), way))
    return people[:count]


def _moving(index: int) -> Way:
    """Ways of cars: even numbers come and stop at the crossing, one behind the other; odd numbers drive off."""
    place = index // 2
    if index % 2:
        start = 1.8 - 2.6 * place
        return Way(((1.7, -5.0), (1.7, 122.0)), ((0.0, 0.0), (15.9, 127.0)), _PERIOD_SECONDS, _CROSSING_ELAPSED - start)
    # Each starts 1.5 s after the one before it, waits one length behind it, and leaves a second later.
    stop, length = 108.5 - 7.0 * place, 129.0
    arrive, leave = stop / 8.5, 20.2 - 0.5 * place
    timetable = ((0.0, 0.0), (arrive, stop), (leave, stop), (leave + (length - stop) / 5.1, length))
    return Way(
        ((-1.45, 125.0), (-1.45, 125.0 - length)), timetable, _PERIOD_SECONDS, _CROSSING_ELAPSED + 7.7 - 1.5 * place
    )


def build_cast(seed: int, *, pedestrians: int, cars: int) -> Cast:
    """Choose who is in the street.

    Args:
        seed: Which people and cars.
        pedestrians: How many walk, up to ``MAX_PEDESTRIANS``.
        cars: How many drive, up to ``MAX_CARS``.

    Returns:
        Them and their ways.
    """
    rng = np.random.default_rng([seed, 0xCA])
    paints = [_PAINTS[int(i)] for i in rng.permutation(len(_PAINTS))]
    shapes = rng.random(MAX_CARS + len(_PARKED_METRES)) < 0.5

    def car(number: int, *, running: bool, bonnet_celsius: float) -> Car:
        shape = shapes[number]
        return Car("hatchback" if shape else "saloon", paints[number % len(paints)], running, bonnet_celsius)

    moving = tuple((car(index, running=True, bonnet_celsius=26.0), _moving(index)) for index in range(cars))
    parked = []
    for index, z in enumerate(_PARKED_METRES):
        warm = 20.0 if rng.random() < 0.3 else float(rng.uniform(4.0, 9.0))
        x, heading = -3.98 + 0.1 * float(rng.random()), np.pi if rng.random() < 0.8 else 0.0
        parked.append((car(MAX_CARS + index, running=False, bonnet_celsius=warm), Pose(x, z, heading)))
    people = tuple(_people(np.random.default_rng([seed, 0xCB]), pedestrians))
    return Cast(people, moving, tuple(parked))
