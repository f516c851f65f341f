"""The native colour kernels against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgefuse.kernels import luminance_bgr, replace_luminance_bgr

WEIGHTS = np.array([0.114, 0.587, 0.299])


@given(height=st.integers(0, 20), width=st.integers(0, 20), seed=st.integers(0, 99))
def test_luminance_is_the_weighted_sum(height: int, width: int, seed: int) -> None:
    """Equal to float64 within float32 rounding, empty images included."""
    bgr = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    luminance = luminance_bgr(bgr)
    assert luminance.dtype == np.float32
    assert luminance.shape == (height, width)
    np.testing.assert_allclose(luminance, bgr @ WEIGHTS / 255, atol=2e-7)


@given(height=st.integers(1, 20), width=st.integers(1, 20), seed=st.integers(0, 99))
def test_replacing_adds_the_same_to_every_channel(height: int, width: int, seed: int) -> None:
    """Equal to the restatement in float64 up to the rounding of a tie; fused values outside [0, 1] are clipped."""
    rng = np.random.default_rng(seed)
    bgr = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
    fused = rng.uniform(-0.2, 1.2, (height, width)).astype(np.float32)
    delta = np.clip(fused.astype(float), 0, 1) * 255 - bgr @ WEIGHTS
    exact = np.clip(bgr + delta[..., None], 0, 255)
    assert np.abs(replace_luminance_bgr(bgr, fused) - exact).max() <= 0.5 + 1e-4


def test_unchanged_luminance_keeps_every_byte() -> None:
    """Replacing the luminance by itself is the identity."""
    bgr = np.random.default_rng(1).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    np.testing.assert_array_equal(replace_luminance_bgr(bgr, luminance_bgr(bgr)), bgr)


def test_fused_rows_may_lie_apart() -> None:
    """A cut-out of a padded plane is read where it lies; columns that are no neighbours are refused."""
    bgr = np.random.default_rng(2).integers(0, 256, (9, 13, 3)).astype(np.uint8)
    padded = np.random.default_rng(3).random((16, 16), np.float32)
    cut_out = padded[:9, :13]
    np.testing.assert_array_equal(replace_luminance_bgr(bgr, cut_out), replace_luminance_bgr(bgr, cut_out.copy()))
    with pytest.raises(ValueError, match="neighbours in memory"):
        replace_luminance_bgr(bgr, np.zeros((9, 26), np.float32)[:, ::2])


def test_wrong_arrays_are_refused() -> None:
    """Shape, dtype and layout are checked before any memory is read."""
    bgr = np.zeros((4, 6, 3), np.uint8)
    with pytest.raises(ValueError, match="differ in height or width"):
        replace_luminance_bgr(bgr, np.zeros((4, 5), np.float32))
    for wrong in (bgr.astype(np.float32), bgr[:, ::2], bgr[..., :2], bgr[..., 0]):
        with pytest.raises(TypeError):
            luminance_bgr(wrong)
