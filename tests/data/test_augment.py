"""Changes to training pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgefuse.data import Augmentation, complementary_masks
from edgefuse.errors import UsageError


def random(seed=0):
    """A source of randomness."""
    return np.random.default_rng(seed)


@given(seed=st.integers(0, 2**32), height=st.integers(3, 40), width=st.integers(3, 40))
def test_crop_flip_and_turn_keep_a_pair_registered(seed, height, width):
    """Equal images stay equal, whatever is drawn and however small the image is."""
    image = random(1).integers(0, 256, (height, width)).astype(np.uint8)
    ir, vis = Augmentation(crop_px=24).apply(image, image, random(seed))
    assert ir.shape == vis.shape == (24, 24)
    assert ir.dtype == np.float32
    assert np.array_equal(ir, vis)


def test_every_turn_and_mirror_is_drawn():
    """A crop of the whole image comes in all eight orientations."""
    image = np.arange(16, dtype=np.uint8).reshape(4, 4)
    augmentation = Augmentation(crop_px=4)
    seen = {augmentation.apply(image, image, random(seed))[0].tobytes() for seed in range(100)}
    expected = {
        (np.rot90(side, turns).astype(np.float32) / np.float32(255)).tobytes()
        for side in (image, image[::-1])
        for turns in range(4)
    }
    assert seen == expected


def test_nothing_changes_without_augmentation():
    """With all changes off, a crop of the image's size is the image."""
    image = random().integers(0, 256, (8, 8)).astype(np.uint8)
    ir, vis = Augmentation(crop_px=8, flip=False, rotate=False).apply(image, 255 - image, random())
    assert np.array_equal(ir, image.astype(np.float32) / np.float32(255))
    assert np.array_equal(vis, (255 - image).astype(np.float32) / np.float32(255))


def test_gain_and_gamma_change_the_infrared_alone():
    """Gain and gamma lie in their ranges and leave the visible image as it is."""
    image = np.full((8, 8), 51, np.uint8)
    augmentation = Augmentation(crop_px=8, ir_gain=(0.5, 2.0), ir_gamma=(0.5, 2.0))
    levels = []
    for seed in range(200):
        ir, vis = augmentation.apply(image, image, random(seed))
        assert np.allclose(vis, 0.2)
        levels.append(float(ir[0, 0]))
    assert 0.5 * 0.2**2.0 <= min(levels) < 0.05
    assert 0.5 < max(levels) <= 2.0 * 0.2**0.5


def test_stretch_fills_the_range_but_not_with_noise():
    """A dark scene is stretched as by gain control; a flat one keeps its contrast below a limit."""
    augmentation = Augmentation(crop_px=32, ir_stretch=1.0)
    scene = random().integers(0, 90, (32, 32)).astype(np.uint8)
    ir, _ = augmentation.apply(scene, scene, random())
    assert ir.min() == 0.0
    assert ir.max() == 1.0
    noise = random().integers(40, 44, (32, 32)).astype(np.uint8)
    ir, _ = augmentation.apply(noise, noise, random())
    assert ir.max() - ir.min() < 0.06


def test_haze_brightens_the_dark_and_hides_contrast_of_the_visible_alone():
    """A veil lifts a dark visible image and leaves the infrared one as it is."""
    dark = random().integers(0, 60, (64, 64)).astype(np.uint8)
    for seed in range(10):
        ir, vis = Augmentation(crop_px=64, flip=False, rotate=False, vis_haze=1.0).apply(dark, dark, random(seed))
        assert np.array_equal(ir, dark.astype(np.float32) / np.float32(255))
        assert vis.mean() > ir.mean()
        assert vis.min() >= 0.0
        assert vis.max() <= 1.0


def test_smoke_hides_the_hottest_place_in_the_visible_image_alone():
    """The visible image turns bright and flat where the person is; the infrared one stays as it is."""
    vis = random(1).integers(0, 90, (64, 64)).astype(np.uint8)
    ir = np.full((64, 64), 60, np.uint8)
    ir[20:32, 40:46] = 220
    for seed in range(10):
        augmentation = Augmentation(crop_px=64, flip=False, rotate=False, vis_smoke=1.0)
        ir_unit, vis_unit = augmentation.apply(ir, vis, random(seed))
        assert np.array_equal(ir_unit, ir.astype(np.float32) / np.float32(255))
        assert vis_unit[24:28, 41:45].min() > 0.45
        assert vis_unit[24:28, 41:45].std() < vis[24:28, 41:45].std() / 255
        assert vis_unit.max() <= 1.0


def test_without_smoke_samples_stay_what_they_were():
    """The option draws no random number when it is off: masks that are drawn next are the same."""
    image = random(1).integers(0, 256, (32, 32)).astype(np.uint8)
    off, on = random(7), random(7)
    Augmentation(crop_px=32, vis_haze=0.5).apply(image, image, off)
    Augmentation(crop_px=32, vis_haze=0.5, vis_smoke=1e-12).apply(image, image, on)
    assert on.bit_generator.state != off.bit_generator.state
    off.random()
    assert on.bit_generator.state == off.bit_generator.state


@given(seed=st.integers(0, 2**32), height=st.integers(1, 20), width=st.integers(1, 20), mask_px=st.integers(1, 30))
def test_masks_hide_each_pixel_from_at_most_one_image(seed, height, width, mask_px):
    """Inside the square exactly one image shows each pixel, outside both do (AngularFuse Eq. 5)."""
    ir, vis = complementary_masks((height, width), mask_px=mask_px, random=random(seed))
    shown = ir + vis
    side = min(mask_px, height, width)
    assert set(np.unique(shown)) <= {1.0, 2.0}
    assert (shown == 1.0).sum() == side * side
    rows, columns = np.nonzero(shown == 1.0)
    assert rows.max() - rows.min() == columns.max() - columns.min() == side - 1


def test_masks_hide_half_of_the_square_from_each():
    """The proportion of hidden pixels is about a half for each image."""
    ir, _ = complementary_masks((64, 64), mask_px=64, random=random())
    assert 0.45 < ir.mean() < 0.55


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"crop_px": 0}, "crop_px"),
        ({"crop_px": 8, "mask_px": 9}, "mask_px"),
        ({"ir_gain": (2.0, 1.0)}, "ir_gain"),
        ({"ir_gamma": (0.0, 1.0)}, "ir_gamma"),
        ({"vis_gain": (1.0,)}, "vis_gain"),
        ({"vis_haze": 1.5}, "vis_haze"),
        ({"ir_stretch": -0.1}, "ir_stretch"),
        ({"vis_smoke": 2.0}, "vis_smoke"),
    ],
)
def test_refuses_settings_that_mean_nothing(settings, named):
    """The message names the setting."""
    with pytest.raises(UsageError, match=named):
        Augmentation(**settings)
