"""Scores of one image: what they mean, where they are not defined, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgefuse.errors import InputError, UsageError
from edgefuse.metrics import CONVENTIONS, LOWER_IS_BETTER, PROFILES, Scores, evaluate, find_convention


def _noise(seed: int, shape: tuple[int, ...] = (64, 48)) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def _smooth(seed: int, side: int = 192) -> NDArray[np.uint8]:
    """A picture with structure at several scales."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((side, side))
    for cells in (3, 12, 48):
        picture += np.kron(rng.random((cells, cells)), np.ones((side // cells, side // cells)))
    return (picture / picture.max() * 255).astype(np.uint8)


def test_default_gives_every_metric_in_table_order() -> None:
    """Without options a person gets all metrics of the corrected convention, finite on an ordinary scene."""
    scores = evaluate(_smooth(1), _smooth(2), _smooth(3))
    assert scores.convention == "default"
    expected = "EN SD SF AG MI CC SCD VIF VIFF Qabf SSIM MS_SSIM MSE PSNR Nabf"
    assert list(scores) == expected.split()
    assert all(math.isfinite(value) for value in scores.values())
    assert scores.reasons == {}


def test_an_image_fused_with_itself_has_the_known_values() -> None:
    """Where fused equals both sources the measures of agreement are at their best value."""
    image = _smooth(4)
    scores = evaluate(image, image, image)
    assert scores["CC"] == pytest.approx(1.0)
    assert scores["SSIM"] == pytest.approx(1.0)
    assert scores["MS_SSIM"] == pytest.approx(1.0)
    assert scores["VIF"] == pytest.approx(2.0, abs=1e-6)
    assert scores["MI"] == pytest.approx(2 * scores["EN"])
    # 0.9994 / (1 + e^-7.5) * 0.9879 / (1 + e^-4.4) where the ratio is 1, and nearer 0.9753 with the rule for ties.
    assert scores["Qabf"] == pytest.approx(0.9753, abs=5e-4)
    assert scores["MSE"] == 0.0
    assert scores["Nabf"] == 0.0


def test_undefined_values_are_nan_with_a_reason_when_fused_is_a_source() -> None:
    """SCD is 0/0 where fused equals a source; PSNR has no error to measure where it equals both."""
    ir, vis = _noise(1), _noise(2)
    scores = evaluate(ir, ir, vis, metrics=["SCD", "CC"])
    assert math.isnan(scores["SCD"])
    assert scores.reasons == {"SCD": "fused minus ir is constant"}
    same = evaluate(ir, ir, ir, metrics=["PSNR", "MSE"])
    assert math.isnan(same["PSNR"])
    assert "equals both sources" in same.reasons["PSNR"]
    assert same["MSE"] == 0.0


@pytest.mark.parametrize("convention", sorted(CONVENTIONS))
@pytest.mark.parametrize("level", [0, 17, 255])
def test_constant_images_give_numbers_or_nan_with_a_reason(convention: Any, level: int) -> None:
    """Nothing crashes, nothing is infinite, and no NaN is without its reason."""
    flat, noise = np.full((192, 180), level, np.uint8), _noise(3, (192, 180))
    for fused, ir, vis in ((flat, flat, flat), (flat, noise, noise), (noise, flat, noise), (noise, noise, flat)):
        scores = evaluate(fused, ir, vis, convention=convention)
        for name, value in scores.items():
            assert math.isnan(value) == (name in scores.reasons), name
            assert not math.isinf(value), name


@pytest.mark.parametrize(
    ("metric", "fused", "ir", "vis"),
    [
        ("CC", "flat", "noise", "noise"),
        ("CC", "noise", "flat", "noise"),
        ("SCD", "noise", "noise", "flat"),
        ("VIF", "noise", "flat", "noise"),
        ("VIFF", "noise", "flat", "flat"),
        ("Qabf", "noise", "flat", "flat"),
    ],
)
def test_a_constant_image_leaves_what_it_decides_undefined(metric: str, fused: str, ir: str, vis: str) -> None:
    """Values that would come from borders or from 0/0 alone are not shown as numbers."""
    images = {"flat": np.full((64, 64), 90, np.uint8), "noise": _noise(5, (64, 64))}
    other = _noise(6, (64, 64))
    scores = evaluate(images[fused], images[ir] if ir == "flat" else other, images[vis], metrics=[metric])
    assert math.isnan(scores[metric])
    assert "constant" in scores.reasons[metric]


@pytest.mark.parametrize("size", [(1, 1), (1, 64), (2, 2), (5, 9), (16, 200), (40, 41)])
@pytest.mark.parametrize("convention", ["default", "cddfuse", "ivifzoo", "linfeng2022", "vifb", "liu"])
def test_images_smaller_than_a_window_have_a_reason(convention: Any, size: tuple[int, int]) -> None:
    """A window that does not fit is said so, whatever the size of the image."""
    scores = evaluate(_noise(1, size), _noise(2, size), _noise(3, size), convention=convention)
    for name, value in scores.items():
        assert math.isfinite(value) or scores.reasons[name], name


def test_the_smallest_image_of_vif_is_41_pixels() -> None:
    """The bound in the message is the one where the fourth scale still has a sample."""
    at_40, at_41 = (
        evaluate(_noise(1, (side, side)), _noise(2, (side, side)), _noise(3, (side, side)), metrics=["VIF", "VIFF"])
        for side in (40, 41)
    )
    assert math.isnan(at_40["VIF"])
    assert "41 pixels" in at_40.reasons["VIF"]
    assert math.isfinite(at_41["VIF"])
    assert math.isfinite(at_41["VIFF"])


def test_sizes_that_differ_are_an_error_naming_both() -> None:
    """The message holds the sizes, so that the wrong file can be found."""
    with pytest.raises(InputError, match=r"fused is 48x64, ir is 32x64"):
        evaluate(_noise(1), _noise(2, (64, 32)), _noise(3))


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((8, 8), np.float32),
        np.zeros((8, 8), np.uint16),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((0, 8), np.uint8),
    ],
)
def test_only_eight_bit_images_are_taken(image: NDArray[Any]) -> None:
    """Anything else would be scored on a wrong scale."""
    good = np.zeros((8, 8), np.uint8)
    with pytest.raises(InputError, match="vis must be uint8"):
        evaluate(good, good, image)


def test_unknown_names_list_what_there_is() -> None:
    """A wrong metric or convention is answered with the right ones."""
    image = _noise(1)
    with pytest.raises(UsageError, match=r"convention vifb does not define VIF; it has EN, SD"):
        evaluate(image, image, image, metrics=["EN", "VIF"], convention="vifb")
    with pytest.raises(UsageError, match="unknown convention 'tno': give one of default, cddfuse"):
        evaluate(image, image, image, convention="tno")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="must be a list"):
        evaluate(image, image, image, metrics="EN")
    with pytest.raises(UsageError, match="empty list"):
        evaluate(image, image, image, metrics=[])


