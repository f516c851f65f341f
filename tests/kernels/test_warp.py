"""The registration of a pair in one pass, against NumPy in float64 and against OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgefuse.errors import InputError, UsageError
from edgefuse.kernels import _native, luminance_bgr
from edgefuse.kernels.warp import PairWarp
from edgefuse.kernels.warp.reference import reference_pair

TURN = np.array([[1.05, 0.03, -4.0], [-0.02, 0.97, 2.5], [2e-4, -1e-4, 1.0]])
"""Leaves part of a picture outside on every side."""

IR_TYPES = [np.uint8, np.uint16, np.float32]


def _pair(ir_size, vis_size, dtype=np.uint16, *, gray=False, seed=0):
    random = np.random.default_rng(seed)
    high = 1.0 if dtype == np.float32 else np.iinfo(dtype).max
    ir = (random.random(ir_size) * high).astype(dtype)
    vis = random.integers(0, 256, vis_size if gray else (*vis_size, 3)).astype(np.uint8)
    return ir, vis, 0.2 * high, 0.9 * high


@pytest.mark.parametrize("dtype", IR_TYPES)
@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize(
    "sizes", [((40, 50), (37, 53), (48, 56)), ((2, 2), (5, 7), (5, 7)), ((31, 64), (64, 31), (64, 96))]
)
def test_inputs_agree_with_the_reference(dtype, gray, sizes) -> None:
    """Both inputs equal NumPy's in float64 within float32 rounding: inside, outside and in the mirrored margin."""
    ir_size, vis_size, size = sizes
    ir, vis, low, high = _pair(ir_size, vis_size, dtype, gray=gray)
    warp = PairWarp(TURN, ir_size=ir_size, vis_size=vis_size)
    actual = warp(ir, vis, low=low, high=high, size=size)
    expected = reference_pair(ir, vis, np.linalg.inv(TURN), stretch=False, low=low, high=high, size=size)
    for one, other in zip(actual, expected, strict=True):
        assert one.shape == (1, 1, *size)
        assert one.dtype == np.float32
        np.testing.assert_allclose(one[0, 0], other, atol=1e-6)


@settings(max_examples=30)
@given(height=st.integers(2, 30), width=st.integers(2, 30), down=st.integers(0, 70), right=st.integers(0, 70))
def test_margins_are_mirrored_as_padding_does_it(height, width, down, right) -> None:
    """A margin of any width is that of ``numpy.pad``, also where it is wider than the picture."""
    ir, vis, low, high = _pair((height, width), (height, width), gray=True, seed=height)
    warp = PairWarp.stretching(ir_size=(height, width), vis_size=(height, width))
    bare = warp(ir, vis, low=low, high=high)
    padded = warp(ir, vis, low=low, high=high, size=(height + down, width + right))
    for one, other in zip(padded, bare, strict=True):
        np.testing.assert_array_equal(one[0, 0], np.pad(other[0, 0], ((0, down), (0, right)), mode="reflect"))


def test_frames_of_one_size_stay_as_they_are() -> None:
    """Without a warp the infrared input is the frame, its gain applied, and the visible one its luminance."""
    ir, vis, low, high = _pair((20, 30), (20, 30))
    actual = PairWarp.stretching(ir_size=(20, 30), vis_size=(20, 30))(ir, vis, low=low, high=high)
    np.testing.assert_allclose(actual[0][0, 0], np.clip((ir - low) / (high - low), 0, 1), atol=1e-6)
    np.testing.assert_array_equal(actual[1][0, 0], luminance_bgr(vis))


@pytest.mark.parametrize("vis_size", [(64, 80), (48, 100), (16, 20)])
def test_stretching_is_opencvs_resize(vis_size) -> None:
    """Stretching over another size places pixels as OpenCV's bilinear resize does, within a 64th of a pixel."""
    ir = cv2.GaussianBlur(np.random.default_rng(1).random((32, 40), np.float32), (0, 0), 2)
    vis = np.zeros(vis_size, np.uint8)
    actual = PairWarp.stretching(ir_size=ir.shape, vis_size=vis_size)(ir, vis, low=0.0, high=1.0)[0][0, 0]
    steepest = max(float(np.abs(np.diff(ir, axis=axis)).max()) for axis in (0, 1))
    assert np.abs(actual - cv2.resize(ir, vis_size[::-1])).max() < 2 * steepest / 64 + 1e-6


