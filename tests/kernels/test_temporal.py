"""The native passes of the temporal filter against NumPy and OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgefuse.kernels import cell_change, luminance_bgr, temporal_step

SIDES = st.integers(1, 23)
CHANNELS = st.sampled_from([1, 3])


def _luminance(frame: np.ndarray) -> np.ndarray:
    return luminance_bgr(frame) if frame.shape[2] == 3 else frame[..., 0] / np.float32(255)


@given(height=SIDES, width=SIDES, channels=CHANNELS, seed=st.integers(0, 99))
def test_change_is_averaged_over_cells(height: int, width: int, channels: int, seed: int) -> None:
    """The last cells have what is left, at any size; the state becomes the frame's luminance."""
    random = np.random.default_rng(seed)
    frame = random.integers(0, 256, (height, width, channels)).astype(np.uint8)
    state = random.random((height, width), np.float32)
    difference = np.abs(_luminance(frame) - state)
    expected = [[difference[y : y + 4, x : x + 4].mean() for x in range(0, width, 4)] for y in range(0, height, 4)]
    np.testing.assert_allclose(cell_change(frame, state), expected, atol=1e-6)
    np.testing.assert_allclose(state, _luminance(frame), atol=1e-6)


@given(height=SIDES, width=SIDES, channels=CHANNELS, seed=st.integers(0, 99))
def test_a_step_goes_the_share_of_the_way(height: int, width: int, channels: int, seed: int) -> None:
    """Shares are enlarged bilinearly; all channels move by the same, rounded once, as far as they can."""
    random = np.random.default_rng(seed)
    frame = random.integers(0, 256, (height, width, channels)).astype(np.uint8)
    before = random.random((height, width), np.float32)
    share = random.random((-(-height // 4), -(-width // 4)), np.float32)
    state, shown = before.copy(), frame.copy()
    temporal_step(shown, state, share)
    whole = cv2.resize(share, (4 * share.shape[1], 4 * share.shape[0]), interpolation=cv2.INTER_LINEAR)
    luminance = _luminance(frame)
    np.testing.assert_allclose(state, before + whole[:height, :width] * (luminance - before), atol=1e-5)
    exact = frame + ((state.astype(float) - luminance) * 255)[..., None]
    assert np.abs(shown - np.clip(exact, 0, 255)).max() <= 0.5 + 1e-3
    inside = ((shown > 0) & (shown < 255)).all(axis=2)
    moved = (shown.astype(int) - frame)[inside]
    assert (moved == moved[:, :1]).all()


def test_a_share_of_one_is_the_new_picture_and_of_none_the_old_luminance() -> None:
    """To the bit, with any number of threads."""
    random = np.random.default_rng(3)
    frame = random.integers(0, 256, (600, 1001, 3)).astype(np.uint8)
    cells = (150, 251)
    state = random.random((600, 1001), np.float32)
    kept = state.copy()
    temporal_step(frame.copy(), state, np.zeros(cells, np.float32))
    np.testing.assert_array_equal(state, kept)
    shown = frame.copy()
    temporal_step(shown, state, np.ones(cells, np.float32))
    np.testing.assert_array_equal(shown, frame)
    np.testing.assert_allclose(state, luminance_bgr(frame), atol=1e-6)
    share = random.random(cells, np.float32)
    states, pictures = [kept.copy() for _ in range(2)], [frame.copy() for _ in range(2)]
    for picture, one, threads in zip(pictures, states, (1, 2), strict=True):
        temporal_step(picture, one, share, threads=threads)
    np.testing.assert_array_equal(*pictures)
    np.testing.assert_array_equal(*states)
    np.testing.assert_array_equal(*(cell_change(frame, kept.copy(), threads=threads) for threads in (1, 2)))


def test_wrong_arrays_are_refused() -> None:
    """Shape, dtype and layout are checked before any memory is read."""
    frame, state, share = np.zeros((8, 12, 3), np.uint8), np.zeros((8, 12), np.float32), np.zeros((2, 3), np.float32)
    for shapes in ((frame, state[:4], share), (frame, state, share[:1]), (frame[..., :2].copy(), state, share)):
        with pytest.raises(ValueError, match=r"differ in height|each cell|1 or 3 channels"):
            temporal_step(*(np.ascontiguousarray(array) for array in shapes))
    for wrong in (frame[:, ::2], frame.astype(np.float32), frame[..., 0]):
        with pytest.raises(TypeError):
            cell_change(wrong, state)
    with pytest.raises(ValueError, match="differ in height"):
        cell_change(frame, state[:4])
    with pytest.raises(TypeError):
        temporal_step(frame, state.astype(np.float64), share)
