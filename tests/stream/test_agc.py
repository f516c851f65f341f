"""Thermal gain control over time, palettes, temperatures, latency statistics."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgefuse.errors import InputError, UsageError
from edgefuse.images import read_ir, read_vis
from edgefuse.stream.agc import FixedRange, GainRange, ThermalAgc
from edgefuse.stream.histogram import LatencyHistogram
from edgefuse.stream.palettes import PALETTES, box_celsius, colour, overlay
from edgefuse.stream.profiles import PROFILES

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("mode", ["percentile", "clahe"])
@pytest.mark.parametrize("name", ["flirpy_320x240", "dji_20250530121540_0001", "thermimage_seq_00"])
def test_a_still_scene_with_sensor_noise_does_not_flicker(shared: Path, mode: str, name: str) -> None:
    """60 frames of one raw scene with fresh noise: the mean moves by less than 1 % from frame to frame."""
    raw = read_ir(shared / "data" / "raw16" / "test" / "ir" / f"{name}.png").astype(np.float64)[::2, ::2]
    agc = ThermalAgc(mode)  # type: ignore[arg-type]
    noise = RNG.normal(0.0, 4.0, (60, *raw.shape))
    means = [agc(np.rint(np.clip(raw + noise[n], 0, 65535)).astype(np.uint16), n / 30).mean() for n in range(60)]
    assert np.abs(np.diff(means)).max() < 0.01 * np.mean(means)


def test_a_hot_thing_that_enters_changes_the_range_slowly() -> None:
    """Where the stretch of each frame alone would jump."""
    cold = RNG.integers(7000, 7400, (120, 160)).astype(np.uint16)
    hot = cold.copy()
    hot[40:60, 40:60] = 7700
    agc = ThermalAgc()
    for number in range(10):
        before = agc(cold, number / 30)
    first = agc(hot, 10 / 30)
    background = np.ones(cold.shape, bool)
    background[40:60, 40:60] = False
    alone = ThermalAgc()(hot, 0.0)
    jump, jump_alone = (np.abs(unit - before)[background].max() for unit in (first, alone))
    assert jump < 0.1 * jump_alone
    for number in range(11, 200):
        later = agc(hot, number / 30)
    np.testing.assert_allclose(later, alone, atol=0.01)


def test_lost_frames_do_not_change_the_speed_of_the_filter() -> None:
    """It goes by capture times, not by the number of frames."""
    cold, hot = GainRange(7000, 8000), GainRange(7200, 8600)
    ranges = {}
    for rate in (9, 60):
        agc = ThermalAgc()
        agc.update(np.linspace(cold.low, cold.high, 64 * 64).reshape(64, 64).astype(np.uint16), 0.0)
        scene = np.linspace(hot.low, hot.high, 64 * 64).reshape(64, 64).astype(np.uint16)
        for number in range(1, rate + 1):
            ranges[rate] = agc.update(scene, number / rate)
    assert ranges[9].high == pytest.approx(ranges[60].high, rel=1e-3)


def test_another_scene_is_taken_over_at_once() -> None:
    """A switch of the camera's gain stage must not leave a black picture for seconds."""
    agc = ThermalAgc()
    agc(RNG.integers(3000, 3200, (64, 64)).astype(np.uint16), 0.0)
    unit = agc(RNG.integers(20000, 21000, (64, 64)).astype(np.uint16), 0.03)
    assert 0.3 < unit.mean() < 0.7


def test_a_fixed_range_is_in_counts_or_in_degrees_of_a_radiometric_camera() -> None:
    """0 to 100 degrees of TLinear are 27315 to 37315 counts."""
    agc = ThermalAgc("fixed", fixed=FixedRange(0.0, 100.0, "celsius"), profile=PROFILES["tlinear"])
    unit = agc(np.full((8, 8), 27315 + 2500, np.uint16), 0.0)
    np.testing.assert_allclose(unit, 0.25, atol=1e-6)
    kelvin = FixedRange(273.15, 373.15, "kelvin").counts(PROFILES["tlinear"])
    assert (kelvin.low, kelvin.high) == (pytest.approx(27315), pytest.approx(37315))
    with pytest.raises(UsageError, match="counts"):
        ThermalAgc("fixed", fixed=FixedRange(0.0, 100.0, "celsius"), profile=PROFILES["boson"])
    with pytest.raises(UsageError, match="low < high"):
        FixedRange(5.0, 5.0)
    with pytest.raises(UsageError, match="both or neither"):
        ThermalAgc("fixed")


