"""Power spectral density of sources and fused image (RPFNet §4.3.1), with definitions that the paper leaves open.

Every image is scaled to [0, 1], its mean is taken off, and a Hann window is applied on both axes against the cross that
the image borders would draw. The density at a frequency is ``|DFT|^2`` over the sum of the squared window. Rings of
equal width in cycles per pixel, from above 0 to 0.5, give the radial average.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgefuse.errors import InputError
from edgefuse.metrics.gray import Gray
from edgefuse.metrics.scene import Real, UndefinedError

__all__ = ["RINGS", "SpectralScores", "power_spectrum", "radial_average", "spectral_scores"]

RINGS = 64
"""Rings of the radial average; fewer where the image is too small to put a sample in each."""


@dataclass(frozen=True)
class SpectralScores:
    """What the spectra say of one fused image.

    Attributes:
        ir_fidelity: Mean over the rings of ``min(1, sqrt(P_fused / P_ir))``: the share of the infrared amplitude that
            the fused image has at the same frequencies; every frequency band counts the same.
        vis_fidelity: The same against the visible image.
        entropy: Shannon entropy of the two-dimensional density without its mean, over its largest value, in [0, 1].
            White noise has nearly 1; a grating, which the window widens to two spots, about a quarter.
    """

    ir_fidelity: float
    vis_fidelity: float
    entropy: float


def power_spectrum(image: Gray) -> Real:
    """Power spectral density, zero frequency in the middle.

    Args:
        image: ``(H, W)`` uint8.

    Returns:
        Density per frequency sample.  # [H, W]
    """
    if image.ndim != 2 or min(image.shape) < 4:
        raise InputError(f"a spectrum needs a gray image of at least 4 pixels a side, not shape {image.shape}")
    window = np.hanning(image.shape[0])[:, None] * np.hanning(image.shape[1])[None, :]
    values = image / 255.0
    # The mean under the window, so that nothing of it leaks into the first rings.
    values -= float((values * window).sum() / window.sum())
    density = np.abs(np.fft.fft2(values * window)) ** 2 / float((window * window).sum())
    return np.asarray(np.fft.fftshift(density))


def radial_average(density: Real, *, rings: int = RINGS) -> tuple[Real, Real]:
    """Mean of a density over rings of equal frequency.

    Args:
        density: Of :func:`power_spectrum`.  # [H, W]
        rings: Number of rings up to 0.5 cycles per pixel.

    Returns:
        Middle frequency of each ring in cycles per pixel, and the mean density there.  # [R] each
    """
    rings = min(rings, min(density.shape) // 2)
    ring_of = _ring_of(density.shape, rings)
    inside = (ring_of >= 0) & (ring_of < rings)
    total = np.bincount(ring_of[inside], weights=density[inside], minlength=rings)
    count = np.bincount(ring_of[inside], minlength=rings)
    middles = np.linspace(0.25 / rings, 0.5 - 0.25 / rings, rings, dtype=np.float64)
    return middles, total / count


def _ring_of(shape: tuple[int, ...], rings: int) -> NDArray[np.intp]:
    """Index of the ring that a sample lies in; -1 for the mean."""
    fy, fx = (np.fft.fftshift(np.fft.fftfreq(side)) for side in shape)
    radius = np.hypot(fy[:, None], fx[None, :])
    return np.ceil(radius * (2 * rings) - 1e-9).astype(np.intp) - 1


def spectral_scores(fused: Gray, ir: Gray, vis: Gray) -> SpectralScores:
    """Fidelities and entropy of one fused image.

    Args:
        fused: ``(H, W)`` uint8.
        ir: Likewise.
        vis: Likewise.

    Returns:
        The scores.

    Raises:
        UndefinedError: One of the images is constant and has no spectrum.
    """
    density = {}
    for name, image in (("fused", fused), ("ir", ir), ("vis", vis)):
        if int(image.min()) == int(image.max()):
            raise UndefinedError(f"{name} is constant and has no spectrum")
        density[name] = power_spectrum(image)
    radial = {name: radial_average(values)[1] for name, values in density.items()}
    return SpectralScores(
        ir_fidelity=_fidelity(radial["fused"], radial["ir"]),
        vis_fidelity=_fidelity(radial["fused"], radial["vis"]),
        entropy=_entropy(density["fused"]),
    )


def _fidelity(fused: Real, source: Real) -> float:
    held = source > 0
    return float(np.minimum(1.0, np.sqrt(fused[held] / source[held])).mean())


def _entropy(density: Real) -> float:
    p = density.copy()
    p[p.shape[0] // 2, p.shape[1] // 2] = 0.0
    samples = p.size - 1
    p = p[p > 0] / p.sum()
    return float(-(p * np.log2(p)).sum()) / math.log2(samples)
