"""The geometry between two cameras, as a TOML file."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from edgefuse.errors import InputError
from edgefuse.manifest import write_atomically

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["METHODS", "Calibration", "Method"]

Method = Literal["points", "circles", "checkerboard", "auto"]
METHODS: tuple[Method, ...] = get_args(Method)

Homography = tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]

_LARGEST_AREA_CHANGE = 400.0


@dataclass(frozen=True)
class Calibration:
    """Where infrared pixels lie in the visible picture, for one distance.

    Args:
        homography: Maps infrared to visible pixel coordinates (x, y, 1); pixel centres at whole numbers.
        ir_size: Height and width of the infrared picture that it was made for.
        vis_size: Height and width of the visible one.
        method: How it was found.
        error_px: Reprojection error in visible pixels: root mean square over the points;
            None where four points leave no error.
        points: Number of points behind it.
        distance_metres: The distance at which it holds, or None where nobody said.
        time_offset_seconds: How much later infrared frames are stamped than visible ones.
    """

    homography: Homography
    ir_size: tuple[int, int]
    vis_size: tuple[int, int]
    method: Method = "points"
    error_px: float | None = None
    points: int = 4
    distance_metres: float | None = None
    time_offset_seconds: float = 0.0

    def __post_init__(self) -> None:
        matrix = self.matrix
        if matrix.shape != (3, 3) or not np.isfinite(matrix).all():
            raise InputError("a homography needs three rows of three finite numbers")
        if self.method not in METHODS:
            raise InputError(f"method must be one of {', '.join(METHODS)}, not {self.method!r}")
        if min(*self.ir_size, *self.vis_size) < 1:
            raise InputError("the sizes of a calibration must be positive")
        height, width = self.ir_size
        corners = np.array([[0, 0, 1], [width - 1, 0, 1], [width - 1, height - 1, 1], [0, height - 1, 1]], float)
        mapped = corners @ matrix.T
        if (mapped[:, 2] * mapped[0, 2] <= 0).any():
            raise InputError("this homography folds the infrared picture: it is no view of one plane")
        x, y = (mapped[:, :2] / mapped[:, 2:]).T
        area = 0.5 * float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))
        if not 1 / _LARGEST_AREA_CHANGE < abs(area) / (self.vis_size[0] * self.vis_size[1]) < _LARGEST_AREA_CHANGE:
            raise InputError("this homography shrinks or blows up the infrared picture beyond use")

    @classmethod
    def of(cls, matrix: NDArray[np.float64], **fields: object) -> Calibration:
        """Build one from a 3 × 3 array, scaled so that its last element is 1.

        Args:
            matrix: Infrared to visible.  # [3, 3]
            fields: The other fields.

        Raises:
            InputError: The matrix maps no picture to a picture.
        """
        if not abs(float(matrix[2, 2])) > 1e-12:
            raise InputError("this homography sends the first pixel to infinity")
        rows = (np.asarray(matrix, np.float64) / float(matrix[2, 2])).tolist()
        return cls(_homography(rows), **fields)  # type: ignore[arg-type]

    @property
    def matrix(self) -> NDArray[np.float64]:
        """The homography as an array."""  # [3, 3]
        return np.array(self.homography, np.float64)

    def to_toml(self) -> str:
        """The text of the file."""
        rows = ",\n".join(f"  [{', '.join(repr(value) for value in row)}]" for row in self.homography)
        lines = [
            "# Written by edgefuse calibrate: infrared to visible pixel coordinates.",
            f"homography = [\n{rows},\n]",
            f"ir_size = [{self.ir_size[1]}, {self.ir_size[0]}]  # width, height",
            f"vis_size = [{self.vis_size[1]}, {self.vis_size[0]}]",
            f'method = "{self.method}"',
            f"points = {self.points}",
            f"time_offset_ms = {self.time_offset_seconds * 1e3!r}",
        ]
        if self.error_px is not None:
            lines.append(f"error_px = {self.error_px!r}")
        if self.distance_metres is not None:
            lines.append(f"distance_metres = {self.distance_metres!r}")
        return "\n".join(lines) + "\n"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file in one step.

        Args:
            path: TOML file; its folder is made where it is missing.

        Raises:
            InputError: It cannot be written.
        """
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            write_atomically(Path(path), self.to_toml().encode())
        except OSError as error:
            raise InputError(f"{path}: cannot write it ({error.strerror})") from error

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Calibration:
        """Read a file.

        Args:
            path: TOML, as :meth:`save` writes it.

        Raises:
            InputError: It is missing, no TOML, or its values are no calibration.
        """
        try:
            data = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise InputError(f"{path}: no such file; edgefuse calibrate writes one") from error
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise InputError(f"{path}: cannot read it as TOML ({error})") from error
        try:
            error_px, distance = data.get("error_px"), data.get("distance_metres")
            return cls(
                _homography(data["homography"]),
                ir_size=(int(data["ir_size"][1]), int(data["ir_size"][0])),
                vis_size=(int(data["vis_size"][1]), int(data["vis_size"][0])),
                method=data.get("method", "points"),
                error_px=None if error_px is None else float(error_px),
                points=int(data.get("points", 4)),
                distance_metres=None if distance is None else float(distance),
                time_offset_seconds=float(data.get("time_offset_ms", 0.0)) / 1e3,
            )
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise InputError(f"{path}: no calibration ({type(error).__name__}: {error})") from error
        except InputError as error:
            raise InputError(f"{path}: {error}") from error

    def nudged(self, right_px: float, down_px: float) -> Calibration:
        """The calibration shifted in the visible picture, for another distance than its own."""
        shift = np.array([[1.0, 0.0, right_px], [0.0, 1.0, down_px], [0.0, 0.0, 1.0]])
        return Calibration.of(
            shift @ self.matrix,
            ir_size=self.ir_size,
            vis_size=self.vis_size,
            method=self.method,
            error_px=self.error_px,
            points=self.points,
            distance_metres=self.distance_metres,
            time_offset_seconds=self.time_offset_seconds,
        )


def _homography(rows: Sequence[Sequence[float]]) -> Homography:
    if len(rows) != 3 or any(len(row) != 3 for row in rows):
        raise ValueError("a homography needs three rows of three numbers")
    values = [float(value) for row in rows for value in row]
    if not all(math.isfinite(value) for value in values):
        raise ValueError("a homography needs finite numbers")
    a, b, c, d, e, f, g, h, i = values
    return ((a, b, c), (d, e, f), (g, h, i))
