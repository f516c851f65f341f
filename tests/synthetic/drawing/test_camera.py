"""The level pinhole camera."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgefuse.synthetic.drawing import Camera

CAMERA = Camera(120, 161, 140.0, 80.0, 50.0, (0.9, 1.85, -2.0), math.radians(9.0))
POINT = st.tuples(st.floats(-5.0, 5.0), st.floats(0.0, 4.0), st.floats(3.0, 60.0))


@given(point=POINT)
def test_direction_through_a_projected_point_leads_to_it(point: tuple[float, float, float]) -> None:
    """Projecting and casting the ray back is the identity."""
    u, v, depth = (float(c) for c in CAMERA.project(np.array([point], np.float32))[0])
    ray = CAMERA.directions(np.array([v]), np.array([u]))[0]
    np.testing.assert_allclose(np.array(CAMERA.position) + depth * ray, point, atol=2e-3)


@given(point=POINT)
def test_mirrored_camera_sees_the_picture_upside_down(point: tuple[float, float, float]) -> None:
    """A point seen from below the mirror lands, flipped, where its mirror image lands from above."""
    flipped = CAMERA.mirrored().project(np.array([point], np.float32))[0]
    image = CAMERA.project(np.array([(point[0], -point[1], point[2])], np.float32))[0]
    np.testing.assert_allclose(flipped[0], image[0], rtol=1e-4)
    np.testing.assert_allclose(CAMERA.height - 1 - flipped[1], image[1], rtol=1e-3, atol=1e-2)


@given(point=POINT, factor=st.integers(1, 4))
def test_scaling_keeps_pixel_centres(point: tuple[float, float, float], factor: int) -> None:
    """The sample of a point lies in the pixel of that point."""
    u, v, _ = CAMERA.project(np.array([point], np.float32))[0]
    fine_u, fine_v, _ = CAMERA.scaled(factor).project(np.array([point], np.float32))[0]
    np.testing.assert_allclose([(fine_u + 0.5) / factor, (fine_v + 0.5) / factor], [u + 0.5, v + 0.5], atol=1e-2)


def test_halved_camera_covers_the_same_view() -> None:
    """Half the samples of an even picture see the same angles."""
    camera = Camera(120, 160, 140.0, 79.5, 50.0, (0.0, 1.0, 0.0), 0.0)
    half = camera.halved()
    assert (half.height, half.width) == (60, 80)
    np.testing.assert_allclose(half.scaled(2).centre_u, camera.centre_u)
    np.testing.assert_allclose(half.scaled(2).horizon_v, camera.horizon_v)


def test_moving_and_padding_shift_the_picture() -> None:
    """A step to the right moves a near point left; padding moves everything by the margin."""
    point = np.array([[1.0, 1.0, 8.0]], np.float32)
    u, v, depth = CAMERA.project(point)[0]
    moved = CAMERA.moved(0.5, 0.25).project(point)[0]
    np.testing.assert_allclose(moved, [u - 70.0 / depth, v + 35.0 / depth, depth], rtol=1e-4)
    np.testing.assert_allclose(CAMERA.padded(7).project(point)[0], [u + 7, v + 7, depth], rtol=1e-5)
