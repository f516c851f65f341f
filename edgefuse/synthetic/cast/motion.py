"""Where walkers and cars are at a given time: ways that they follow again and again, and when they are where."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Pose", "Way"]

_TURN_METRES = 0.5
_FADE_METRES = 0.8
_EASE_SECONDS = np.linspace(-1.2, 1.2, 13)


@dataclass(frozen=True)
class Pose:
    """Place and direction on the ground.

    Args:
        x: Metres across the street.
        z: Metres along it.
        heading: Direction of the front, radians from the street's axis to the right.
        travelled: Metres since the start of the way.
        opacity: Below 1 near the ends of the way, where one appears or leaves.
    """

    x: float
    z: float
    heading: float
    travelled: float = 0.0
    opacity: float = 1.0


@dataclass(frozen=True)
class Way:
    """A broken line followed on a timetable, again and again.

    Args:
        corners: Its corners as (x, z) in metres.
        timetable: Pairs of seconds since the start and metres travelled by then; stops are eased.
        period_seconds: Time from one start to the next; between the end and the next start one is away.
        elapsed_seconds: Time since the last start at t = 0.
    """

    corners: tuple[tuple[float, float], ...]
    timetable: tuple[tuple[float, float], ...]
    period_seconds: float
    elapsed_seconds: float

    @classmethod
    def steady(cls, corners: tuple[tuple[float, float], ...], speed: float, *, elapsed_seconds: float) -> Way:
        """A way at constant speed in metres a second, begun again as soon as it ends."""
        length = float(np.hypot(*np.diff(np.array(corners), axis=0).T).sum())
        seconds = length / speed
        return cls(corners, ((0.0, 0.0), (seconds, length)), seconds, elapsed_seconds)

    @cached_property
    def _marks(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Distance of each corner from the start, and their coordinates."""
        corners = np.array(self.corners, float)
        steps = np.hypot(*np.diff(corners, axis=0).T)
        return np.concatenate([[0.0], np.cumsum(steps)]), corners[:, 0], corners[:, 1]

    def _place(self, metres: float) -> tuple[float, float]:
        marks, x, z = self._marks
        return float(np.interp(metres, marks, x)), float(np.interp(metres, marks, z))

    def at(self, t_seconds: float) -> Pose | None:
        """Where one is at a time, or None between two runs."""
        since = (t_seconds + self.elapsed_seconds) % self.period_seconds
        times, distances = (np.array(column) for column in zip(*self.timetable, strict=True))
        if since > times[-1]:
            return None
        # The mean over a moment turns the corners of the timetable into braking and accelerating.
        slack = min(1.0, since / _EASE_SECONDS[-1], (times[-1] - since) / _EASE_SECONDS[-1])
        travelled = float(np.interp(since + slack * _EASE_SECONDS, times, distances).mean())
        length = float(self._marks[0][-1])
        behind = self._place(max(0.0, travelled - _TURN_METRES))
        ahead = self._place(min(length, travelled + _TURN_METRES))
        heading = float(np.arctan2(ahead[0] - behind[0], ahead[1] - behind[1]))
        opacity = min(1.0, travelled / _FADE_METRES, (length - travelled) / _FADE_METRES)
        return Pose(*self._place(travelled), heading, travelled, opacity)
