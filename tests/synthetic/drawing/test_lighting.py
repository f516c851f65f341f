"""Lights and the glow of the air."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgefuse.synthetic.drawing import Camera, Light, Lighting

UP = np.array([0.0, 1.0, 0.0], np.float32)
DARK = (0.0, 0.0, 0.0)


def irradiance(light: Light, point: tuple[float, float, float], **options: Any) -> float:
    """Red irradiance of a level place from one light."""
    return float(Lighting((light,), DARK).irradiance(np.array([point], np.float32), UP, **options)[0, 2])


def test_light_falls_with_the_square_of_the_distance_and_the_cosine() -> None:
    """Straight below a bulb and to its side."""
    bulb = Light((0.0, 4.0, 0.0), (0.0, 0.0, 16.0), "bulb")
    assert irradiance(bulb, (0.0, 0.0, 0.0)) == pytest.approx(1.0, rel=0.01)
    assert irradiance(bulb, (3.0, 0.0, 0.0)) == pytest.approx(16.0 / 25.0 * 0.8, rel=0.01)


def test_a_face_turned_away_is_dark_unless_two_sided() -> None:
    """Leaves are lit from behind, walls are not."""
    bulb = Light((0.0, -2.0, 0.0), (0.0, 0.0, 4.0), "bulb")
    assert irradiance(bulb, (0.0, 0.0, 0.0)) == 0.0
    assert irradiance(bulb, (0.0, 0.0, 0.0), two_sided=True) == pytest.approx(1.0, rel=0.02)


def test_lamps_shine_down_panels_and_beams_ahead() -> None:
    """A street lamp lights the road below it and not far off; a beam only what lies on its axis."""
    lamp = Light((0.0, 6.0, 0.0), (0.0, 0.0, 36.0), "lamp")
    assert irradiance(lamp, (0.0, 0.0, 0.0)) == pytest.approx(1.0, rel=0.01)
    assert irradiance(lamp, (20.0, 0.0, 0.0)) == 0.0
    beam = Light((0.0, 1.0, 0.0), (0.0, 0.0, 100.0), "beam", facing=(0.0, -0.1, 1.0))
    assert irradiance(beam, (0.0, 0.0, 8.0)) > 20 * irradiance(beam, (6.0, 0.0, 6.0))
    panel = Light((0.0, 1.0, 0.0), (0.0, 0.0, 10.0), "panel", facing=(1.0, 0.0, 0.0))
    assert irradiance(panel, (2.0, 0.0, 0.0)) > 0.0
    assert irradiance(panel, (-2.0, 0.0, 0.0)) == 0.0


def test_many_points_are_lit_like_single_ones() -> None:
    """Chunks, and lights left out of them, change nothing beyond the faintest light that counts."""
    rng = np.random.default_rng(0)
    points = rng.uniform(-40, 40, (20000, 3)).astype(np.float32)
    lights = tuple(Light((float(x), 5.0, float(z)), (0.0, 0.0, 3.0), "bulb") for x, z in rng.uniform(-40, 40, (5, 2)))
    lighting = Lighting(lights, (0.1, 0.1, 0.1))
    together = lighting.irradiance(points, UP)
    some = rng.integers(0, len(points), 40)
    single = np.concatenate([lighting.irradiance(points[i : i + 1], UP) for i in some])
    np.testing.assert_allclose(together[some], single, atol=5 * 1e-3)
    normals = np.broadcast_to(UP, points.shape).copy()
    np.testing.assert_allclose(lighting.irradiance(points, normals), together, atol=1e-5)


def test_arriving_gives_the_strongest_first() -> None:
    """Directions are unit vectors toward the lights, and agree with the irradiance of a face turned there."""
    near, far = (Light((x, 3.0, 0.0), (0.0, 0.0, 9.0), "bulb") for x in (1.0, 12.0))
    lighting = Lighting((far, near), DARK)
    arriving = lighting.arriving(np.zeros(3, np.float32), count=5)
    assert len(arriving) == 2
    direction, colour = arriving[0]
    np.testing.assert_allclose(direction, np.array([1.0, 3.0, 0.0]) / np.sqrt(10.0), atol=0.01)
    facing = lighting.irradiance(np.zeros((1, 3), np.float32), np.asarray(direction, np.float32))[0]
    assert colour[2] == pytest.approx(float(facing[2]), rel=0.15)
    assert Lighting((), DARK).arriving(np.zeros(3, np.float32), count=3) == []


def test_airlight_is_the_integral_along_the_ray() -> None:
    """The closed form equals a sum over small steps, for a bulb beside the ray."""
    camera = Camera(1, 1, 10.0, 0.0, 0.0, (0.0, 1.0, 0.0), 0.0)
    bulb = Light((2.0, 1.5, 6.0), (0.0, 0.0, 3.0), "bulb")
    closed = Lighting((bulb,), DARK).airlight(camera, np.full((1, 1), 15.0, np.float32), scattering=0.01)[0, 0, 2]
    steps = (np.arange(200000) + 0.5) * 15.0 / 200000
    squared = 2.0**2 + 0.5**2 + (steps - 6.0) ** 2
    assert closed == pytest.approx(0.01 * 3.0 * float((1.0 / squared).sum()) * 15.0 / 200000, rel=1e-3)


def test_lights_without_haze_leave_the_air_dark() -> None:
    """Shop windows light the street, not the air."""
    camera = Camera(2, 3, 10.0, 1.0, 0.5, (0.0, 1.0, 0.0), 0.0)
    panel = Light((0.0, 1.0, 4.0), (1.0, 1.0, 1.0), "panel", facing=(0.0, 0.0, -1.0), haze=0.0)
    assert not Lighting((panel,), DARK).airlight(camera, np.full((2, 3), 9.0, np.float32), scattering=1.0).any()
