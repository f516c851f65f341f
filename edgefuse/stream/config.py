"""The two cameras as a user describes them: by options, or in ``pair.toml``."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from edgefuse.arrays import Image
from edgefuse.errors import InputError, UsageError
from edgefuse.stream.frame import Role
from edgefuse.stream.profiles import ThermalProfile, profile
from edgefuse.stream.uri import SourceUri, parse_uri

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["FLIPS", "CameraConfig", "Flip", "PairConfig", "read_pair_file"]

Flip = Literal["none", "horizontal", "vertical", "both"]
FLIPS: tuple[Flip, ...] = get_args(Flip)
_ROTATIONS = (0, 90, 180, 270)
_CAMERA_KEYS = frozenset({"uri", "profile", "offset_ms", "rotate", "flip", "crop"})
_PAIR_KEYS = frozenset({"max_skew_ms", "calibration"})


@dataclass(frozen=True)
class CameraConfig:
    """One camera.

    Args:
        role: ``"ir"`` or ``"vis"``.
        uri: Where its frames come from.
        profile_name: Kind of thermal camera; None for a finished 8-bit picture.
        offset_seconds: Subtracted from its capture times: how much later than the light its frames are stamped.
        rotate: Degrees clockwise: 0, 90, 180 or 270.
        flip: Mirrored after the rotation.
        crop: (x, y, width, height) in pixels, after rotation and flip; None for all.
    """

    role: Role
    uri: SourceUri
    profile_name: str | None = None
    offset_seconds: float = 0.0
    rotate: int = 0
    flip: Flip = "none"
    crop: tuple[int, int, int, int] | None = None

    def __post_init__(self) -> None:
        if self.rotate not in _ROTATIONS:
            raise UsageError(
                f"{self.role}: rotate must be one of {', '.join(map(str, _ROTATIONS))}, not {self.rotate!r}"
            )
        if self.flip not in FLIPS:
            raise UsageError(f"{self.role}: flip must be one of {', '.join(FLIPS)}, not {self.flip!r}")
        if self.profile_name is not None and self.role == "vis":
            raise UsageError("vis: a profile is for the infrared camera")
        if self.crop is not None and (min(self.crop[:2]) < 0 or min(self.crop[2:]) < 1):
            raise UsageError(f"{self.role}: crop is x, y, width, height in pixels, not {self.crop}")
        if abs(self.offset_seconds) > 10.0:
            raise UsageError(
                f"{self.role}: an offset of {self.offset_seconds} s is no camera's; give milliseconds within 10 s"
            )
        profile(self.profile_name)

    @property
    def profile(self) -> ThermalProfile | None:
        """The profile, or None."""
        return profile(self.profile_name)

    def picture(self, frame: Image) -> Image:
        """Turn a frame as the source gives it into the picture: profile, rotation, flip, crop.

        Args:
            frame: ``(H, W)``, ``(H, W, 2)`` or ``(H, W, 3)``.

        Returns:
            Contiguous ``(H, W)`` or ``(H, W, 3)``.

        Raises:
            InputError: The frame is not what the profile expects, or the crop leaves it.
        """
        if self.uri.kind == "recording":  # what was recorded is the picture already
            return frame
        image = frame if self.profile is None else self.profile.counts(frame)
        image = np.rot90(image, -self.rotate // 90)
        if self.flip in ("horizontal", "both"):
            image = image[:, ::-1]
        if self.flip in ("vertical", "both"):
            image = image[::-1]
        if self.crop is not None:
            x, y, width, height = self.crop
            if y + height > image.shape[0] or x + width > image.shape[1]:
                raise InputError(
                    f"{self.role}: crop {self.crop} leaves the picture of {image.shape[1]}x{image.shape[0]}"
                )
            image = image[y : y + height, x : x + width]
        return np.ascontiguousarray(image)


@dataclass(frozen=True)
class PairConfig:
    """Both cameras and how they belong together.

    Args:
        ir: The infrared camera.
        vis: The visible camera.
        max_skew_seconds: Frames further apart than this are no pair.
        calibration: TOML file of ``edgefuse calibrate``, or None for cameras that see the same.
    """

    ir: CameraConfig
    vis: CameraConfig
    max_skew_seconds: float = 0.05
    calibration: Path | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.max_skew_seconds <= 10.0:
            raise UsageError(
                f"the largest skew must be over 0 and at most 10 s, not {self.max_skew_seconds * 1e3:g} ms"
            )


def read_pair_file(path: str | os.PathLike[str]) -> PairConfig:
    """Read ``pair.toml``.

    Args:
        path: A file with the tables ``[ir]``, ``[vis]`` (``uri``, ``profile``, ``offset_ms``, ``rotate``, ``flip``,
            ``crop``) and, if need be, ``[pair]`` (``max_skew_ms``, ``calibration``, relative to the file).

    Returns:
        The cameras.

    Raises:
        InputError: The file is missing or no TOML.
        UsageError: A key is missing, unknown or has a wrong value.
    """
    path = Path(path)
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: cannot read it as TOML ({error})") from error
    _refuse_unknown(path, "the file", data, frozenset({"ir", "vis", "pair"}))
    pair = _table(path, data, "pair")
    _refuse_unknown(path, "[pair]", pair, _PAIR_KEYS)
    calibration = pair.get("calibration")
    try:
        return PairConfig(
            ir=_camera(path, data, "ir"),
            vis=_camera(path, data, "vis"),
            max_skew_seconds=float(pair.get("max_skew_ms", 50.0)) / 1e3,
            calibration=None if calibration is None else path.parent / str(calibration),
        )
    except (TypeError, ValueError) as error:
        raise UsageError(f"{path}: a value has the wrong type ({error})") from error


def _camera(path: Path, data: dict[str, Any], role: Role) -> CameraConfig:
    table = _table(path, data, role)
    _refuse_unknown(path, f"[{role}]", table, _CAMERA_KEYS)
    if "uri" not in table:
        raise UsageError(f"{path}: [{role}] needs uri")
    crop = table.get("crop")
    if crop is not None and (not isinstance(crop, list) or len(crop) != 4):
        raise UsageError(f"{path}: [{role}] crop is [x, y, width, height], not {crop!r}")
    return CameraConfig(
        role,
        parse_uri(str(table["uri"])),
        profile_name=table.get("profile"),
        offset_seconds=float(table.get("offset_ms", 0.0)) / 1e3,
        rotate=table.get("rotate", 0),
        flip=table.get("flip", "none"),
        crop=None if crop is None else (int(crop[0]), int(crop[1]), int(crop[2]), int(crop[3])),
    )


def _table(path: Path, data: dict[str, Any], name: str) -> dict[str, Any]:
    table = data.get(name, {})
    if not isinstance(table, dict):
        raise UsageError(f"{path}: {name} must be a table")
    return table


def _refuse_unknown(path: Path, where: str, table: dict[str, Any], allowed: frozenset[str]) -> None:
    for key in table:
        if key not in allowed:
            raise UsageError(f"{path}: {where} takes {', '.join(sorted(allowed))}, not {key!r}")