def test_a_finished_picture_passes_unchanged() -> None:
    """The camera's own gain control is not undone."""
    ir = RNG.integers(0, 256, (16, 16)).astype(np.uint8)
    np.testing.assert_allclose(ThermalAgc()(ir, 0.0), ir / 255, atol=1e-7)
    raw = RNG.integers(0, 65536, (16, 16)).astype(np.uint16)
    np.testing.assert_allclose(ThermalAgc("none")(raw, 0.0), raw / 65535, atol=1e-6)


def test_clahe_lifts_local_contrast_without_steps_of_eight_bits() -> None:
    """More than 256 values come out of a 16-bit frame."""
    ramp = (7000 + np.linspace(0, 900, 200 * 300).reshape(200, 300)).astype(np.uint16)
    unit = ThermalAgc("clahe")(ramp, 0.0)
    assert 0.0 <= unit.min() <= unit.max() <= 1.0
    assert len(np.unique(unit)) > 256


def test_palettes_are_colours_of_the_whole_range() -> None:
    """Cold and hot differ in every palette, and black-hot is white-hot reversed."""
    ramp = np.tile(np.linspace(0, 1, 256, dtype=np.float32), (4, 1))
    for palette in PALETTES:
        coloured = colour(ramp, palette)
        assert coloured.shape == (4, 256, 3)
        assert len(np.unique(coloured[0], axis=0)) > 200
    np.testing.assert_array_equal(colour(ramp, "black-hot"), 255 - colour(ramp, "white-hot"))
    with pytest.raises(UsageError, match="white-hot"):
        colour(ramp, "red")  # type: ignore[arg-type]


def test_the_overlay_shows_both_pictures(shared: Path) -> None:
    """Each leaves its trace in it, gray visible pictures too."""
    folder = shared / "data" / "msrs" / "test"
    name = sorted(path.name for path in (folder / "ir").iterdir())[0]
    ir, vis = read_ir(folder / "ir" / name), read_vis(folder / "vis" / name)
    unit = ThermalAgc()(ir, 0.0)
    both = overlay(unit, vis).astype(np.float64)
    assert both.shape == vis.shape
    assert np.corrcoef(both.mean(axis=2).ravel(), vis.mean(axis=2).ravel())[0, 1] > 0.5
    assert overlay(unit, cv2.cvtColor(vis, cv2.COLOR_BGR2GRAY)).shape == vis.shape


@pytest.mark.parametrize("brightness", [0, 128, 255])
def test_the_hottest_stands_out_of_the_overlay(brightness: int) -> None:
    """It is a bright colour over a dark, a gray and a white scene alike; half-transparent white would be gray."""
    unit = np.zeros((20, 20), np.float32)
    unit[5:10, 5:10] = 1.0
    both = overlay(unit, np.full((20, 20, 3), brightness, np.uint8)).astype(int)
    hottest, rest = both[7, 7], both[0, 0]
    assert hottest.max() > 200
    assert hottest.max() - hottest.min() > 120
    assert np.abs(hottest - rest).sum() > 200


def test_a_box_gives_temperatures_of_radiometric_cameras_only() -> None:
    """Lowest, mean and highest, in degrees Celsius."""
    counts = np.full((20, 30), 29315, np.uint16)
    counts[5, 7] = 31315
    assert box_celsius(counts, PROFILES["tlinear"], (7, 5, 1, 1)) == pytest.approx((40.0, 40.0, 40.0))
    assert box_celsius(counts, PROFILES["tlinear"], (7, 5, 2, 1)) == pytest.approx((20.0, 30.0, 40.0))
    with pytest.raises(InputError, match="leaves"):
        box_celsius(counts, PROFILES["tlinear"], (29, 0, 2, 1))
    with pytest.raises(UsageError, match="radiometric"):
        box_celsius(counts, PROFILES["boson"], (0, 0, 1, 1))


@given(st.lists(st.floats(0.001, 1e7), min_size=1, max_size=300), st.sampled_from([50.0, 90.0, 99.0, 100.0]))
def test_percentiles_are_those_of_the_values_within_the_width_of_a_bin(values: list[float], percent: float) -> None:
    """Nearest-rank percentiles, 1.2 % either way."""
    histogram = LatencyHistogram()
    for value in values:
        histogram.add(value)
    exact = float(np.percentile(values, percent, method="inverted_cdf"))
    assert histogram.percentile_ms(percent) == pytest.approx(exact, rel=0.0125)


def test_nothing_counted_has_no_percentile() -> None:
    """Not zero: nothing."""
    assert LatencyHistogram().summary() == {"count": 0, "p50_ms": None, "p90_ms": None, "p99_ms": None, "max_ms": None}
