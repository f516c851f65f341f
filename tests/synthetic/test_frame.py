"""Moments of the street."""

from __future__ import annotations

import numpy as np
import pytest

from edgefuse.synthetic.cast import MAX_CARS, MAX_PEDESTRIANS, build_cast
from edgefuse.synthetic.frame import Moment


@pytest.mark.parametrize("cars", [2, MAX_CARS])
def test_cars_stop_for_the_walker_on_the_crossing(cars: int) -> None:
    """Over a minute no car comes near the one who crosses, nor two cars near each other."""
    cast = build_cast(0, pedestrians=1, cars=cars)
    for t_seconds in np.arange(0.0, 60.0, 0.25).tolist():
        moment = Moment.at(cast, t_seconds)
        walkers = [pose for _, pose in moment.people]
        for index, (_, car) in enumerate(moment.cars):
            assert all(np.hypot(car.x - walker.x, (car.z - walker.z) / 2.2) > 1.2 for walker in walkers)
            others = (other for _, other in moment.cars[index + 1 :])
            assert all(abs(car.x - other.x) > 2.0 or abs(car.z - other.z) > 4.5 for other in others)


def test_as_many_take_part_as_asked_for() -> None:
    """Everyone is somewhere at some time."""
    cast = build_cast(5, pedestrians=MAX_PEDESTRIANS, cars=MAX_CARS)
    moments = [Moment.at(cast, t) for t in np.arange(0.0, 40.0, 2.0).tolist()]
    assert {number for moment in moments for number, _ in moment.people} == set(range(MAX_PEDESTRIANS))
    assert max(len(moment.cars) for moment in moments) >= MAX_CARS // 2
    assert {id(car) for moment in moments for car, _ in moment.cars} == {id(car) for car, _ in cast.cars}


def test_headlamps_shine_ahead_and_down() -> None:
    """One light a car, before its front, dipped."""
    moment = Moment.at(build_cast(0, pedestrians=0, cars=2), 0.0)
    assert len(moment.beams) == len(moment.cars) > 0
    for light, (_, pose) in zip(moment.beams, moment.cars, strict=True):
        assert light.facing[2] * np.cos(pose.heading) > 0.9
        assert light.facing[1] < 0
        assert (light.position[2] - pose.z) * np.cos(pose.heading) > 2.0
