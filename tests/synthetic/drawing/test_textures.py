"""Noise, hashes, lettering and looking pictures up."""

from __future__ import annotations

import numpy as np
import pytest

from edgefuse.synthetic.drawing import fractal, hashed, lettering, noise_tile, sample_grid, sample_image, smoothstep


@pytest.mark.parametrize("slope", [0.0, 0.5, 1.5])
def test_noise_is_normalised_and_shared(slope: float) -> None:
    """Mean 0, deviation 1, the same read-only array each time."""
    tile = noise_tile(1, slope=slope)
    assert abs(float(tile.mean())) < 1e-4
    assert float(tile.std()) == pytest.approx(1.0, abs=1e-3)
    assert noise_tile(1, slope=slope) is tile
    assert not tile.flags.writeable


def test_steeper_noise_is_smoother() -> None:
    """Neighbours of a steep spectrum are alike, those of white noise are not."""
    smooth, white = (noise_tile(0, slope=slope) for slope in (1.5, 0.0))
    assert np.abs(np.diff(smooth, axis=1)).mean() < 0.3
    assert np.abs(np.diff(white, axis=1)).mean() > 1.0


def test_fractal_noise_is_continuous_across_the_tile_and_for_large_seeds() -> None:
    """Steps of a hundredth of a texel change little anywhere."""
    x = np.linspace(-60.0, 60.0, 60001).astype(np.float32)
    values = fractal(987654, x, np.zeros_like(x), slope=1.2, texels_per_metre=10.0)
    assert np.abs(np.diff(values)).max() < 0.05
    assert values.std() > 0.2


def test_hashes_are_repeatable_uniform_and_defined_for_negative_numbers() -> None:
    """Each pair has its own number, and the numbers fill [0, 1)."""
    a, b = np.meshgrid(np.arange(-60, 60), np.arange(-60, 60))
    first, second = hashed(a.ravel(), b.ravel(), seed=5), hashed(a.ravel(), b.ravel(), seed=5)
    np.testing.assert_array_equal(first, second)
    counts = np.histogram(first, bins=10, range=(0.0, 1.0))[0]
    assert counts.min() > 0.85 * first.size / 10
    assert abs(np.corrcoef(first, hashed(a.ravel(), b.ravel(), seed=6))[0, 1]) < 0.05


@pytest.mark.parametrize("vertical", [False, True])
def test_lettering_fills_its_panel_inside_the_margin(vertical: bool) -> None:
    """Ink covers a readable part of the panel and none of its edge."""
    panel = lettering("HOTEL", height=200, aspect=0.25 if vertical else 4.0, vertical=vertical)
    assert panel.shape == (200, 50 if vertical else 800)
    assert 0.1 < panel.mean() < 0.6
    assert panel.max() == 1.0
    assert max(panel[0].max(), panel[-1].max(), panel[:, 0].max(), panel[:, -1].max()) == 0.0


def test_words_differ() -> None:
    """Another word is another picture."""
    one, other = (lettering(word, height=100, aspect=3.0) for word in ("SLOW", "TAXI"))
    assert np.abs(one - other).mean() > 0.1


def test_pictures_are_looked_up_at_pixel_centres() -> None:
    """Also for more places than one row of the map holds, and none at all."""
    image = np.random.default_rng(0).random((40, 50, 3)).astype(np.float32)
    rows, columns = (part.ravel() for part in np.indices((40, 50)))
    u, v = ((columns + 0.5) / 50).astype(np.float32), ((rows + 0.5) / 40).astype(np.float32)
    np.testing.assert_allclose(sample_image(image, u, v), image.reshape(-1, 3), atol=1e-5)
    assert sample_image(image, u[:0], v[:0]).shape == (0, 3)


def test_grids_are_interpolated_between_their_nodes() -> None:
    """Half way between two nodes lies their mean."""
    grid = np.arange(12, dtype=np.float32).reshape(3, 4, 1)
    np.testing.assert_allclose(sample_grid(grid, np.array([0.5, 2.0]), np.array([0.0, 1.5]))[:, 0], [0.5, 8.0])


def test_smoothstep_rises_or_falls() -> None:
    """0 to 1 between the edges, or the other way round."""
    x = np.array([-1.0, 0.0, 0.5, 1.0, 2.0], np.float32)
    np.testing.assert_allclose(smoothstep(0.0, 1.0, x), [0, 0, 0.5, 1, 1])
    np.testing.assert_allclose(smoothstep(1.0, 0.0, x), [1, 1, 0.5, 0, 0])
