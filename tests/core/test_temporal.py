"""The temporal filter: what stands still, what moves, and that nothing trails."""

from __future__ import annotations

import numpy as np
import pytest

from edgefuse.errors import InputError
from edgefuse.temporal import FrameChange, TemporalFilter


def _noise(random: np.random.Generator, levels: int) -> np.ndarray:
    return random.integers(-levels, levels + 1, (96, 128))


def _play(scene: list[tuple[np.ndarray, np.ndarray]]) -> list[np.ndarray]:
    """Filter the brighter source of each pair."""
    temporal, ir_change, vis_change = TemporalFilter(), FrameChange(), FrameChange()
    return [temporal(np.maximum(ir_change(ir), vis_change(vis)), np.maximum(ir, vis)) for ir, vis in scene]


def test_noise_of_a_still_scene_is_a_seventh() -> None:
    """A recursive filter with a share of 0.2 leaves 0.2 / sqrt(1.8) of the change of white noise, and no bias."""
    random = np.random.default_rng(0)
    scene = [((100 + _noise(random, 1)).astype(np.uint8), np.full((96, 128), 40, np.uint8)) for _ in range(60)]
    shown = np.stack(_play(scene)).astype(float)[10:]
    raw = np.stack([ir for ir, _ in scene]).astype(float)[10:]
    assert np.abs(np.diff(shown, axis=0)).mean() < 0.3 * np.abs(np.diff(raw, axis=0)).mean()
    assert abs(shown.mean() - raw.mean()) < 0.1


def test_change_is_the_mean_over_the_pixels_of_a_cell() -> None:
    """Of the luminance, in [0, 1]; texture that moves within a cell counts in full, and the first frame is all new."""
    change, random = FrameChange(), np.random.default_rng(5)
    frames = random.integers(0, 256, (3, 20, 32, 3)).astype(np.uint8)
    assert (change(frames[0]) == 1).all()
    planes = frames @ np.array([0.114, 0.587, 0.299]) / 255
    for before, now, frame in zip(planes, planes[1:], frames[1:], strict=False):
        expected = np.abs(now - before).reshape(5, 4, 8, 4).mean(axis=(1, 3))
        np.testing.assert_allclose(change(frame), expected, atol=1e-6)
    assert (change(frames[0, :, :30]) == 1).all()
    stripes = np.tile(np.array([[100, 110]], np.uint8), (20, 16))
    gray = FrameChange()
    gray(stripes)
    np.testing.assert_allclose(gray(stripes[:, ::-1].copy()), 10 / 255, atol=1e-6)


@pytest.mark.parametrize("moving", ["ir", "vis"])
@pytest.mark.parametrize("contrast", [12, 150])
def test_what_moves_leaves_no_trail(moving: str, contrast: int) -> None:
    """A target that crosses the picture in either source is where it is, and nowhere else, within 4 levels."""
    random = np.random.default_rng(1)
    scene, targets = [], []
    for frame in range(30):
        sources = {name: 60 + _noise(random, 1) for name in ("ir", "vis")}
        box = slice(40, 60), slice(3 * frame, 3 * frame + 16)
        sources[moving][box] += contrast
        targets.append(np.maximum(*sources.values()))
        scene.append((sources["ir"].astype(np.uint8), sources["vis"].astype(np.uint8)))
    for shown, target in list(zip(_play(scene), targets, strict=True))[5:]:
        assert np.abs(shown.astype(int) - target).max() <= 4
        assert np.abs(shown.astype(int) - target).mean() < 1


def test_a_cut_is_shown_at_once() -> None:
    """Another scene owes nothing to the one before."""
    scene = [(np.full((64, 64), level, np.uint8),) * 2 for level in (50, 50, 50, 120, 120)]
    assert [int(picture.max()) for picture in _play(scene)] == [50, 50, 50, 120, 120]


def test_colour_is_that_of_the_new_picture() -> None:
    """The luminance lags, chroma does not: differences between channels are those of the picture given."""
    random = np.random.default_rng(2)
    temporal, still = TemporalFilter(), np.zeros((16, 16), np.float32)
    for _ in range(4):
        fused = random.integers(90, 110, (64, 64, 3)).astype(np.uint8)
        shown = temporal(still, fused.copy())
        np.testing.assert_array_equal(np.diff(shown.astype(int), axis=2), np.diff(fused.astype(int), axis=2))
    assert shown.std() < fused.std()


def test_a_picture_of_another_size_begins_anew() -> None:
    """So does one after a reset; a change of another size is refused, and nothing is lost by it."""
    temporal, still = TemporalFilter(), np.zeros((16, 16), np.float32)
    bright, dark = np.full((64, 64), 90, np.uint8), np.full((64, 64), 80, np.uint8)
    temporal(still, bright)
    assert temporal(still, dark.copy()).max() > 80
    with pytest.raises(InputError, match=r"a picture of 60x64 has 15x16 cells, the change has shape \(16, 16\)"):
        temporal(still, dark[:, :60])
    assert temporal(still[:, :15], dark[:, :60]).max() == 80
    temporal.reset()
    assert temporal(still, dark).max() == 80
