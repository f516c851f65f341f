"""The temporal filter: what stands still, what moves, and that nothing trails."""

from __future__ import annotations

import numpy as np
import pytest

from edgefuse.errors import InputError
from edgefuse.temporal import TemporalFilter, luminance_cells


def _noise(random: np.random.Generator, levels: int) -> np.ndarray:
    return random.integers(-levels, levels + 1, (96, 128))


def _play(scene: list[tuple[np.ndarray, np.ndarray]]) -> list[np.ndarray]:
    """Filter the brighter source of each pair."""
    temporal = TemporalFilter()
    return [temporal(luminance_cells(ir), luminance_cells(vis), np.maximum(ir, vis)) for ir, vis in scene]


def test_noise_of_a_still_scene_is_a_fifth() -> None:
    """A recursive filter with a share of 0.25 leaves 0.25 / sqrt(1.75) of the change of white noise, and no bias."""
    random = np.random.default_rng(0)
    scene = [((100 + _noise(random, 3)).astype(np.uint8), np.full((96, 128), 40, np.uint8)) for _ in range(60)]
    shown = np.stack(_play(scene)).astype(float)[10:]
    raw = np.stack([ir for ir, _ in scene]).astype(float)[10:]
    ratio = np.abs(np.diff(shown, axis=0)).mean() / np.abs(np.diff(raw, axis=0)).mean()
    assert 0.15 < ratio < 0.25
    assert abs(shown.mean() - raw.mean()) < 0.1


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
    temporal, cells = TemporalFilter(), np.full((16, 16), 0.5, np.float32)
    for _ in range(4):
        fused = random.integers(90, 110, (64, 64, 3)).astype(np.uint8)
        shown = temporal(cells, cells, fused.copy())
        np.testing.assert_array_equal(np.diff(shown.astype(int), axis=2), np.diff(fused.astype(int), axis=2))
    assert shown.std() < fused.std()


def test_a_picture_of_another_size_begins_anew() -> None:
    """So does one after a reset; sources of another size are refused, and nothing is lost by it."""
    temporal, cells = TemporalFilter(), np.zeros((16, 16), np.float32)
    bright, dark = np.full((64, 64), 90, np.uint8), np.full((64, 64), 80, np.uint8)
    temporal(cells, cells, bright)
    assert temporal(cells, cells, dark.copy()).max() > 80
    with pytest.raises(InputError, match=r"a picture of 60x64 has 15x16 cells; the sources have shapes \(16, 16\)"):
        temporal(cells, cells, dark[:, :60])
    assert temporal(cells[:, :15], cells[:, :15], dark[:, :60]).max() == 80
    temporal.reset()
    assert temporal(cells, cells, dark).max() == 80