def test_three_equal_channels_score_as_one_under_every_convention() -> None:
    """A gray picture stored as RGB is the same picture."""
    fused, ir, vis = (_smooth(seed) for seed in (1, 2, 3))
    stacked = [np.dstack([image] * 3) for image in (fused, ir, vis)]
    for name in CONVENTIONS:
        if name == "vifb_rgb":  # lays three planes side by side: SF has seams that one plane has not
            continue
        assert evaluate(*stacked, convention=name) == evaluate(fused, ir, vis, convention=name), name  # type: ignore[arg-type]


def test_gray_rules_differ_by_at_most_one_level() -> None:
    """The three rules of the field agree on colour to one level."""
    from edgefuse.metrics.gray import to_gray

    colour = _noise(9, (200, 200, 3))
    planes = [to_gray(colour, rule).astype(int) for rule in ("matlab", "opencv", "pillow")]
    assert max(int(np.abs(one - two).max()) for one in planes for two in planes) == 1


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), height=st.integers(41, 70), width=st.integers(41, 70))
def test_symmetric_metrics_do_not_care_which_source_is_infrared(seed: int, height: int, width: int) -> None:
    """Only VIFF and the rotated Nabf depend on the order of the sources."""
    fused, ir, vis = (_noise(seed + part, (height, width)) for part in range(3))
    names = ["EN", "SD", "SF", "AG", "MI", "CC", "SCD", "VIF", "Qabf", "SSIM", "MSE", "PSNR", "Nabf"]
    one, two = evaluate(fused, ir, vis, metrics=names), evaluate(fused, vis, ir, metrics=names)
    assert dict(one) == pytest.approx(dict(two), rel=1e-12)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), height=st.integers(41, 70), width=st.integers(41, 70))
def test_metrics_do_not_change_when_all_images_are_mirrored(seed: int, height: int, width: int) -> None:
    """Left and right are equal to every metric that is defined by local differences and windows."""
    images = [_noise(seed + part, (height, width)) for part in range(3)]
    # VIF halves with a fixed phase and Qabf's orientations have a sign, so they are not in the list.
    names = ["EN", "SD", "SF", "AG", "MI", "CC", "SCD", "SSIM", "MSE", "PSNR", "Nabf"]
    plain = evaluate(*images, metrics=names)
    mirrored = evaluate(*(np.ascontiguousarray(image[:, ::-1]) for image in images), metrics=names)
    assert dict(plain) == pytest.approx(dict(mirrored), rel=1e-9)


def test_inputs_are_not_written_to_and_may_be_views() -> None:
    """A crop of a larger picture scores as its copy, and nothing is changed."""
    big = [_noise(seed, (120, 140)) for seed in range(3)]
    views = [image[3:115:1, 5:129] for image in big]
    views[1] = views[1][::-1, ::-1]
    before = [image.copy() for image in big]
    assert evaluate(*views, convention="cddfuse") == evaluate(*(view.copy() for view in views), convention="cddfuse")
    for image, copy in zip(big, before, strict=True):
        np.testing.assert_array_equal(image, copy)


def test_every_convention_describes_itself_on_one_line() -> None:
    """The line under a table names the convention and each metric shown, with known bugs marked."""
    for name, convention in CONVENTIONS.items():
        line = convention.describe()
        assert line.startswith(f"Convention {name} (")
        assert "\n" not in line
        assert all(metric in line for metric in convention.formulas)
    assert "(bug)" in find_convention("linfeng2022").describe(["SD"])
    assert "(bug)" not in find_convention("default").describe()


def test_profiles_and_directions_name_what_exists() -> None:
    """Every profile is a convention, and every metric with a direction is defined somewhere."""
    assert set(PROFILES) <= set(CONVENTIONS)
    defined = {metric for convention in CONVENTIONS.values() for metric in convention.formulas}
    assert defined >= LOWER_IS_BETTER


def test_scores_are_a_dict_of_floats() -> None:
    """The result can be used wherever a dict is expected."""
    image = _noise(1)
    scores = evaluate(image, image, image, metrics=["EN", "MI"])
    assert isinstance(scores, dict)
    assert isinstance(scores, Scores)
    assert all(type(value) is float for value in scores.values())
