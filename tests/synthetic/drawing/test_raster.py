"""Flat faces in a depth buffer."""

from __future__ import annotations

import numpy as np
import pytest

from edgefuse.synthetic.drawing import (
    Camera,
    Colour,
    Face,
    GBuffer,
    Hit,
    Light,
    Lighting,
    Material,
    Surface,
    draw_faces,
    rectangle,
)
from edgefuse.synthetic.drawing.raster import clip_to_view

CAMERA = Camera(60, 80, 60.0, 39.5, 30.0, (0.0, 1.5, 0.0), 0.0)
DAY = Lighting((), (1.0, 1.0, 1.0))


def plain(colour: Colour, celsius: float) -> Material:
    """One material all over."""

    def material(hit: Hit) -> Surface:
        return Surface(np.tile(np.array(colour, np.float32), (len(hit), 1)), np.full(len(hit), celsius, np.float32))

    return material


def drawn(*faces: Face, lighting: Lighting = DAY) -> GBuffer:
    """Faces in a fresh buffer."""
    buffer = GBuffer.empty(CAMERA.height, CAMERA.width)
    draw_faces(buffer, CAMERA, faces, lighting)
    return buffer


def wall(z: float, celsius: float, half: float = 1.0) -> Face:
    """An upright square facing the camera at a depth."""
    return rectangle((-half, 1.5 - half, z), (2 * half, 0, 0), (0, 2 * half, 0), plain((0.5, 0.5, 0.5), celsius))


def test_a_wall_covers_its_projection_at_its_depth() -> None:
    """A square of two metres at six metres is twenty pixels wide, exactly at that depth."""
    buffer = drawn(wall(6.0, 9.0))
    covered = np.isfinite(buffer.depth)
    assert covered.any(axis=0).sum() == pytest.approx(20, abs=1)
    assert covered.any(axis=1).sum() == pytest.approx(20, abs=1)
    np.testing.assert_allclose(buffer.depth[covered], 6.0, rtol=1e-5)
    np.testing.assert_array_equal(buffer.temp_celsius[covered], 9.0)
    np.testing.assert_allclose(buffer.normal[covered], [[0, 0, 1]] * covered.sum())


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_nearest_face_wins_in_any_order(order: tuple[int, int]) -> None:
    """A small wall in front of a large one stays in front."""
    faces = [wall(8.0, 1.0, 3.0), wall(4.0, 2.0, 0.5)]
    buffer = drawn(*(faces[i] for i in order))
    assert buffer.temp_celsius[30, 39] == 2.0
    assert buffer.temp_celsius[30, 20] == 1.0


def test_ground_reaches_from_below_the_camera_to_its_far_edge() -> None:
    """A floor that passes under the camera is clipped, and its depth follows the rows."""
    floor = rectangle((-50, 0, -5), (0, 0, 65), (100, 0, 0), plain((0.5, 0.5, 0.5), 5.0))
    depth = drawn(floor).depth
    rows = np.arange(34, 60)
    np.testing.assert_allclose(depth[34:, 40], 60 * 1.5 / (rows - 30.0), rtol=1e-4)
    assert np.isinf(depth[:31]).all()


def test_holes_show_what_is_behind() -> None:
    """Samples that are not opaque leave the buffer alone."""

    def sieve(hit: Hit) -> Surface:
        surface = plain((0.1, 0.1, 0.1), 20.0)(hit)
        surface.opaque = hit.s < 1.0
        return surface

    net = rectangle((-1, 0.5, 3), (2, 0, 0), (0, 2, 0), sieve)
    buffer = drawn(net, wall(6.0, 9.0, 3.0))
    assert buffer.temp_celsius[30, 30] == 20.0
    assert buffer.temp_celsius[30, 50] == 9.0


def test_light_between_grid_nodes_is_close_to_the_light_there() -> None:
    """The coarse grid of lights is within a hundredth of computing every sample."""
    lighting = Lighting((Light((0.5, 2.0, 4.0), (3.0, 3.0, 3.0), "bulb"),), (0.1, 0.1, 0.1))
    buffer = drawn(wall(6.0, 9.0, 2.5), lighting=lighting)
    covered = np.isfinite(buffer.depth)
    rows, columns = np.nonzero(covered)
    points = np.array(CAMERA.position) + buffer.depth[covered][:, None] * CAMERA.directions(rows, columns)
    exact = 0.5 * lighting.irradiance(np.asarray(points, np.float32), np.array([0, 0, 1], np.float32))
    assert np.abs(buffer.radiance[covered] - exact).max() < 0.01


def test_clipping_keeps_what_is_in_view() -> None:
    """A triangle behind the camera vanishes, one in front stays, one across the near plane is cut there."""
    front = np.array([[-1, 0, 5], [1, 0, 5], [0, 1, 5]], np.float32)
    np.testing.assert_allclose(np.sort(clip_to_view(CAMERA, front), axis=0), np.sort(front, axis=0))
    assert len(clip_to_view(CAMERA, front * [1, 1, -1])) == 0
    across = np.array([[-0.1, 0, -5], [0.1, 0, 5], [0, 0.1, 5]], np.float32)
    assert clip_to_view(CAMERA, across)[:, 2].min() >= 0.29
