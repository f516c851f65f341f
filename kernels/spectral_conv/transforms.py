"""The two Fourier transforms of a spectral convolution: by FFT, or by matrix products, which tensor cores compute.

What lies between the transforms acts on each frequency alone, so the rows of a spectrum may stand in any order as long
as both transforms agree on it. The matrix products use this: a column of H = H1 × H2 values is transformed in two steps
with a twiddle factor between them, and left in the order in which the second step ends.
"""

from __future__ import annotations

import functools
import math
from typing import Literal

import torch
from torch import Tensor

from edgefuse.kernels.autotune import Tuner

__all__ = ["Transform", "choose_transform", "from_spectrum", "to_spectrum"]

Transform = Literal["fft", "matmul"]

_TWO_STEPS_FROM = 256  # rows; below it one product over all of them costs less than a second pass over memory

_tuner: Tuner[Transform] = Tuner(("fft", "matmul"))


def choose_transform(x: Tensor) -> Transform:
    """Return the transform that is faster for images of this size on this device, timed once where it is a GPU.

    Products run in the precision that PyTorch's settings allow (``torch.backends.cuda.matmul.fp32_precision``, however
    it was set), which is therefore part of what is timed.

    Args:
        x: Real images.  # [B, C, H, W]

    Returns:
        ``"fft"`` on the CPU and wherever nothing can be timed.
    """
    key = (tuple(x.shape[1:]), x.shape[0].bit_length(), torch.backends.cuda.matmul.fp32_precision)
    size = (x.shape[2], x.shape[3])
    return _tuner.pick(key, x.device, lambda by: from_spectrum(to_spectrum(x.float(), by=by), size=size, by=by))


def to_spectrum(x: Tensor, *, by: Transform) -> Tensor:
    """Return the orthonormal half spectrum of real images.

    Args:
        x: Real float32 images.  # [B, C, H, W]
        by: ``"fft"`` or ``"matmul"``.

    Returns:
        Contiguous spectrum; by ``"matmul"`` its rows are in another order.  # [B, C, H, W//2+1] complex
    """
    if by == "fft":
        spectrum: Tensor = torch.fft.rfft2(x, norm="ortho").contiguous()
        return spectrum
    rows = (x @ _row_matrix(x.shape[3], x.device)).view(*x.shape[:3], -1, 2)
    return _columns(torch.view_as_complex(rows), inverse=False)


def from_spectrum(spectrum: Tensor, *, size: tuple[int, int], by: Transform) -> Tensor:
    """Return the real images of a half spectrum that ``to_spectrum`` made, or one in its order.

    Args:
        spectrum: Half spectrum.  # [B, C, H, W//2+1] complex
        size: H and W.
        by: What made the spectrum.

    Returns:
        Real images.  # [B, C, H, W]
    """
    if by == "fft":
        images: Tensor = torch.fft.irfft2(spectrum, s=size, norm="ortho")
        return images
    rows = torch.view_as_real(_columns(spectrum, inverse=True)).flatten(-2)
    return rows @ _inverse_row_matrix(size[1], spectrum.device)


def _columns(spectrum: Tensor, *, inverse: bool) -> Tensor:
    """Transform along H, in one product or in two; in two steps the inverse takes the order that the other leaves."""
    height, half = spectrum.shape[2:]
    planes = spectrum.reshape(-1, height, half)
    first = _largest_factor(height) if height >= _TWO_STEPS_FROM else 1
    if first == 1:
        return (_column_matrix(height, spectrum.device, inverse) @ planes).view(spectrum.shape)
    second = height // first
    over_first = _column_matrix(first, spectrum.device, inverse)  # n1 to k1, or back
    over_second = _column_matrix(second, spectrum.device, inverse)  # n2 to k2, or back
    twiddle = _twiddle(first, second, spectrum.device, inverse)  # [H1, H2, 1]
    planes = planes.reshape(-1, first, second * half)
    if not inverse:
        planes = (over_first @ planes).view(-1, first, second, half) * twiddle
        return (over_second @ planes).view(spectrum.shape)
    planes = (over_second @ planes.view(-1, first, second, half)) * twiddle
    return (over_first @ planes.view(-1, first, second * half)).view(spectrum.shape)


def _largest_factor(number: int) -> int:
    """The largest factor that is no larger than the root: 1 for a prime."""
    return next(factor for factor in range(math.isqrt(number), 0, -1) if number % factor == 0)


def _angles(rows: int, columns: int, period: int) -> Tensor:
    """2π jk / period in float64, reduced as integers first.  # [rows, columns]"""
    product = torch.arange(rows)[:, None] * torch.arange(columns)[None, :]
    return (product % period).double() * (2 * math.pi / period)


@functools.lru_cache(maxsize=32)
def _row_matrix(width: int, device: torch.device) -> Tensor:
    """Takes a real row to the interleaved real and imaginary parts of its half spectrum.  # [W, 2 (W//2+1)]"""
    angles = _angles(width, width // 2 + 1, width)
    return (torch.stack((angles.cos(), -angles.sin()), dim=-1).flatten(1) / math.sqrt(width)).float().to(device)


@functools.lru_cache(maxsize=32)
def _inverse_row_matrix(width: int, device: torch.device) -> Tensor:
    """Takes the interleaved half spectrum of a row back; columns with a mirror image count twice.  # [2 (W//2+1), W]"""
    angles = _angles(width // 2 + 1, width, width)
    frequency = torch.arange(width // 2 + 1)
    times = torch.where((frequency == 0) | (2 * frequency == width), 1.0, 2.0).double()[:, None]
    parts = torch.stack((times * angles.cos(), -times * angles.sin()), dim=1).flatten(0, 1)
    return (parts / math.sqrt(width)).float().to(device)


@functools.lru_cache(maxsize=32)
def _column_matrix(height: int, device: torch.device, inverse: bool) -> Tensor:
    """Orthonormal DFT matrix.  # [H, H] complex"""
    angles = _angles(height, height, height)
    matrix = torch.polar(torch.full_like(angles, 1 / math.sqrt(height)), angles if inverse else -angles)
    return matrix.to(torch.complex64).to(device)


@functools.lru_cache(maxsize=32)
def _twiddle(first: int, second: int, device: torch.device, inverse: bool) -> Tensor:
    """Factors between the two steps.  # [H1, H2, 1] complex"""
    angles = _angles(first, second, first * second)
    factors = torch.polar(torch.ones_like(angles), angles if inverse else -angles)
    return factors.to(torch.complex64)[..., None].to(device)
