"""What is particular to each kind of thermal camera."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from edgefuse.arrays import Image
from edgefuse.errors import InputError, UsageError

__all__ = ["PROFILES", "ProfileName", "ThermalProfile", "profile"]

ProfileName = Literal["boson", "lepton", "infiray-split", "tlinear", "generic16"]

_LEPTON_ROWS = 120
_ABSOLUTE_ZERO_CELSIUS = -273.15


@dataclass(frozen=True)
class ThermalProfile:
    """How frames of a thermal camera become raw counts, and counts become temperatures.

    Args:
        name: As in ``--ir-profile``.
        summary: One line for help.
        pixel_format: What V4L2 is asked for.
        kelvin_per_count: Radiometric scale of the counts, or None where counts have no unit.
        rows: Rows that hold the picture; the telemetry below would corrupt the gain control. None for all.
        split: Two halves lie on top of each other, the lower one raw counts in the bytes of YUYV.
        start_seconds: The camera may take this long to its first frame.
        shutter_seconds: Flat-field correction may silence or freeze it this long; no reason to reconnect.
    """

    name: ProfileName
    summary: str
    pixel_format: str = "y16"
    kelvin_per_count: float | None = None
    rows: int | None = None
    split: bool = False
    start_seconds: float = 10.0
    shutter_seconds: float = 3.0

    def counts(self, frame: Image) -> Image:
        """Take the picture out of a frame as the driver gives it.

        Args:
            frame: ``(H, W)`` uint8 or uint16, or ``(H, W, 2)`` uint8: the bytes of 16-bit pixels or of YUYV.

        Returns:
            ``(H, W)`` raw counts, uint16 (or the 8-bit picture of a camera that gives nothing else).

        Raises:
            InputError: A frame that this camera does not give.
        """
        if frame.ndim == 3 and frame.shape[2] == 2 and frame.dtype == np.uint8:
            frame = np.ascontiguousarray(frame).view("<u2")[..., 0]
        if frame.ndim != 2:
            raise InputError(f"profile {self.name} needs raw frames of one channel, not of shape {frame.shape}")
        if self.split:
            # A single landscape picture, which such cameras also give, has a lower half without temperatures.
            if frame.shape[0] % 2 or frame.shape[0] < frame.shape[1] or frame.dtype != np.uint16:
                raise InputError(
                    f"profile {self.name} needs raw YUYV of two stacked halves, not {frame.dtype} {frame.shape}"
                )
            frame = frame[frame.shape[0] // 2 :]
        if self.rows is not None and frame.shape[1] == self.rows * 4 // 3:
            frame = frame[: self.rows]
        return np.ascontiguousarray(frame)

    def celsius(self, counts: NDArray[np.floating] | float) -> NDArray[np.floating] | float:
        """Raw counts in degrees Celsius.

        Args:
            counts: Raw counts.

        Returns:
            Temperature, of the shape of ``counts``.

        Raises:
            UsageError: The counts of this camera have no unit.
        """
        if self.kelvin_per_count is None:
            raise UsageError(f"profile {self.name} is not radiometric: its counts have no temperature")
        return counts * self.kelvin_per_count + _ABSOLUTE_ZERO_CELSIUS


PROFILES: Mapping[ProfileName, ThermalProfile] = MappingProxyType(
    {
        item.name: item
        for item in (
            ThermalProfile("boson", "FLIR Boson 320/640, Y16; 2.5-3 s to its first frame"),
            ThermalProfile(
                "lepton", "FLIR Lepton 3.x on PureThermal, Y16; telemetry rows are cut off", rows=_LEPTON_ROWS
            ),
            ThermalProfile(
                "infiray-split",
                "InfiRay P2 Pro, Topdon TC001: the lower of two stacked halves, in 1/64 kelvin",
                pixel_format="yuyv",
                kelvin_per_count=1 / 64,
                split=True,
            ),
            ThermalProfile(
                "tlinear",
                "FLIR TLinear, kelvin x 100; telemetry rows are cut off",
                kelvin_per_count=0.01,
                rows=_LEPTON_ROWS,
            ),
            ThermalProfile("generic16", "any other camera with 16-bit counts"),
        )
    }
)


def profile(name: str | None) -> ThermalProfile | None:
    """Look up a profile.

    Args:
        name: Name of a profile, or None for a camera that gives a finished 8-bit picture.

    Returns:
        The profile, or None.

    Raises:
        UsageError: No such profile.
    """
    if name is None:
        return None
    for item in PROFILES.values():
        if item.name == name:
            return item
    raise UsageError(f"the infrared profile must be one of {', '.join(get_args(ProfileName))}, not {name!r}")
