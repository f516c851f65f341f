"""The infrared camera's place beside the visible one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgefuse.errors import UsageError
from edgefuse.synthetic import InfraredMount
from edgefuse.synthetic.drawing import Camera

CAMERA = Camera(120, 160, 140.0, 79.5, 50.0, (0.9, 1.85, 0.0), math.radians(9.0))


def mapped(homography: np.ndarray[Any, Any], point: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A pixel through a homography."""
    image = homography @ np.array([point[0], point[1], 1.0])
    return image[:2] / image[2]


def test_default_is_registered() -> None:
    """Nothing moves, at any distance."""
    mount = InfraredMount()
    assert mount.registered
    np.testing.assert_allclose(mount.to_visible(CAMERA, 7.0), np.eye(3), atol=1e-12)
    assert not InfraredMount(zoom=1.01).registered


@given(
    angles=st.tuples(*[st.floats(-8.0, 8.0)] * 3),
    place=st.tuples(*[st.floats(-0.5, 0.5)] * 2),
    zoom=st.floats(0.8, 1.4),
    point=st.tuples(st.floats(-2.0, 2.0), st.floats(0.0, 3.0), st.floats(5.0, 40.0)),
)
def test_homography_agrees_with_projecting_points(
    angles: tuple[float, ...], place: tuple[float, ...], zoom: float, point: tuple[float, ...]
) -> None:
    """A point seen by a camera that is moved, turned and zoomed lands where the visible one sees it."""
    mount = InfraredMount(*place, *angles, zoom)
    right, up, depth = CAMERA.to_camera(np.array([point], np.float32))[0].astype(float)
    yaw, pitch, roll = np.radians(angles)
    # The direction in image axes, brought into the turned camera by hand, one axis after the other.
    x, y, z = right - place[0], -(up - place[1]), depth
    x, z = x * np.cos(yaw) - z * np.sin(yaw), x * np.sin(yaw) + z * np.cos(yaw)
    y, z = y * np.cos(pitch) + z * np.sin(pitch), -y * np.sin(pitch) + z * np.cos(pitch)
    x, y = x * np.cos(roll) + y * np.sin(roll), -x * np.sin(roll) + y * np.cos(roll)
    focal = CAMERA.focal_px * zoom
    infrared = np.array([CAMERA.centre_u + focal * x / z, CAMERA.horizon_v + focal * y / z])
    visible = CAMERA.project(np.array([point], np.float32))[0, :2]
    np.testing.assert_allclose(mapped(mount.to_visible(CAMERA, depth), infrared), visible, atol=0.02)


def test_turning_right_moves_the_scene_left_and_up_moves_it_down() -> None:
    """What was in the middle lies left of it after a turn to the right, and below it after one upward."""
    middle = np.array([CAMERA.centre_u, CAMERA.horizon_v])
    assert mapped(InfraredMount(yaw_degrees=3.0).turned(CAMERA), middle)[0] < middle[0] - 5
    assert mapped(InfraredMount(pitch_degrees=3.0).turned(CAMERA), middle)[1] > middle[1] + 5


@pytest.mark.parametrize("mount", [InfraredMount(), InfraredMount(yaw_degrees=9, roll_degrees=-9, zoom=0.7)])
def test_margin_holds_the_whole_turned_picture(mount: InfraredMount) -> None:
    """Every corner of the infrared picture comes from inside the padded one."""
    margin = mount.margin(CAMERA)
    inverse = np.linalg.inv(mount.turned(CAMERA))
    for corner in ((0, 0), (159, 0), (159, 119), (0, 119)):
        u, v = mapped(inverse, np.array(corner, float))
        assert -margin <= u <= 159 + margin
        assert -margin <= v <= 119 + margin


@pytest.mark.parametrize(
    ("values", "name"),
    [({"right_metres": 2.0}, "right_metres"), ({"roll_degrees": math.nan}, "roll_degrees"), ({"zoom": 0.1}, "zoom")],
)
def test_wild_values_are_refused(values: dict[str, float], name: str) -> None:
    """The message names the value and what is allowed."""
    with pytest.raises(UsageError, match=rf"{name} must lie in \["):
        InfraredMount(**values)
