"""Who is in the street: walkers, moving and parked cars, and their ways."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgefuse.synthetic.figures import Outfit, random_outfit
from edgefuse.synthetic.motion import Path, Pose
from edgefuse.synthetic.vehicles import Car

__all__ = ["Cast", "build_cast"]

_PAINTS = (
    (0.30, 0.10, 0.03), (0.035, 0.03, 0.32), (0.42, 0.42, 0.42), (0.05, 0.05, 0.05), (0.20, 0.22, 0.22),
    (0.10, 0.22, 0.08), (0.06, 0.33, 0.50),
)  # fmt: skip
_PERIOD_SECONDS = 26.0


@dataclass(frozen=True)
class Cast:
    """All that moves, or could."""

    people: tuple[tuple[Outfit, Path], ...]
    cars: tuple[tuple[Car, Path], ...]
    parked: tuple[tuple[Car, Pose], ...]


def build_cast(seed: int, *, pedestrians: int, cars: int) -> Cast:
    """Choose who is in the street."""
    rng = np.random.default_rng([seed, 0xCA])
    people = []
    # Ways and whether the clothes are dark; the first ones make the picture.
    ways = [
        (((-9.5, 10.3), (5.0, 10.3), (5.2, 44.0)), True, 5.6),
        (((-6.6, 46.0), (-6.3, 4.0)), True, 17.0),
        (((5.6, 60.0), (5.2, 1.5)), False, 33.5),
        (((-3.35, 19.2), (-6.4, 20.2), (-6.6, 60.0)), True, 0.9),
        (((4.6, 2.0), (4.4, 58.0)), False, 15.0),
        (((-6.9, 4.0), (-7.0, 50.0)), True, 18.0),
        (((6.0, 50.0), (5.9, 2.0)), False, 20.0),
    ]
    for index in range(pedestrians):
        points, dark, start = ways[index % len(ways)]
        outfit = random_outfit(rng, dark=dark)
        speed = 1.25 + 0.2 * rng.random() if index else 1.3
        if index >= len(ways):
            start = start + 9.0 * rng.random() + 4.0
        people.append((outfit, Path(points, speed, start_seconds=start)))
    moving = []
    for index in range(cars):
        shape = "hatchback" if rng.random() < 0.5 else "saloon"
        car = Car(shape, _PAINTS[int(rng.integers(len(_PAINTS)))], True, 27.0)  # type: ignore[arg-type]
        if index % 2 == 0:
            path = Path(((-1.45, 125.0), (-1.45, -3.0)), 8.5, period_seconds=_PERIOD_SECONDS, start_seconds=11.5 + 7 * (index // 2))
        else:
            path = Path(((1.75, -4.0), (1.75, 120.0)), 8.0, period_seconds=_PERIOD_SECONDS, start_seconds=4.1 + 7 * (index // 2))
        moving.append((car, path))
    parked = []
    for z, warm in ((17.0, 6.0), (22.6, 21.0), (33.8, 5.0), (45.0, 6.0), (50.6, 12.0)):
        shape = "hatchback" if rng.random() < 0.5 else "saloon"
        car = Car(shape, _PAINTS[int(rng.integers(len(_PAINTS)))], False, warm)  # type: ignore[arg-type]
        parked.append((car, Pose(-3.95 + 0.1 * rng.random(), z, np.pi if rng.random() < 0.8 else 0.0, 0.0, 1.0)))
    return Cast(tuple(people), tuple(moving), tuple(parked))
