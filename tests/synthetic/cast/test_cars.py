"""Cars as sprites."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgefuse.synthetic.cast import Car, draw_car
from edgefuse.synthetic.cast.car_parts import Part
from edgefuse.synthetic.cast.car_shape import CarShape, car_mesh
from edgefuse.synthetic.drawing import Camera, Light, Lighting, Sprite

CAMERA = Camera(240, 320, 260.0, 159.5, 100.0, (0.0, 1.7, 0.0), 0.0)
LAMP = Lighting((Light((2.0, 5.0, 4.0), (20.0, 20.0, 20.0), "bulb"),), (0.01, 0.01, 0.01))
COLD, RUNNING = (
    Car("hatchback", (0.4, 0.4, 0.4), running, celsius) for running, celsius in ((False, 5.0), (True, 27.0))
)


def car(which: Car, z: float = 8.0, *, x: float = 0.0, heading: float = math.pi, samples: int = 2) -> Sprite | None:
    """The car at a place; by default it comes toward the camera."""
    foot = np.array([x, 0.0, z], np.float32)
    return draw_car(CAMERA, LAMP, which, foot=foot, heading=heading, samples=samples)


@pytest.mark.parametrize("shape", ["hatchback", "saloon"])
def test_meshes_are_closed_outward_and_of_a_cars_size(shape: CarShape) -> None:
    """4.3 by 1.8 by 1.5 metres; the normals of the body point away from its middle; left mirrors right."""
    mesh = car_mesh(shape)
    body = mesh.layers == 1
    extent = np.ptp(mesh.vertices, axis=0)
    assert extent[2] == pytest.approx(4.36, abs=0.1)
    assert 1.7 < np.ptp(mesh.middles[body, 0]) < 1.85
    assert 1.35 < mesh.vertices[:, 1].max() < 1.5
    outward = np.einsum("ij,ij->i", mesh.normals[body], mesh.middles[body] - [0.0, 0.55, 0.0])
    assert (outward > 0).mean() > 0.97
    assert abs(float(mesh.middles[body, 0].mean())) < 1e-4
    assert set(range(1, Part.COUNT)) <= set(mesh.materials.tolist())


@pytest.mark.parametrize("heading", [0.0, math.pi])
def test_cars_are_as_wide_as_they_should_be(heading: float) -> None:
    """1.8 m and the mirrors, somewhat nearer than the middle."""
    sprite = car(RUNNING, heading=heading)
    assert sprite is not None
    columns = np.flatnonzero((sprite.alpha > 0.5).any(axis=0))
    assert 1.75 * 260 / 8.0 < columns.size < 2.2 * 260 / 6.0


def test_lamps_shine_white_in_front_and_red_behind() -> None:
    """Only when the car runs."""
    front, rear, parked = car(RUNNING), car(RUNNING, heading=0.0), car(COLD)
    assert front is not None
    assert rear is not None
    assert parked is not None
    assert front.radiance[front.alpha > 0.9].max(axis=0)[0] > 5.0
    brightest = rear.radiance.reshape(-1, 3)[np.argmax(rear.radiance[..., 2])]
    assert brightest[2] > 1.0 > 5 * brightest[0]
    assert parked.radiance[parked.alpha > 0.9].max() < 2.0


def test_running_cars_are_warm_and_their_windows_cold() -> None:
    """Bonnet and grille warm, glass colder than the air; a parked car shows little of either."""
    running, parked = car(RUNNING), car(COLD)
    assert running is not None
    assert parked is not None
    warm, cold = (sprite.temp_celsius[sprite.alpha > 0.9] for sprite in (running, parked))
    assert warm.max() > 22.0
    assert warm.min() < 5.0
    assert cold.max() < 10.0
    assert (warm > 15.0).mean() > 0.1


def test_samples_soften_the_outline_and_hardly_change_the_rest() -> None:
    """One and three samples agree inside."""
    coarse, fine = car(RUNNING, samples=1), car(RUNNING, samples=3)
    assert coarse is not None
    assert fine is not None
    assert set(np.unique(coarse.alpha)) <= {0.0, 1.0}
    assert ((fine.alpha > 0) & (fine.alpha < 1)).any()
    assert abs(float(coarse.alpha.mean() - fine.alpha.mean())) < 0.03
    assert np.median(np.abs(coarse.temp_celsius - fine.temp_celsius)[fine.alpha == 1]) < 0.5


def test_a_passing_car_leaves_the_picture_without_a_jump() -> None:
    """Near the camera it is cut at the picture's side, then it is gone; nothing fails on the way."""
    covered = []
    for z in np.arange(12.0, -6.0, -0.5).tolist():
        sprite = car(RUNNING, z, x=-2.3, samples=1)
        window = None if sprite is None else sprite.window(240, 320)
        covered.append(0.0 if sprite is None or window is None else float(sprite.alpha[window[1]].sum()))
        if sprite is not None:
            assert np.isfinite(sprite.radiance).all()
            assert max(sprite.alpha.shape) < 330
    assert max(covered) > 5000.0
    assert covered[-1] == 0.0
    last = max(index for index, area in enumerate(covered) if area > 0)
    assert covered[last] < 0.35 * max(covered)


@pytest.mark.parametrize("place", [(0.0, -4.0), (90.0, 8.0), (0.0, 900.0)])
def test_no_car_is_drawn_behind_outside_or_too_far(place: tuple[float, float]) -> None:
    """None instead of an empty picture."""
    assert car(RUNNING, place[1], x=place[0]) is None
