"""What the two cameras can and cannot see of the street's surfaces."""

from __future__ import annotations

import numpy as np
import pytest

from edgefuse.synthetic.drawing import Floats, Hit, lettering
from edgefuse.synthetic.street.facades import Facade, Wall
from edgefuse.synthetic.street.ground import CROSSING, Carriageway, Pavement, kerbstone
from edgefuse.synthetic.street.materials import Awning, Plate
from edgefuse.synthetic.street.shops import Shop
from edgefuse.synthetic.street.trees import Tree

SHOP = Shop(0.5, 5.5, "BAKERY", (0.9, 0.9, 1.0), boxed=False, room=(0.4, 0.7, 1.0), seed=3)


def hits(s: Floats, t: Floats, footprint: float = 0.01) -> Hit:
    """Places on a front seen from the street, from its left."""
    s, t = (part.astype(np.float32).ravel() for part in np.meshgrid(s, t))
    point = np.stack([np.full_like(s, 6.6), t, s], axis=1)
    direction = np.tile(np.array([0.6, 0.05, 0.7], np.float32), (s.size, 1))
    return Hit(s, t, point, direction, np.full(s.size, footprint, np.float32))


def test_words_on_the_road_change_its_colour_and_not_its_temperature() -> None:
    """Two roads that differ in the word have the same temperature to the bit."""
    place = hits(np.linspace(3.6, 6.0, 120), np.linspace(0.5, 2.9, 120))
    bus, slow = (Carriageway(7, word, origin=(0.0, 0.0))(place) for word in ("BUS", "SLOW"))
    assert (np.abs(bus.albedo - slow.albedo).max(axis=1) > 0.2).mean() > 0.04
    np.testing.assert_array_equal(bus.temp_celsius, slow.temp_celsius)


def test_the_crossing_is_striped() -> None:
    """Across it bright paint and dark asphalt alternate every half metre."""
    place = hits(np.array([sum(CROSSING) / 2]), np.linspace(-3.0, 2.0, 500))
    bright = Carriageway(7, "BUS", origin=(0.0, 0.0))(place).albedo[:, 1] > 0.3
    assert 0.3 < bright.mean() < 0.6
    assert 8 <= np.count_nonzero(np.diff(bright.astype(int))) <= 40


def test_a_shop_sign_can_be_read_in_the_visible_only() -> None:
    """Its light follows the letters; its temperature depends on the height alone."""
    s, t = np.linspace(0.9, 5.1, 300), np.linspace(3.0, 3.5, 40)
    surface = SHOP.front(hits(s, t))
    light = surface.emission[:, 1].reshape(40, 300)
    heat = surface.temp_celsius.reshape(40, 300)
    assert light.std() > 0.3
    assert np.ptp(heat, axis=1).max() == 0.0


def test_boxed_signs_are_the_negative_of_lettered_ones() -> None:
    """Dark letters on light instead of light letters on dark."""
    place = hits(np.linspace(0.9, 5.1, 200), np.linspace(3.0, 3.5, 40))
    letters = SHOP.front(place).emission[:, 1]
    boxed = Shop(0.5, 5.5, "BAKERY", (0.9, 0.9, 1.0), boxed=True, room=(0.0, 0.0, 0.0), seed=3)
    assert np.corrcoef(letters, boxed.front(place).emission[:, 1])[0, 1] < -0.95


def test_open_shops_glow_and_are_warm() -> None:
    """A closed one does neither."""
    place = hits(np.linspace(1.0, 3.5, 60), np.linspace(0.6, 2.6, 60))
    closed = Shop(0.5, 5.5, "BAKERY", (0.9, 0.9, 1.0), boxed=False, room=(0.0, 0.0, 0.0), seed=3)
    opened, dark = SHOP.front(place), closed.front(place)
    assert opened.emission.mean() > 0.1
    assert dark.emission.max() == 0.0
    assert opened.temp_celsius.mean() > dark.temp_celsius.mean() + 4.0


