"""How much later one camera stamps its frames than the other, from a recording of motion that both see.

When the mount is shaken or somebody walks by, both pictures change at the same moments, whatever they show. The mean
change from frame to frame is the motion energy of a camera; where the energies of both correlate best is the offset.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgefuse.errors import InputError
from edgefuse.stream.frame import Frame
from edgefuse.stream.recording import read_recording
from edgefuse.wording import counted

__all__ = ["TimeOffset", "find_time_offset", "motion_energy"]

Floats = NDArray[np.float64]

_WIDTH_PX = 160
_STEP_SECONDS = 1 / 240
_LARGEST_SECONDS = 1.0
_SHORTEST_SECONDS = 5.0
_FEWEST_CHANGES = 30
_TREND_SECONDS = 1.0
_SMALLEST_CORRELATION = 0.5
_OTHER_PEAK_SECONDS = 0.15
_LARGEST_OTHER_PEAK = 0.9
_LARGEST_DISAGREEMENT_SECONDS = 0.02


@dataclass(frozen=True)
class TimeOffset:
    """An offset and what speaks for it.

    Args:
        seconds: How much later infrared frames are stamped than visible ones.
        correlation: Of both motion energies at this offset, at most 1.
        disagreement_seconds: Between the offsets of the first and the second half of the recording.
    """

    seconds: float
    correlation: float
    disagreement_seconds: float


def find_time_offset(recording: str | os.PathLike[str]) -> TimeOffset:
    """Find the time offset between the cameras of a recording.

    Args:
        recording: Folder of ``edgefuse stream --record``. Offsets that were applied to it do not count.

    Returns:
        The offset, between -1 and 1 s.

    Raises:
        InputError: There is no recording, or it is too short, or shows no motion that both cameras see.
    """
    energies = [motion_energy(read_recording(recording, role)) for role in ("ir", "vis")]
    advice = "record ten seconds or more while you shake the mount or walk by"
    for role, (times, _) in zip(("infrared", "visible"), energies, strict=True):
        if len(times) < _FEWEST_CHANGES:
            raise InputError(f"{recording}: only {counted(len(times), 'change')} between {role} frames; {advice}")
    begin = max(times[0] for times, _ in energies)
    seconds = min(times[-1] for times, _ in energies) - begin
    if seconds < _SHORTEST_SECONDS:
        raise InputError(f"{recording}: both cameras together give only {max(0.0, seconds):.1f} s; {advice}")
    grid = begin + np.arange(0.0, seconds, _STEP_SECONDS)
    ir, vis = (_even(times, energy, grid) for times, energy in energies)
    lags, curve = _correlation(ir, vis)
    offset, correlation = _peak(lags, curve)
    others = curve[np.abs(lags - offset) > _OTHER_PEAK_SECONDS]
    if correlation < _SMALLEST_CORRELATION or others.max() > _LARGEST_OTHER_PEAK * correlation:
        raise InputError(
            f"{recording}: no trustworthy time offset: the motion of both cameras correlates by {correlation:.2f}, "
            f"elsewhere by {others.max():.2f}; {advice}"
        )
    middle = len(grid) // 2
    halves = [_peak(*_correlation(ir[part], vis[part]))[0] for part in (slice(None, middle), slice(middle, None))]
    disagreement = abs(halves[0] - halves[1])
    if disagreement > _LARGEST_DISAGREEMENT_SECONDS:
        raise InputError(
            f"{recording}: no trustworthy time offset: its halves say {halves[0] * 1e3:.0f} and "
            f"{halves[1] * 1e3:.0f} ms; {advice}"
        )
    return TimeOffset(offset, correlation, disagreement)


def motion_energy(frames: Iterable[Frame]) -> tuple[Floats, Floats]:
    """The mean change of a camera's picture, from each frame to the next.

    Args:
        frames: Frames of one camera in order of capture; repeated ones, as of a closed shutter, are passed over.

    Returns:
        Times as the camera stamped them, half way between two frames, and the change a second.  # [N] each
    """
    times, energies = [], []
    before: tuple[float, NDArray[np.float32]] | None = None
    for frame in frames:
        if frame.changed_seconds < frame.captured_seconds:
            continue
        stamped, small = frame.captured_seconds + frame.offset_seconds, _small(frame)
        if before is not None and stamped > before[0] and small.shape == before[1].shape:
            times.append((stamped + before[0]) / 2)
            energies.append(float(np.abs(small - before[1]).mean()) / (stamped - before[0]))
        before = stamped, small
    return np.array(times), np.array(energies)


def _small(frame: Frame) -> NDArray[np.float32]:
    image = np.asarray(frame.image)
    plane = image if image.ndim == 2 else np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))
    height = max(1, round(plane.shape[0] * _WIDTH_PX / plane.shape[1]))
    shrunk = cv2.resize(plane.astype(np.float32), (_WIDTH_PX, height), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(shrunk, (0, 0), 1.0), np.float32)


def _even(times: Floats, energy: Floats, grid: Floats) -> Floats:
    """The logarithm at even times, less its slow trend: cameras and scenes differ in contrast, and that drifts."""
    logarithm = np.log(energy + max(1e-9, 0.05 * float(np.median(energy))))
    even: Floats = np.interp(grid, times, logarithm)
    window = max(1, round(_TREND_SECONDS / _STEP_SECONDS)) | 1
    weights = np.convolve(np.ones_like(even), np.ones(window), mode="same")
    return even - np.convolve(even, np.ones(window), mode="same") / weights


def _correlation(ir: Floats, vis: Floats) -> tuple[Floats, Floats]:
    """Lags in seconds by which infrared is later, and the correlation at each over what both have there."""
    largest = min(round(_LARGEST_SECONDS / _STEP_SECONDS), len(ir) // 2)
    curve = []
    for lag in range(-largest, largest + 1):
        a, b = (ir[lag:], vis[: len(vis) - lag]) if lag >= 0 else (ir[:lag], vis[-lag:])
        size = float(np.sqrt(np.sum(a * a) * np.sum(b * b)))
        curve.append(float(np.sum(a * b)) / size if size > 0.0 else 0.0)
    return np.arange(-largest, largest + 1, dtype=np.float64) * np.float64(_STEP_SECONDS), np.array(curve, np.float64)


def _peak(lags: Floats, curve: Floats) -> tuple[float, float]:
    """Place and height of the highest point, by the parabola through its neighbours."""
    at = int(np.clip(np.argmax(curve), 1, len(curve) - 2))
    before, here, after = (float(value) for value in curve[at - 1 : at + 2])
    curvature = before - 2 * here + after
    shift = 0.0 if curvature >= 0.0 else float(np.clip(0.5 * (before - after) / curvature, -0.5, 0.5))
    return float(lags[at]) + shift * _STEP_SECONDS, here
