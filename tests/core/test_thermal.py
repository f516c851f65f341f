"""From sensor values to the unit range."""

from __future__ import annotations

import numpy as np
import pytest

from edgefuse.errors import InputError
from edgefuse.images import read_ir
from edgefuse.thermal import to_unit

RNG = np.random.default_rng(0)


def test_eight_bit_is_divided_by_255() -> None:
    """What a camera displays is taken as it is."""
    ir = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_allclose(to_unit(ir), ir / 255, atol=1e-7)


def test_a_hot_pixel_does_not_change_the_stretch_of_the_rest() -> None:
    """Percentiles hold where minimum and maximum would follow one bad pixel."""
    raw = RNG.integers(14000, 15000, (100, 100)).astype(np.uint16)
    hot = raw.copy()
    hot[3, 4] = 65535
    mask = hot == raw
    assert np.abs(to_unit(hot) - to_unit(raw))[mask].max() < 0.01


def test_stretch_uses_the_whole_range_and_no_more() -> None:
    """Raw counts of a usual scene span 0 to 1."""
    unit = to_unit(RNG.integers(7000, 9000, (64, 64)).astype(np.uint16))
    assert unit.min() == 0.0
    assert unit.max() == 1.0


def test_a_flat_scene_is_not_stretched_to_noise() -> None:
    """Three counts of noise stay small."""
    unit = to_unit((7000 + RNG.integers(0, 3, (64, 64))).astype(np.uint16))
    assert unit.std() < 0.1
    assert np.all(to_unit(np.full((16, 16), 7000, np.uint16)) == 0.5)


def test_float_in_range_is_kept_and_kelvin_is_stretched() -> None:
    """Values outside [0, 1] are a radiometric image."""
    unit = RNG.random((32, 32))
    np.testing.assert_allclose(to_unit(unit), unit, atol=1e-7)
    kelvin = 280 + 30 * unit
    assert 0.3 < to_unit(kelvin).mean() < 0.7


def test_values_that_are_not_finite_are_refused() -> None:
    """NaN would spread over the picture."""
    with pytest.raises(InputError, match="not finite"):
        to_unit(np.full((16, 16), np.nan))


def test_other_dtypes_and_shapes_are_refused() -> None:
    """The message says what was given."""
    with pytest.raises(InputError, match="int64"):
        to_unit(np.zeros((16, 16), np.int64))
    with pytest.raises(InputError, match=r"\(16, 16, 3\)"):
        to_unit(np.zeros((16, 16, 3), np.uint8))


def test_real_raw_frames_come_out_with_contrast(shared) -> None:
    """Frames of five sensors, of ranges from 116 to 23,000 counts, all fill the unit range."""
    for path in sorted((shared / "data" / "raw16" / "test" / "ir").iterdir()):
        unit = to_unit(read_ir(path))
        assert unit.std() > 0.05, path.name
        assert np.mean(unit == 1.0) < 0.02, path.name