def test_warp_is_opencvs() -> None:
    """Where the infrared camera looks, a picture is warped as OpenCV warps it, to less than a step of 8 bits."""
    ir = cv2.GaussianBlur(np.random.default_rng(2).random((120, 160), np.float32), (0, 0), 3)
    ir = (ir - ir.min()) / np.ptp(ir)
    vis = np.zeros((110, 150), np.uint8)
    actual = PairWarp(TURN, ir_size=(120, 160), vis_size=(110, 150))(ir, vis, low=0.0, high=1.0)[0][0, 0]
    expected, inside = (cv2.warpPerspective(image, TURN, (150, 110)) for image in (ir, np.ones_like(ir)))
    assert 0.5 < (inside > 0.999).mean() < 1
    assert np.abs(actual - expected)[inside > 0.999].max() < 1 / 255


def test_outside_the_infrared_picture_is_the_visible_luminance() -> None:
    """A pixel that the infrared camera does not see is that of the visible camera, to the bit."""
    ir, vis, low, high = _pair((40, 50), (40, 50))
    ir_input, vis_input = PairWarp(TURN, ir_size=(40, 50), vis_size=(40, 50))(ir, vis, low=low, high=high)
    away = PairWarp(np.array([[1, 0, 1000.0], [0, 1, 0], [0, 0, 1]]), ir_size=(40, 50), vis_size=(40, 50))
    assert (ir_input == vis_input).any()
    assert not (ir_input == vis_input).all()
    np.testing.assert_array_equal(*away(ir, vis, low=low, high=high))


@pytest.mark.parametrize("threads", [2, 7])
def test_result_does_not_depend_on_the_number_of_threads(threads) -> None:
    """One thread and several give the same bits, and so does the way back to colour."""
    size = (700, 1200)
    ir, vis, low, high = _pair((512, 640), size)
    warp = PairWarp(np.diag([1.9, 1.4, 1.0]), ir_size=(512, 640), vis_size=size)
    alone, together = (warp(ir, vis, low=low, high=high, threads=count) for count in (1, threads))
    np.testing.assert_array_equal(alone, together)
    coloured = [_native.replace_luminance_bgr(vis, alone[0][0, 0], threads=count) for count in (1, threads)]
    np.testing.assert_array_equal(*coloured)


def test_what_does_not_fit_is_named() -> None:
    """Frames of another size or type, a smaller input, an empty range and a flat homography are refused."""
    ir, vis, low, high = _pair((20, 30), (24, 32))
    warp = PairWarp(TURN, ir_size=(20, 30), vis_size=(24, 32))
    assert (warp.ir_size, warp.vis_size) == ((20, 30), (24, 32))
    with pytest.raises(InputError, match=r"uint16 or float32 of 30x20, not uint16 of shape \(19, 30\)"):
        warp(ir[1:], vis, low=low, high=high)
    with pytest.raises(InputError, match="not float64"):
        warp(ir.astype(np.float64), vis, low=low, high=high)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"BGR uint8 of 32x24, not uint8 of shape \(24, 32, 4\)"):
        warp(ir, np.zeros((24, 32, 4), np.uint8), low=low, high=high)
    with pytest.raises(InputError, match="inputs of 31x24 are smaller than the frames, 32x24"):
        warp(ir, vis, low=low, high=high, size=(24, 31))
    with pytest.raises(UsageError, match="low < high"):
        warp(ir, vis, low=1.0, high=1.0)
    with pytest.raises(InputError, match="an inverse"):
        PairWarp(np.ones((3, 3)), ir_size=(20, 30), vis_size=(24, 32))
    with pytest.raises(InputError, match="at least 2x2"):
        PairWarp(TURN, ir_size=(1, 30), vis_size=(24, 32))


def test_the_extension_checks_what_it_is_given() -> None:
    """Arrays that do not fit never reach the loops, whoever calls."""
    ir, vis, *_ = _pair((20, 30), (20, 30))
    table = _native.WarpMap(np.eye(3), source=(20, 30), target=(20, 30), stretch=False)
    inputs = np.empty((2, 20, 30), np.float32)
    for wrong in (
        (ir[:, :-1].copy(), vis, *inputs),
        (ir, vis[1:].copy(), *inputs),
        (ir, vis, inputs[0, 1:], inputs[1, 1:]),
    ):
        with pytest.raises(ValueError, match=r"differs in size|no smaller than vis"):
            _native.warp_pair(table, *wrong, low=0.0, high=1.0)
    for wrong in (
        (ir.astype(np.int16), vis, *inputs),
        (ir, vis.astype(np.float32), *inputs),
        (ir[:, ::-1], vis, *inputs),
    ):
        with pytest.raises(TypeError):
            _native.warp_pair(table, *wrong, low=0.0, high=1.0)
    with pytest.raises(ValueError, match="at least 2x2"):
        _native.WarpMap(np.eye(3), source=(1, 30), target=(20, 30), stretch=True)
