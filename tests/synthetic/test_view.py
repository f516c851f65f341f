"""What stands still: covering, mirroring, touching the ground."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgefuse.synthetic.drawing import Camera, Floats, Lighting, Sprite, rectangle
from edgefuse.synthetic.street import Street
from edgefuse.synthetic.street.ground import Carriageway
from edgefuse.synthetic.street.materials import Plain
from edgefuse.synthetic.view import Contact, StaticView

CAMERA = Camera(60, 81, 60.0, 40.0, 20.0, (0.0, 1.5, 0.0), 0.0)


@pytest.fixture(scope="module")
def view() -> StaticView:
    """A road with one upright post, five metres ahead."""
    road = rectangle((-5.0, 0, 1.0), (0, 0, 40.0), (10.0, 0, 0), Carriageway(1, "BUS", origin=(1.0, -5.0)))
    post = rectangle((-0.2, 0, 5.0), (0.4, 0, 0), (0, 3.0, 0), Plain((0.5, 0.5, 0.5), 3.0), occluder=1)
    lighting = Lighting((), (0.2, 0.2, 0.2))
    return StaticView(CAMERA, Street((road,), (post,), lighting, ((0.0, 0.0, 5.0),)), lighting, [])


def block(depth: float) -> Sprite:
    """A glowing square of 20 pixels at the middle of the picture."""
    shape = (20, 20)
    return Sprite(
        20, 30, np.ones(shape, np.float32), np.full((*shape, 3), 2.0, np.float32), np.full(shape, 30.0, np.float32),
        depth, 40.0, person=True,
    )  # fmt: skip


def test_things_pass_behind_an_occluder_and_before_it(view: StaticView) -> None:
    """Six metres off the post hides the middle of the block, four metres off it does not."""
    behind, before = view.shown(block(6.0)), view.shown(block(4.0))
    assert behind is not None
    assert before is not None
    assert before.alpha.min() == 1.0
    assert behind.alpha[:16, 9:11].max() < 0.1
    assert behind.alpha[:, :6].min() == 1.0


def test_laying_replaces_both_pictures_where_the_sprite_shows(view: StaticView) -> None:
    """Light and temperature change together."""
    radiance, temp = view.radiance.copy(), view.temp_celsius.copy()
    shown = view.shown(block(4.0))
    assert shown is not None
    view.lay(block(4.0), shown, radiance, temp)
    assert np.all(radiance[20:40, 30:50] == 2.0)
    assert np.all(temp[20:40, 30:50] == 30.0)
    assert np.array_equal(radiance[:, :30], view.radiance[:, :30])


def test_a_sprite_outside_the_picture_is_not_shown(view: StaticView) -> None:
    """Beyond the right edge there is nothing to lay."""
    assert view.shown(Sprite(20, 81, *_plain((5, 5)), 4.0, 30.0, person=False)) is None


def _plain(shape: tuple[int, int]) -> tuple[Floats, Floats, Floats]:
    return np.ones(shape, np.float32), np.ones((*shape, 3), np.float32), np.zeros(shape, np.float32)


def test_reflections_lie_below_the_foot(view: StaticView) -> None:
    """A block whose foot is row 40 is mirrored to rows 40 to 60, at half resolution."""
    mirror = np.zeros_like(view.mirror)
    view.lay_mirrored(block(4.0), mirror)
    rows, columns = np.nonzero(mirror[..., 0] > 1.0)
    top = view.mirror_top
    assert abs(top + 2 * rows.min() - 41) <= 2
    assert top + 2 * rows.max() >= 56
    assert abs(2 * columns.min() - 30) <= 2


def test_wet_road_mirrors_more_at_a_grazing_angle(view: StaticView) -> None:
    """The weight of the reflection falls toward the camera, and is zero on the post."""
    weight = view.mirror_weight[..., 0]
    assert weight[24, 36:39].mean() > 2 * weight[-1, 36:39].mean() > 0.0
    assert weight[22:30, 40].max() < 0.05


def test_contacts_darken_and_warm_only_the_ground(view: StaticView) -> None:
    """A patch of road below a car loses light and gains warmth; the post in front of it keeps both."""
    radiance, temp = view.radiance.copy(), view.temp_celsius.copy()
    outline = np.array([[-1, 0, 4], [1, 0, 4], [1, 0, 8], [-1, 0, 8]], np.float32)
    view.touch(Contact(outline, 0.5, 2.0), radiance, temp)
    row = round(CAMERA.horizon_v + 60 * 1.5 / 5.5)
    assert radiance[row, 46, 0] < 0.75 * view.radiance[row, 46, 0]
    assert temp[row, 46] > view.temp_celsius[row, 46] + 1.0
    assert radiance[row, 40, 0] == pytest.approx(view.radiance[row, 40, 0])
    assert np.array_equal(radiance[:20], view.radiance[:20])


def test_ground_behind_the_camera_is_left_alone(view: StaticView) -> None:
    """A contact that reaches behind the camera changes nothing."""
    radiance, temp = view.radiance.copy(), view.temp_celsius.copy()
    outline = np.array([[-1, 0, -2], [1, 0, -2], [1, 0, 3], [-1, 0, 3]], np.float32)
    view.touch(Contact(outline, 0.5), radiance, temp)
    np.testing.assert_array_equal(radiance, view.radiance)


def test_sky_is_cold_and_dim(view: StaticView) -> None:
    """Above the horizon there is neither infinity nor daylight."""
    sky = np.s_[:10, :30]
    assert np.isfinite(view.temp_celsius).all()
    assert view.temp_celsius[sky].max() < 5.0
    assert 0.0 < view.radiance[sky].mean() < 0.05
    assert math.isfinite(float(view.mirror.max()))
