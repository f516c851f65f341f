"""The simulated street as its users see it."""

from __future__ import annotations

import dataclasses
import itertools
import math
import subprocess
import sys
from typing import Any

import cv2
import numpy as np
import pytest

from edgefuse.errors import UsageError
from edgefuse.synthetic import InfraredMount, ScenePair, StreetScene

ARRAYS = ("ir", "vis", "ir16", "people", "temp_kelvin")


@pytest.fixture(scope="module")
def scene() -> StreetScene:
    """A street with people and cars, and sensors without noise."""
    return StreetScene(150, 200, seed=0, noise=0.0)


@pytest.fixture(scope="module")
def deserted() -> StreetScene:
    """The same street with nobody in it."""
    return StreetScene(150, 200, seed=0, pedestrians=0, cars=0, noise=0.0)


@pytest.fixture(scope="module")
def noisy() -> StreetScene:
    """The deserted street seen by plain sensors."""
    return StreetScene(150, 200, seed=0, pedestrians=0, cars=0)


def assert_same(first: ScenePair, second: ScenePair) -> None:
    """All arrays are equal to the bit."""
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)


def test_same_seed_and_time_give_the_same_pictures() -> None:
    """Two scenes built alike agree to the bit, noise included, whatever was rendered before."""
    first, second = StreetScene(60, 80, seed=3), StreetScene(60, 80, seed=3)
    first.render(11.0)
    assert_same(first.render(2.5), second.render(2.5))


def test_seeds_differ() -> None:
    """Another seed is another street."""
    first, second = (StreetScene(60, 80, seed=seed, noise=0.0).render() for seed in (1, 2))
    assert np.mean(np.abs(first.vis.astype(int) - second.vis)) > 2.0


@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 47), (97, 131), (64, 33), (41, 160)])
def test_shapes_and_dtypes_hold_at_any_size(height: int, width: int) -> None:
    """Odd, narrow and flat pictures have the size asked for and are not blank."""
    pair = StreetScene(height, width, seed=4).render(1.0)
    assert (pair.ir.shape, pair.ir.dtype) == ((height, width), np.uint8)
    assert (pair.vis.shape, pair.vis.dtype) == ((height, width, 3), np.uint8)
    assert (pair.ir16.shape, pair.ir16.dtype) == ((height, width), np.uint16)
    assert (pair.people.shape, pair.people.dtype) == ((height, width), np.bool_)
    assert (pair.temp_kelvin.shape, pair.temp_kelvin.dtype) == ((height, width), np.float32)
    assert np.isfinite(pair.temp_kelvin).all()
    assert pair.vis.std() > 10
    assert pair.ir.std() > 10


def test_people_are_warmer_than_what_is_around_them(scene: StreetScene) -> None:
    """In the truth, in the raw counts and in the 8-bit picture; skin is warmer than cloth."""
    pair = scene.render(0.0)
    assert pair.people.sum() > 200
    assert np.median(pair.temp_kelvin[pair.people]) - np.median(pair.temp_kelvin[~pair.people]) > 8.0
    assert np.median(pair.ir16[pair.people].astype(float)) - np.median(pair.ir16[~pair.people].astype(float)) > 800
    assert pair.ir[pair.people].mean() > pair.ir[~pair.people].mean() + 80
    assert pair.temp_kelvin[pair.people].max() > 273.15 + 30.0


