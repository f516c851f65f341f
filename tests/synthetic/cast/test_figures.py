"""Walking people as sprites."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgefuse.synthetic.cast import draw_person
from edgefuse.synthetic.cast.outfits import random_outfit
from edgefuse.synthetic.cast.skeleton import body
from edgefuse.synthetic.drawing import Camera, Light, Lighting, Sprite

CAMERA = Camera(240, 320, 260.0, 159.5, 100.0, (0.0, 1.7, 0.0), 0.0)
LAMP = Lighting((Light((2.0, 5.0, 4.0), (20.0, 20.0, 20.0), "bulb"),), (0.01, 0.01, 0.01))
OUTFIT = random_outfit(np.random.default_rng(2), 1, dark=False)


def person(z: float = 6.0, *, x: float = 0.0, heading: float = 0.0, phase: float = 0.0) -> Sprite | None:
    """The person at a place."""
    foot = np.array([x, 0.0, z], np.float32)
    return draw_person(CAMERA, LAMP, OUTFIT, foot=foot, heading=heading, phase=phase)


@pytest.mark.parametrize("z", [3.0, 6.0, 15.0, 40.0])
def test_people_have_their_height_and_stand_on_the_ground(z: float) -> None:
    """The silhouette runs from the ground up to the height of the person, to a pixel or four in a hundred."""
    sprite = person(z, heading=math.pi / 2, phase=0.0)
    assert sprite is not None
    rows = np.flatnonzero((sprite.alpha > 0.5).any(axis=1))
    size = OUTFIT.height * 260.0 / z
    foot_row = 100.0 + 260.0 * 1.7 / z
    assert sprite.foot_row == pytest.approx(foot_row, abs=0.01)
    assert sprite.top + rows[-1] == pytest.approx(foot_row, abs=max(1.5, 0.04 * size))
    assert rows[-1] - rows[0] + 1 == pytest.approx(size, abs=max(1.5, 0.04 * size))


def test_people_are_about_a_quarter_as_wide_as_tall() -> None:
    """Seen from the front; a stride seen from the side is wider than a stand."""
    front, side = person(4.0, heading=math.pi), person(4.0, heading=math.pi / 2, phase=math.pi / 2)
    assert front is not None
    assert side is not None
    widths = [np.flatnonzero((sprite.alpha > 0.5).any(axis=0)).size for sprite in (front, side)]
    size = OUTFIT.height * 260.0 / 4.0
    assert 0.2 * size < widths[0] < 0.4 * size
    assert widths[1] > 1.2 * widths[0]


def test_faces_are_warmest_and_shoes_coldest() -> None:
    """Bare skin above 30 °C, cloth between, all above the night air."""
    sprite = person(4.0, heading=math.pi)
    assert sprite is not None
    inside = sprite.alpha > 0.9
    rows = np.flatnonzero(inside.any(axis=1))
    head, feet = rows[0] + (rows[-1] - rows[0]) // 12, rows[-3]
    assert sprite.temp_celsius[head][inside[head]].max() > 30.0
    assert sprite.temp_celsius[feet][inside[feet]].max() < 18.0
    assert sprite.temp_celsius[inside].min() > 8.0


def test_the_lamp_lights_the_side_that_faces_it() -> None:
    """With the lamp to the right, the right half is brighter."""
    sprite = person(4.0, heading=math.pi)
    assert sprite is not None
    light = sprite.radiance.mean(axis=2) * (sprite.alpha > 0.9)
    middle = light.shape[1] // 2
    assert light[:, middle:].sum() > 1.3 * light[:, :middle].sum()


@pytest.mark.parametrize("foot", [(0.0, 0.5), (0.0, -5.0), (60.0, 6.0), (0.0, 500.0)])
def test_nobody_is_drawn_behind_the_camera_outside_or_too_far(foot: tuple[float, float]) -> None:
    """None instead of an empty picture."""
    assert person(foot[1], x=foot[0]) is None


def test_a_foot_rests_on_the_ground_at_every_phase() -> None:
    """The lower foot is never more than five centimetres up, and neither is below the ground."""
    for phase in np.linspace(0.0, 2 * np.pi, 25).tolist():
        lowest = min(min(limb.start[1], limb.end[1]) for limb in body(OUTFIT, phase))
        assert 0.0 < lowest < 0.05 * OUTFIT.height


def test_steps_repeat_after_a_cycle() -> None:
    """Phase 0 and 2π are the same figure; half a cycle swaps the legs."""
    np.testing.assert_allclose(
        [limb.end for limb in body(OUTFIT, 0.3)], [limb.end for limb in body(OUTFIT, 0.3 + 2 * np.pi)], atol=1e-9
    )
    first, swapped = person(phase=0.9), person(phase=0.9 + np.pi)
    assert first is not None
    assert swapped is not None
    assert np.abs(first.alpha - swapped.alpha).mean() < 0.05
