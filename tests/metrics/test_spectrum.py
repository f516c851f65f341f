"""Power spectral density and what is read from it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edgefuse.errors import InputError
from edgefuse.metrics.scene import UndefinedError
from edgefuse.metrics.spectrum import power_spectrum, radial_average, spectral_scores


def _grating(frequency: float, *, amplitude: float = 100.0, size: tuple[int, int] = (128, 160)) -> NDArray[np.uint8]:
    """Vertical bars of ``frequency`` cycles per pixel."""
    wave = 128 + amplitude * np.sin(2 * np.pi * frequency * np.arange(size[1]))
    return np.tile(np.rint(wave), (size[0], 1)).astype(np.uint8)


def _noise(seed: int, size: tuple[int, int] = (128, 160), *, sigma: float = 40.0) -> NDArray[np.uint8]:
    return np.clip(np.random.default_rng(seed).normal(128, sigma, size), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("frequency", [0.05, 0.2, 0.4])
def test_a_grating_peaks_in_the_ring_of_its_frequency(frequency: float) -> None:
    """Frequencies are in cycles per pixel, the same for both axes of an oblong image."""
    image = _grating(frequency)
    for picture in (image, np.ascontiguousarray(image.T)):
        middles, density = radial_average(power_spectrum(picture))
        assert abs(middles[int(density.argmax())] - frequency) <= 0.5 / middles.size


def test_the_density_of_white_noise_is_flat_and_its_variance() -> None:
    """Every ring has the variance of the pixels, whatever the window; only the first loses some with the mean."""
    image = _noise(1, (256, 384))
    _, density = radial_average(power_spectrum(image), rings=16)
    assert density[1:] == pytest.approx(np.full(15, (image / 255).var()), rel=0.1)


def test_brightness_leaves_no_trace() -> None:
    """An offset adds nothing: the mean is taken off under the window."""
    image = _noise(2, sigma=10)
    np.testing.assert_allclose(power_spectrum(image), power_spectrum(image + np.uint8(60)), atol=1e-12)


def test_fidelity_is_one_for_a_source_and_half_for_half_of_its_amplitude() -> None:
    """The share is one of amplitudes, not of powers."""
    source = _noise(3)
    half = np.rint(128 + (source.astype(float) - 128) / 2).astype(np.uint8)
    same = spectral_scores(source, source, half)
    assert same.ir_fidelity == pytest.approx(1.0)
    assert same.vis_fidelity == pytest.approx(1.0)  # more than the source has counts as all of it
    assert spectral_scores(half, source, half).ir_fidelity == pytest.approx(0.5, abs=0.01)


def test_entropy_is_near_one_for_noise_and_low_for_a_grating() -> None:
    """The more evenly the power lies over the frequencies, the higher."""
    noise, bars = _noise(4), _grating(0.125)
    assert spectral_scores(noise, noise, noise).entropy > 0.95
    assert spectral_scores(bars, noise, noise).entropy < 0.3


def test_small_images_have_fewer_rings_and_none_is_empty() -> None:
    """A ring without a sample would be 0/0."""
    for size in ((8, 200), (9, 11), (63, 64)):
        middles, density = radial_average(power_spectrum(_noise(5, size)))
        assert middles.size == min(*size, 128) // 2
        assert np.isfinite(density).all()


def test_images_without_a_spectrum_are_refused() -> None:
    """A constant image and a sliver have their reason."""
    noise = _noise(6)
    with pytest.raises(UndefinedError, match="vis is constant"):
        spectral_scores(noise, noise, np.full_like(noise, 9))
    with pytest.raises(InputError, match="at least 4 pixels"):
        power_spectrum(np.zeros((3, 50), np.uint8))