def test_mask_is_where_people_change_the_temperature(scene: StreetScene, deserted: StreetScene) -> None:
    """What is warmer than the deserted street is a person, but for pixels of which people cover less than half."""
    with_people = StreetScene(150, 200, seed=0, cars=0, noise=0.0)
    for t_seconds in (0.0, 3.0):
        pair = with_people.render(t_seconds)
        warmer = pair.temp_kelvin - deserted.render(t_seconds).temp_kelvin
        assert (warmer[pair.people] > 2.0).mean() > 0.97
        outside = cv2.dilate(pair.people.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0
        assert (np.abs(warmer[outside]) > 1.5).sum() < 0.08 * pair.people.sum()


def test_people_stand_at_the_same_place_in_both_pictures(deserted: StreetScene) -> None:
    """The visible picture changes where the mask is, apart from shadows, reflections and glare around it."""
    pair = StreetScene(150, 200, seed=0, cars=0, noise=0.0).render(0.0)
    change = np.abs(pair.vis.astype(int) - deserted.render(0.0).vis).max(axis=2)
    assert change[pair.people].mean() > 10 * max(change[~pair.people].mean(), 0.1)


def test_people_walk(scene: StreetScene) -> None:
    """Masks of frames a second apart differ, those of neighbouring frames hardly."""

    def overlap(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> float:
        return float((a & b).sum() / (a | b).sum())

    now, next_frame, later = (scene.render(t).people for t in (0.0, 1 / 30, 1.0))
    assert overlap(now, next_frame) > 0.75
    assert overlap(now, later) < 0.6


def test_paint_on_the_road_is_invisible_in_the_infrared(scene: StreetScene) -> None:
    """The word and the stripes carry the visible picture near the camera and do not show in the temperature."""
    pair = scene.render(16.0)
    road = np.s_[100:140, 40:120]
    light, heat = pair.vis[road].mean(axis=2), pair.temp_kelvin[road]
    assert light.std() > 20.0
    assert heat.std() < 1.0
    # Puddles change both slowly from place to place; the edges of the paint must not show.
    light, heat = (layer - cv2.GaussianBlur(layer, (0, 0), 2.0) for layer in (light, heat.astype(float)))
    assert abs(np.corrcoef(light.ravel(), heat.ravel())[0, 1]) < 0.2


def test_sky_is_the_coldest_and_the_gain_is_fixed(scene: StreetScene) -> None:
    """The top of the picture is sky well below the road; equal counts are equal gray in all frames."""
    first, second = scene.render(0.0), scene.render(9.0)
    assert first.temp_kelvin[:6, 40:70].mean() < first.temp_kelvin[-10:].mean() - 8.0
    table: dict[int, int] = {}
    for pair in (first, second):
        for count, gray in zip(pair.ir16.ravel().tolist(), pair.ir.ravel().tolist(), strict=True):
            assert table.setdefault(count, gray) == gray
    grays = [table[count] for count in sorted(table)]
    assert grays == sorted(grays)


def test_raw_counts_are_hundredths_of_a_kelvin(scene: StreetScene) -> None:
    """Without noise the counts are the truth, softened by the optics."""
    pair = scene.render(5.0)
    assert np.median(np.abs(pair.ir16 / 100.0 - pair.temp_kelvin)) < 0.1


def test_nothing_moves_in_a_deserted_street(deserted: StreetScene) -> None:
    """Without people, cars and noise time changes nothing."""
    first, second = deserted.render(0.0), deserted.render(7.3)
    assert_same(first, dataclasses.replace(second, t_seconds=0.0))
    assert not first.people.any()


def test_noise_changes_from_frame_to_frame(noisy: StreetScene, deserted: StreetScene) -> None:
    """Two frames of a deserted street differ by noise of the expected size about the noiseless picture."""
    first, second = noisy.render(0.0), noisy.render(1 / 30)
    difference = (first.ir16.astype(float) - second.ir16)[100:] / 100.0
    assert 0.07 < difference.std() / math.sqrt(2) < 0.11  # 70 mK at 300 K is about 86 mK on a road at 283 K
    assert abs(difference.mean()) < 0.01
    assert np.abs(first.vis.astype(float) - second.vis).mean() > 1.0
    assert abs(float(first.vis.mean()) - float(deserted.render(0.0).vis.mean())) < 1.0


def test_columns_differ_by_a_fixed_pattern(noisy: StreetScene, deserted: StreetScene) -> None:
    """The mean over time and rows leaves the same column offsets in different frames."""
    truth = deserted.render(0.0).ir16.astype(float)
    offsets = [
        np.mean([(noisy.render(t).ir16 - truth)[60:].mean(axis=0) for t in times], axis=0)
        for times in ((0.0, 0.1, 0.2, 0.3), (1.0, 1.1, 1.2, 1.3))
    ]
    assert np.corrcoef(*offsets)[0, 1] > 0.9
    assert 2.0 < offsets[0].std() < 9.0  # 50 mK


def test_frames_are_renders_at_a_rate(scene: StreetScene) -> None:
    """Half a second at 4 Hz is two frames, at 0 and 0.25 s."""
    frames = list(scene.frames(4.0, 0.5))
    assert [frame.t_seconds for frame in frames] == [0.0, 0.25]
    assert_same(frames[1], scene.render(0.25))


def test_frames_without_a_duration_do_not_end(scene: StreetScene) -> None:
    """A live source gives frames for as long as they are taken."""
    assert [frame.t_seconds for frame in itertools.islice(scene.frames(10.0), 3)] == [0.0, 0.1, 0.2]


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"height": 31}, "height"),
        ({"width": 5000}, "width"),
        ({"width": 64.0}, "width"),
        ({"seed": -1}, "seed"),
        ({"seed": True}, "seed"),
        ({"pedestrians": 33}, "pedestrians"),
        ({"cars": -1}, "cars"),
        ({"noise": -0.1}, "noise"),
        ({"noise": math.nan}, "noise"),
    ],
)
def test_bad_arguments_are_refused_by_name(arguments: dict[str, Any], name: str) -> None:
    """The message says which argument, and what was given."""
    with pytest.raises(UsageError, match=name) as caught:
        StreetScene(**{"height": 48, "width": 64, **arguments})
    assert repr(arguments[name]) in str(caught.value)


