"""Where walkers and cars are at a given time: paths that repeat for ever, and steps that fit the ground covered."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Path", "Pose"]

_TURN_METRES = 0.5
_FADE_METRES = 0.8


@dataclass(frozen=True)
class Pose:
    """Place and direction on the ground.

    Args:
        x: Metres across the street.
        z: Metres along it.
        heading: Direction of motion, radians from the street's axis to the right.
        travelled: Metres since the start of the path.
        opacity: Below 1 near the ends of the path, where one appears or leaves.
    """

    x: float
    z: float
    heading: float
    travelled: float
    opacity: float


@dataclass(frozen=True)
class Path:
    """A broken line walked or driven at constant speed, again and again.

    Args:
        points: Corners as (x, z) in metres.
        speed: Metres a second; 0 stands at the first point, facing the second.
        period_seconds: Time from one start to the next; shorter than the way takes means: when it is done.
        start_seconds: Time already spent at t = 0.
    """

    points: tuple[tuple[float, float], ...]
    speed: float
    period_seconds: float = 0.0
    start_seconds: float = 0.0

    @property
    def length(self) -> float:
        """Metres from end to end."""
        return float(np.hypot(*np.diff(np.array(self.points), axis=0).T).sum())

    def at(self, t_seconds: float) -> Pose | None:
        """Where one is at a time, or None between two runs."""
        if self.speed == 0:
            (x, z), (ahead_x, ahead_z) = self.points[:2]
            return Pose(x, z, float(np.arctan2(ahead_x - x, ahead_z - z)), 0.0, 1.0)
        length = self.length
        period = max(self.period_seconds, length / self.speed)
        travelled = ((t_seconds + self.start_seconds) % period) * self.speed
        if travelled > length:
            return None
        corners = np.array(self.points)
        marks = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(corners, axis=0).T))])

        def place(s: float) -> tuple[float, float]:
            return float(np.interp(s, marks, corners[:, 0])), float(np.interp(s, marks, corners[:, 1]))

        x, z = place(travelled)
        behind, ahead = place(max(0.0, travelled - _TURN_METRES)), place(min(length, travelled + _TURN_METRES))
        heading = float(np.arctan2(ahead[0] - behind[0], ahead[1] - behind[1]))
        opacity = min(1.0, travelled / _FADE_METRES, (length - travelled) / _FADE_METRES)
        return Pose(x, z, heading, travelled, opacity)