def test_the_room_behind_the_glass_moves_with_the_eye() -> None:
    """Seen along another direction the same pane shows another part of the back wall."""
    place = hits(np.linspace(1.2, 3.2, 80), np.linspace(1.0, 2.4, 80))
    aside = Hit(place.s, place.t, place.point, place.direction * np.array([1, 1, 0.3], np.float32), place.footprint)
    assert np.abs(SHOP.front(place).emission - SHOP.front(aside).emission).mean() > 0.03


def test_plates_have_one_temperature_whatever_is_painted_on_them() -> None:
    """And holes outside their outline."""
    ink = lettering("30", height=64, aspect=1.0)
    outline = np.zeros((64, 64), np.float32)
    outline[8:56, 8:56] = 1.0
    plate = Plate(ink, outline, (1.0, 1.0), (0.5, 0.5, 0.5), (0.0, 0.0, 0.0), 4.5)
    surface = plate(hits(np.linspace(0.01, 0.99, 64), np.linspace(0.01, 0.99, 64)))
    assert surface.albedo.std() > 0.1
    assert np.ptp(surface.temp_celsius) == 0.0
    assert surface.opaque is not None
    assert 0.4 < surface.opaque.mean() < 0.7


def test_lit_windows_glow_and_heated_rooms_are_warm() -> None:
    """A front has both kinds of window, none in its ground floor."""
    wall = Wall(3, (0.2, 0.2, 0.2), "brick")
    front = Facade(wall, 20.0, 17.0, (), 2.5, 0.4, 9)
    upper = front(hits(np.linspace(0, 20, 200), np.linspace(4.2, 16.0, 120), 0.06))
    ground = front(hits(np.linspace(0, 20, 200), np.linspace(0.1, 3.5, 40), 0.06))
    assert 0.02 < (upper.emission.max(axis=1) > 0.05).mean() < 0.3
    assert upper.temp_celsius.max() > upper.temp_celsius.min() + 5.0
    assert ground.emission.max() == 0.0


@pytest.mark.parametrize("bond", ["brick", "plaster", "concrete"])
def test_masonry_has_texture_near_by_and_none_that_flickers_far_off(bond: str) -> None:
    """Stones finer than a sample fade instead of aliasing."""
    wall = Wall(3, (0.2, 0.2, 0.2), bond)  # type: ignore[arg-type]
    s, t = np.linspace(0, 3, 200), np.linspace(0, 3, 200)
    near, far = (wall(hits(s, t, footprint)).albedo[:, 0] for footprint in (0.005, 1.0))
    assert near.std() >= far.std()
    assert far.std() / far.mean() < 0.4
    assert near.min() > 0.0


def test_stones_kerbs_and_cloth_are_plausible() -> None:
    """Albedos lie between black and snow; temperatures near that of the air."""
    place = hits(np.linspace(0, 4, 100), np.linspace(0, 2, 60))
    materials = (Pavement(1, (0.6, 0.4), (0.13, 0.14, 0.15)), kerbstone, Awning((0.1, 0.2, 0.3), 0.5))
    for material in materials:
        surface = material(place)
        assert 0.0 < surface.albedo.min() <= surface.albedo.max() < 0.8
        assert 2.0 < surface.temp_celsius.min() <= surface.temp_celsius.max() < 14.0
        assert surface.emission.shape == surface.albedo.shape


def test_trees_have_a_trunk_a_crown_and_gaps() -> None:
    """The foot is narrow, the crown wide, the corners empty; another kind is another tree."""
    place = hits(np.linspace(0, 7, 140), np.linspace(0, 8, 160))
    first, second = (Tree(seed, (7.0, 8.0))(place).opaque for seed in (0, 1))
    assert first is not None
    shape = first.reshape(160, 140)
    assert 1 <= shape[3].sum() < 20
    assert shape[90:130].mean() > 0.3
    assert not shape[-2:].any()
    assert second is not None
    assert (first != second).mean() > 0.1
