"""How the infrared camera sits beside the visible one, and what that does to its picture."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgefuse.errors import UsageError
from edgefuse.synthetic.drawing import Camera

__all__ = ["InfraredMount"]

_MOST_METRES = 1.0
_MOST_DEGREES = 10.0
_ZOOMS = (0.7, 1.5)


@dataclass(frozen=True)
class InfraredMount:
    """Pose and focal length of the infrared camera relative to the visible one; the default is perfect registration.

    The offset causes parallax, which differs with distance; turning and zoom act as one homography.

    Args:
        right_metres: Offset of the infrared camera to the right.
        up_metres: Offset upward.
        yaw_degrees: Turn to the right.
        pitch_degrees: Turn upward.
        roll_degrees: Turn clockwise about the optical axis.
        zoom: Focal length over that of the visible camera.

    Raises:
        UsageError: A value that is not finite or lies outside what the scene is drawn for.
    """

    right_metres: float = 0.0
    up_metres: float = 0.0
    yaw_degrees: float = 0.0
    pitch_degrees: float = 0.0
    roll_degrees: float = 0.0
    zoom: float = 1.0

    def __post_init__(self) -> None:
        limits = {"right_metres": _MOST_METRES, "up_metres": _MOST_METRES}
        limits |= dict.fromkeys(("yaw_degrees", "pitch_degrees", "roll_degrees"), _MOST_DEGREES)
        for name, limit in limits.items():
            value = float(getattr(self, name))
            if not abs(value) <= limit:
                raise UsageError(f"{name} must lie in [-{limit:g}, {limit:g}], not {value:g}")
        if not _ZOOMS[0] <= self.zoom <= _ZOOMS[1]:
            raise UsageError(f"zoom must lie in [{_ZOOMS[0]:g}, {_ZOOMS[1]:g}], not {self.zoom:g}")

    @property
    def registered(self) -> bool:
        """Whether both cameras see the same."""
        return self == InfraredMount()

    def turned(self, camera: Camera) -> NDArray[np.float64]:
        """Homography from the pixels of a camera at the infrared one's place, turned like the visible one, to its own.

        A camera that only turns and zooms maps its picture by K' R K⁻¹ (Hartley and Zisserman, Multiple View Geometry,
        section 8.4.2).
        """  # [3, 3]
        yaw, pitch, roll = (math.radians(d) for d in (self.yaw_degrees, self.pitch_degrees, self.roll_degrees))
        # Image axes: x right, y down, z ahead; each matrix takes a direction into the turned camera.
        about_y = np.array([[math.cos(yaw), 0, -math.sin(yaw)], [0, 1, 0], [math.sin(yaw), 0, math.cos(yaw)]])
        about_x = np.array([[1, 0, 0], [0, math.cos(pitch), math.sin(pitch)], [0, -math.sin(pitch), math.cos(pitch)]])
        about_z = np.array([[math.cos(roll), math.sin(roll), 0], [-math.sin(roll), math.cos(roll), 0], [0, 0, 1]])
        before = np.array([[camera.focal_px, 0, camera.centre_u], [0, camera.focal_px, camera.horizon_v], [0, 0, 1]])
        after = before @ np.diag([self.zoom, self.zoom, 1.0])
        return np.asarray(after @ about_z @ about_x @ about_y @ np.linalg.inv(before), np.float64)

    def to_visible(self, camera: Camera, distance_metres: float) -> NDArray[np.float64]:
        """Homography from infrared to visible pixels for what lies at one depth.

        Args:
            camera: The visible camera.
            distance_metres: Depth along its optical axis; ``inf`` leaves only turning and zoom.

        Returns:
            The homography, its last element 1.  # [3, 3]
        """
        shift = np.eye(3)
        shift[0, 2] = -camera.focal_px * self.right_metres / distance_metres
        shift[1, 2] = camera.focal_px * self.up_metres / distance_metres
        inverse = np.linalg.inv(self.turned(camera) @ shift)
        return np.asarray(inverse / inverse[2, 2], np.float64)

    def margin(self, camera: Camera) -> int:
        """Pixels by which the picture before turning must be larger on every side, so that nothing is missing after."""
        right, bottom = camera.width - 1.0, camera.height - 1.0
        corners = np.array([[[0.0, 0.0], [right, 0.0], [right, bottom], [0.0, bottom]]])
        seen = cv2.perspectiveTransform(corners, np.linalg.inv(self.turned(camera)))[0]
        outside = max(0.0, float(-seen.min()), float((seen - [right, bottom]).max()))
        return math.ceil(outside) + 2
