"""Ways and timetables."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgefuse.synthetic.cast import Way

STRAIGHT = Way.steady(((0.0, 0.0), (0.0, 30.0)), 1.5, elapsed_seconds=0.0)


def test_steady_walkers_cover_their_speed() -> None:
    """Ten seconds at 1.5 m/s are 15 m, straight ahead."""
    pose = STRAIGHT.at(10.0)
    assert pose is not None
    assert (pose.x, pose.z, pose.heading) == pytest.approx((0.0, 15.0, 0.0))
    assert pose.opacity == 1.0


@given(t_seconds=st.floats(0.0, 1e4))
def test_ways_repeat(t_seconds: float) -> None:
    """A whole period later one is at the same place."""
    first, second = STRAIGHT.at(t_seconds), STRAIGHT.at(t_seconds + STRAIGHT.period_seconds)
    assert first is not None
    assert second is not None
    gap = abs(first.z - second.z)
    assert min(gap, 30.0 - gap) < 1e-3


def test_ends_fade_in_and_out() -> None:
    """One neither appears nor vanishes at a stroke."""
    start, end = STRAIGHT.at(0.1), STRAIGHT.at(19.9)
    assert start is not None
    assert end is not None
    assert start.opacity < 0.5
    assert end.opacity < 0.5


def test_corners_are_turned_gradually() -> None:
    """Heading before, at and after a right angle: ahead, half way, to the right."""
    way = Way.steady(((0.0, 0.0), (0.0, 10.0), (10.0, 10.0)), 1.0, elapsed_seconds=0.0)
    headings = [pose.heading for t in (5.0, 10.0, 15.0) if (pose := way.at(t)) is not None]
    assert headings == pytest.approx([0.0, math.pi / 4, math.pi / 2])


def test_timetables_stop_smoothly_and_leave_a_pause() -> None:
    """Speed falls to zero at the stop without a jump; after the end one is away until the next start."""
    way = Way(((0.0, 50.0), (0.0, 0.0)), ((0.0, 0.0), (5.0, 25.0), (9.0, 25.0), (14.0, 50.0)), 20.0, 0.0)
    times = [0.05 * k for k in range(280)]
    places = [pose.z for t in times if (pose := way.at(t)) is not None]
    speeds = [(a - b) / 0.05 for a, b in pairwise(places)]
    assert min(speeds) >= -1e-9
    assert max(abs(a - b) for a, b in pairwise(speeds)) < 0.7
    assert way.at(7.0) == way.at(7.5)
    assert way.at(14.5) is None
    assert way.at(20.5) is not None
