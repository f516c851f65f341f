"""The transforms of the spectral convolution by matrix products."""

from __future__ import annotations

import pytest
import torch

from edgefuse.errors import UsageError
from edgefuse.kernels.spectral_conv import spectral_conv
from edgefuse.kernels.spectral_conv.transforms import choose_transform, from_spectrum, to_spectrum

# Two steps down the columns are taken from 256 rows on; 257 is a prime, 384 is 16 × 24.
SIZES = [(1, 1), (1, 2), (2, 1), (7, 9), (16, 16), (128, 6), (256, 5), (257, 3), (384, 4)]


def _images(height, width):
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(height))


@pytest.mark.parametrize("size", SIZES)
def test_products_give_the_spectrum_up_to_the_order_of_rows(size) -> None:
    """Each column of the half spectrum holds the values of the FFT, in another order where there are two steps."""
    x = _images(*size)
    expected, actual = to_spectrum(x, by="fft"), to_spectrum(x, by="matmul")
    assert actual.is_contiguous()
    if size[0] < 256 or size[0] == 257:
        torch.testing.assert_close(actual, expected, atol=2e-5, rtol=0)
    distance = (actual[:, :, :, None] - expected[:, :, None]).abs()  # every row of one to every row of the other
    assert distance.amax(-1).amin(3).max() < 2e-5
    assert distance.amax(-1).amin(2).max() < 2e-5


@pytest.mark.parametrize("size", SIZES)
def test_inverse_takes_the_order_of_its_forward_transform(size) -> None:
    """There and back is the identity, and so is filtering each frequency by a function of its value."""
    x = _images(*size)
    torch.testing.assert_close(from_spectrum(to_spectrum(x, by="matmul"), size=size, by="matmul"), x, atol=2e-5, rtol=0)
    results = []
    for by in ("fft", "matmul"):
        spectrum = to_spectrum(x, by=by)
        filtered = torch.complex(spectrum.real.relu(), spectrum.imag.relu())
        results.append(from_spectrum(filtered, size=size, by=by))
    torch.testing.assert_close(*results, atol=3e-5, rtol=0)


def test_the_cpu_takes_the_fft() -> None:
    """Where nothing is timed, the choice is the FFT."""
    assert choose_transform(_images(8, 8)) == "fft"


def test_unknown_transform_is_named() -> None:
    """A transform that does not exist is refused with those that do."""
    arguments = (torch.zeros(1, 1, 4, 4), torch.zeros(2, 2), torch.ones(2), torch.zeros(2))
    with pytest.raises(UsageError, match="'auto', 'fft', 'matmul', got 'dct'"):
        spectral_conv(*arguments, transform="dct")