def test_bad_times_and_rates_are_refused(scene: StreetScene) -> None:
    """At the call, not at the first frame."""
    for t_seconds in (-0.1, math.inf, math.nan):
        with pytest.raises(UsageError, match="t_seconds"):
            scene.render(t_seconds)
    with pytest.raises(UsageError, match="rate_hz"):
        scene.frames(0.0)
    with pytest.raises(UsageError, match="duration_seconds"):
        scene.frames(30.0, -1.0)
    with pytest.raises(UsageError, match="distance_metres"):
        scene.homography(0.0)


def test_a_displaced_infrared_camera_leaves_the_visible_picture_alone(scene: StreetScene) -> None:
    """Only the infrared picture and its truth move."""
    mount = InfraredMount(right_metres=0.1, yaw_degrees=1.0)
    pair, registered = StreetScene(150, 200, seed=0, noise=0.0, mount=mount).render(0.0), scene.render(0.0)
    np.testing.assert_array_equal(pair.vis, registered.vis)
    assert np.abs(pair.ir.astype(int) - registered.ir).mean() > 2.0
    assert (pair.people != registered.people).sum() > 100


def test_the_homography_takes_the_infrared_picture_back(scene: StreetScene) -> None:
    """At the distance of the walker on the crossing, nine metres off, the warped mask meets the registered one."""
    mount = InfraredMount(
        right_metres=0.12, up_metres=-0.06, yaw_degrees=-2.0, pitch_degrees=1.0, roll_degrees=2.0, zoom=1.1
    )
    displaced = StreetScene(150, 200, seed=0, noise=0.0, mount=mount)
    wanted = scene.render(1.5).people
    labels, statistics = cv2.connectedComponentsWithStats(wanted.astype(np.uint8))[1:3]
    walker = 1 + int(np.argmax(statistics[1:, cv2.CC_STAT_AREA]))
    size = wanted.shape[1], wanted.shape[0]
    mask = displaced.render(1.5).people.astype(np.float32)

    def overlap(distance_metres: float) -> float:
        back = cv2.warpPerspective(mask, displaced.homography(distance_metres), size) > 0.5
        box = cv2.dilate((labels == walker).astype(np.uint8), np.ones((9, 9), np.uint8)) != 0
        here = labels == walker
        return float((back & here).sum() / ((back & box) | here).sum())

    assert overlap(9.0) > 0.7
    assert overlap(9.0) > overlap(math.inf) + 0.2
    unwarped = (mask > 0.5) & (labels == walker)
    assert unwarped.sum() < 0.5 * (labels == walker).sum()


def test_importing_needs_neither_torch_nor_an_inference_runtime() -> None:
    """The device has numpy and OpenCV."""
    heavy = "{'torch', 'onnx', 'onnxruntime', 'scipy', 'matplotlib'}"
    code = f"import sys, edgefuse.synthetic; sys.exit(', '.join({heavy} & set(sys.modules)) or None)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
