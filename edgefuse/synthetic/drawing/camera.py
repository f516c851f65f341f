"""The pinhole camera of the simulated street: level, so that verticals stay vertical and wet ground mirrors rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Camera", "Floats"]

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Camera:
    """A level pinhole camera; world axes are x right, y up, z along the street, in metres.

    Args:
        height: Rows of the image.
        width: Columns of the image.
        focal_px: Focal length in pixels.
        centre_u: Column of the principal point.
        horizon_v: Row of the principal point, where a level camera sees the horizon.
        position: Centre of projection in metres.
        yaw_radians: Rotation to the right of the street's axis.
    """

    height: int
    width: int
    focal_px: float
    centre_u: float
    horizon_v: float
    position: tuple[float, float, float]
    yaw_radians: float

    def scaled(self, factor: int) -> Camera:
        """The same view with ``factor`` × ``factor`` samples for each pixel."""
        return replace(
            self,
            height=self.height * factor,
            width=self.width * factor,
            focal_px=self.focal_px * factor,
            centre_u=(self.centre_u + 0.5) * factor - 0.5,
            horizon_v=(self.horizon_v + 0.5) * factor - 0.5,
        )

    def halved(self) -> Camera:
        """The same view on every second row and column, rounded up."""
        return replace(
            self,
            height=(self.height + 1) // 2,
            width=(self.width + 1) // 2,
            focal_px=self.focal_px / 2,
            centre_u=(self.centre_u + 0.5) / 2 - 0.5,
            horizon_v=(self.horizon_v + 0.5) / 2 - 0.5,
        )

    def mirrored(self) -> Camera:
        """The view from below a mirror at y = 0; its picture, flipped top to bottom, is what the mirror shows."""
        x, y, z = self.position
        return replace(self, position=(x, -y, z), horizon_v=self.height - 1 - self.horizon_v)

    def moved(self, right_metres: float, up_metres: float) -> Camera:
        """The same view from a place to the side of this one."""
        x, y, z = (np.array(self.position) + right_metres * self.right.astype(float)).tolist()
        return replace(self, position=(x, y + up_metres, z))

    def padded(self, margin: int) -> Camera:
        """The same view with more of the scene on every side."""
        return replace(
            self,
            height=self.height + 2 * margin,
            width=self.width + 2 * margin,
            centre_u=self.centre_u + margin,
            horizon_v=self.horizon_v + margin,
        )

    @property
    def right(self) -> Floats:
        """Unit vector of increasing columns."""  # [3]
        return np.array([np.cos(self.yaw_radians), 0.0, -np.sin(self.yaw_radians)], np.float32)

    @property
    def forward(self) -> Floats:
        """Unit vector of the optical axis."""  # [3]
        return np.array([np.sin(self.yaw_radians), 0.0, np.cos(self.yaw_radians)], np.float32)

    def to_camera(self, points: Floats) -> Floats:  # [N, 3] -> [N, 3]
        """World points in camera axes: right, up, depth."""
        offset = points - np.array(self.position, np.float32)
        return np.stack([offset @ self.right, offset[..., 1], offset @ self.forward], axis=-1)

    def project(self, points: Floats) -> Floats:  # [N, 3] -> [N, 3]
        """World points as column, row and depth in metres; the points must lie in front of the camera."""
        right, up, depth = np.moveaxis(self.to_camera(points), -1, 0)
        scale = self.focal_px / depth
        return np.stack([self.centre_u + right * scale, self.horizon_v - up * scale, depth], axis=-1)

    def directions(self, rows: NDArray[Any], columns: NDArray[Any]) -> Floats:  # [N], [N] -> [N, 3]
        """World directions through pixels, of unit depth along the optical axis."""
        across = ((columns - self.centre_u) / self.focal_px).astype(np.float32)
        world = across[:, None] * self.right + self.forward
        world[:, 1] = (self.horizon_v - rows) / self.focal_px
        return np.asarray(world, np.float32)
