"""Disturbed inputs."""

from __future__ import annotations

import numpy as np
import pytest

from edgefuse.errors import UsageError
from edgefuse.metrics.corruption import CORRUPTIONS, parse_corruption

GRAY = np.full((120, 160), 128, np.uint8)
COLOUR = np.dstack([GRAY] * 3)
EXAMPLES = ["stripe:5", "gauss:25", "poisson-gauss", "smoke", "dark", "glare", "shift:3,-2"]


def test_every_kind_has_an_example_here() -> None:
    """A new kind comes with tests."""
    assert {example.partition(":")[0] for example in EXAMPLES} == set(CORRUPTIONS)


@pytest.mark.parametrize("spec", EXAMPLES)
@pytest.mark.parametrize("image", [GRAY, COLOUR], ids=["gray", "colour"])
def test_the_same_seed_and_name_disturb_the_same_way(spec: str, image: np.ndarray) -> None:
    """A run can be repeated, another seed or image has other noise, and shape and type stay."""
    corruption = parse_corruption(spec)
    textured = image + np.random.default_rng(0).integers(0, 50, image.shape).astype(np.uint8)
    before = textured.copy()
    one = corruption.apply(textured, seed=1, name="a")
    assert one.shape == image.shape
    assert one.dtype == np.uint8
    np.testing.assert_array_equal(one, corruption.apply(textured, seed=1, name="a"))
    np.testing.assert_array_equal(textured, before)
    assert not np.array_equal(one, textured)
    if not spec.startswith("shift"):
        assert not np.array_equal(one, corruption.apply(textured, seed=2, name="a"))
        assert not np.array_equal(one, corruption.apply(textured, seed=1, name="b"))


def test_the_number_of_a_noise_is_its_variance() -> None:
    """SSPFusion gives variances: 25 squared levels is a deviation of 5."""
    gauss = parse_corruption("gauss:25").apply(GRAY, seed=0, name="x").astype(float)
    assert gauss.var() == pytest.approx(25, rel=0.05)
    stripes = parse_corruption("stripe:25").apply(GRAY, seed=0, name="x").astype(float)
    assert stripes.var(axis=0).max() == 0.0
    assert stripes[0].var() == pytest.approx(25, rel=0.3)
    both = parse_corruption("poisson-gauss:25").apply(GRAY, seed=0, name="x").astype(float)
    assert both.var() == pytest.approx(25 + 128, rel=0.05)


def test_light_goes_the_way_that_its_name_says() -> None:
    """Dark keeps a share of the light, glare adds, smoke pulls towards its own level."""
    assert parse_corruption("dark:0.25").apply(GRAY, seed=0, name="x").mean() == pytest.approx(32, rel=0.02)
    glare = parse_corruption("glare").apply(GRAY, seed=0, name="x")
    assert glare.max() == 255
    assert (glare >= GRAY).all()
    smoke = parse_corruption("smoke:1").apply(np.zeros_like(GRAY), seed=0, name="x")
    assert smoke.max() == 200
    assert smoke.min() == 0


def test_a_shift_moves_right_and_down() -> None:
    """Whole pixels move exactly; the border is repeated."""
    image = np.zeros((20, 30), np.uint8)
    image[10, 15] = 255
    image[:, 0] = 7
    moved = parse_corruption("shift:3,-2").apply(image, seed=0, name="x")
    assert moved[8, 18] == 255
    assert (moved[:, :4] == 7).all()


def test_each_kind_is_of_its_band_unless_told() -> None:
    """Stripes are of infrared sensors, light of the visible band; @ chooses."""
    assert parse_corruption("stripe:5").source == "ir"
    assert parse_corruption("gauss:25").source == "vis"
    assert parse_corruption("gauss:25@ir").source == "ir"
    assert parse_corruption("shift:1,1@vis").source == "vis"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("fog", "unknown corruption 'fog': give stripe:VARIANCE"),
        ("stripe", "needs 1 number"),
        ("shift:3", "needs 2 numbers"),
        ("gauss:x", "'x' is no number"),
        ("gauss:nan", "needs 1 number"),
        ("gauss:-1", "must be positive"),
        ("dark:2", "at most 1"),
        ("glare:0", "must be positive"),
        ("gauss:25@left", "ir or vis, not 'left'"),
    ],
)
def test_wrong_specs_say_what_is_right(spec: str, message: str) -> None:
    """A typing error is answered with the forms that exist."""
    with pytest.raises(UsageError, match=message):
        parse_corruption(spec)
