"""Thermal gain control for streams: what is steady in the scene stays steady in the picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from edgefuse.arrays import Image
from edgefuse.errors import UsageError
from edgefuse.stream.profiles import ThermalProfile
from edgefuse.thermal import HIGH_PERCENTILE, LOW_PERCENTILE, SMALLEST_SPAN_COUNTS

__all__ = ["AGC_MODES", "AgcMode", "FixedRange", "GainRange", "ThermalAgc"]

AgcMode = Literal["percentile", "clahe", "fixed", "none"]
AGC_MODES: tuple[AgcMode, ...] = get_args(AgcMode)

_TIME_CONSTANT_SECONDS = 1.0
_SAMPLES_PER_SIDE = 160
"""Percentiles are taken from every n-th pixel: 128 of 25,600 samples still lie outside each of the 0.5 % points."""

_CUT_SPANS = 1.0
"""A range that jumps by more than its own width is another scene or gain stage of the camera: it is taken at once."""

_CLAHE_CLIP = 2.0
_CLAHE_TILES = (8, 8)


@dataclass(frozen=True)
class FixedRange:
    """A range that is mapped to [0, 1] for good.

    Args:
        low: Becomes 0.
        high: Becomes 1.
        unit: Of both: raw ``counts``, or ``celsius`` or ``kelvin`` where the camera is radiometric.
    """

    low: float
    high: float
    unit: Literal["counts", "celsius", "kelvin"] = "counts"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise UsageError(f"a fixed range needs low < high, not {self.low:g} to {self.high:g}")

    def counts(self, profile: ThermalProfile | None) -> GainRange:
        """The range in raw counts.

        Args:
            profile: The camera's.

        Raises:
            UsageError: The range is a temperature and the camera is not radiometric.
        """
        if self.unit == "counts":
            return GainRange(self.low, self.high)
        scale = None if profile is None else profile.kelvin_per_count
        if scale is None:
            name = "this camera" if profile is None else f"profile {profile.name}"
            raise UsageError(f"{name} is not radiometric: give the fixed range in counts")
        zero = 273.15 if self.unit == "celsius" else 0.0
        return GainRange((self.low + zero) / scale, (self.high + zero) / scale)


@dataclass(frozen=True)
class GainRange:
    """Raw counts that become 0 and 1."""

    low: float
    high: float


class ThermalAgc:
    """Brings infrared frames of a stream to [0, 1].

    The percentiles of each frame pass a first-order filter in time, so a hot thing that enters changes the picture
    within a second instead of at once, and noise in the percentiles does not flicker.

    Args:
        mode: ``percentile``; ``clahe``, the same with local contrast; ``fixed``; or
            ``none``: full scale of the data type.
        fixed: The range for ``fixed``.
        profile: The camera's, for ranges in degrees.
        time_constant_seconds: Of the filter; 0 follows at once.

    Raises:
        UsageError: An unknown mode, or a range with a mode that takes none.
    """

    def __init__(
        self,
        mode: AgcMode = "percentile",
        *,
        fixed: FixedRange | None = None,
        profile: ThermalProfile | None = None,
        time_constant_seconds: float = _TIME_CONSTANT_SECONDS,
    ) -> None:
        if mode not in AGC_MODES:
            raise UsageError(f"agc must be one of {', '.join(AGC_MODES)}, not {mode!r}")
        if (mode == "fixed") != (fixed is not None):
            raise UsageError("a fixed range goes with agc fixed: give both or neither")
        self._mode = mode
        self._fixed = None if fixed is None else fixed.counts(profile)
        self._time_constant = time_constant_seconds
        self._range: GainRange | None = None
        self._last_seconds: float | None = None
        self._clahe = cv2.createCLAHE(clipLimit=_CLAHE_CLIP, tileGridSize=_CLAHE_TILES)

    def update(self, ir: Image, at_seconds: float) -> GainRange:
        """The range for a frame.

        Args:
            ir: ``(H, W)`` uint8 or uint16.
            at_seconds: Its capture time; the filter goes by it, so lost frames change nothing.

        Returns:
            The counts that become 0 and 1.
        """
        if self._fixed is not None:
            return self._fixed
        # A finished 8-bit picture has gone through the camera's own gain control.
        if self._mode == "none" or ir.dtype == np.uint8:
            return GainRange(0.0, 255.0 if ir.dtype == np.uint8 else 65535.0)
        measured = _percentiles(ir)
        last, self._last_seconds = self._last_seconds, at_seconds
        held = self._range
        if held is None or last is None or _is_cut(held, measured):
            self._range = measured
            return measured
        elapsed = max(0.0, at_seconds - last)
        weight = 1.0 if self._time_constant == 0.0 else 1.0 - math.exp(-elapsed / self._time_constant)
        self._range = GainRange(
            held.low + weight * (measured.low - held.low), held.high + weight * (measured.high - held.high)
        )
        return self._range

    def __call__(self, ir: Image, at_seconds: float) -> NDArray[np.float32]:
        """Bring a frame to [0, 1].

        Args:
            ir: ``(H, W)`` uint8 or uint16.
            at_seconds: Its capture time.

        Returns:
            ``(H, W)`` float32 in [0, 1].
        """
        picture, gain = self.picture(ir, at_seconds)
        return _scaled(picture, gain)

    def picture(self, ir: Image, at_seconds: float) -> tuple[Image, GainRange]:
        """What is left to do for who reads the frame anyway: map a range to [0, 1] and clip.

        Args:
            ir: ``(H, W)`` uint8 or uint16.
            at_seconds: Its capture time.

        Returns:
            The frame itself, or with local contrast a uint16 one, and the counts that become 0 and 1.
        """
        gain = self.update(ir, at_seconds)
        if self._mode != "clahe":
            return ir, gain
        # In 16 bits: in 8 the stretched valleys of the histogram would show as steps.
        counts = (_scaled(ir, gain) * np.float32(65535.0) + np.float32(0.5)).astype(np.uint16)
        return self._clahe.apply(counts), GainRange(0.0, 65535.0)


def _scaled(ir: Image, gain: GainRange) -> NDArray[np.float32]:
    scaled = (ir.astype(np.float32) - np.float32(gain.low)) * np.float32(1.0 / (gain.high - gain.low))
    return np.clip(scaled, 0.0, 1.0, out=scaled)


def _percentiles(ir: NDArray[Any]) -> GainRange:
    step_y, step_x = (max(1, side // _SAMPLES_PER_SIDE) for side in ir.shape)
    low, high = (float(v) for v in np.percentile(ir[::step_y, ::step_x], (LOW_PERCENTILE, HIGH_PERCENTILE)))
    middle, span = (low + high) / 2, max(high - low, SMALLEST_SPAN_COUNTS)
    return GainRange(middle - span / 2, middle + span / 2)


def _is_cut(held: GainRange, measured: GainRange) -> bool:
    span = max(held.high - held.low, measured.high - measured.low)
    return abs((measured.low + measured.high) - (held.low + held.high)) / 2 > _CUT_SPANS * span
