"""Metrics of how the fused image agrees with its sources, pixel by pixel: CC, SCD, MSE, RMSE, PSNR.

All are computed from integer sums, which are exact; no cancellation happens before the last division.
"""

from __future__ import annotations

import math
from typing import Literal

from edgefuse.metrics.scene import SOURCES, Scene, SourceName, UndefinedError

__all__ = [
    "correlation",
    "mean_squared_error",
    "psnr",
    "psnr_of_root_sums",
    "root_sum_error",
    "sum_of_correlations_of_differences",
]


def correlation(scene: Scene) -> float:
    """CC: Pearson correlation of the fused image with each source, mean of the two.

    Args:
        scene: The images.

    Returns:
        -1 to 1.

    Raises:
        UndefinedError: One of the three images is constant.
    """
    for name in (*SOURCES, "fused"):
        if scene.is_constant(name):
            raise UndefinedError(f"{name} is constant")
    variance_fused = scene.covariance("fused", "fused")
    values = (
        scene.covariance(source, "fused") / math.sqrt(scene.covariance(source, source) * variance_fused)
        for source in SOURCES
    )
    return sum(values) / 2


def sum_of_correlations_of_differences(scene: Scene) -> float:
    """SCD: ``corr(F - vis, ir) + corr(F - ir, vis)`` (Aslantas, Bendes 2015).

    Args:
        scene: The images.

    Returns:
        -2 to 2.

    Raises:
        UndefinedError: A source is constant, or the fused image differs from a source by a constant (0/0).
    """
    return _difference_correlation(scene, "vis", "ir") + _difference_correlation(scene, "ir", "vis")


def _difference_correlation(scene: Scene, taken_off: SourceName, kept: SourceName) -> float:
    variance_kept = scene.covariance(kept, kept)
    if variance_kept == 0:
        raise UndefinedError(f"{kept} is constant")
    variance_difference = (
        scene.covariance("fused", "fused")
        - 2 * scene.covariance("fused", taken_off)
        + scene.covariance(taken_off, taken_off)
    )
    if variance_difference == 0:
        raise UndefinedError(f"fused minus {taken_off} is constant")
    covariance = scene.covariance("fused", kept) - scene.covariance(taken_off, kept)
    return covariance / math.sqrt(variance_kept * variance_difference)


def mean_squared_error(scene: Scene, *, scale: Literal[1, 255] = 255) -> float:
    """MSE: mean squared difference to each source, mean of the two.

    Args:
        scene: The images.
        scale: Value of white: 255, or 1 as ``linfeng2022``, ``linfeng2023`` and ``ivifzoo`` have it.

    Returns:
        Squared levels; lower is better.
    """
    return sum(_squared_difference(scene, source) for source in SOURCES) / (2 * scene.pixels) / (255 // scale) ** 2


def psnr(scene: Scene, *, variant: Literal["peak_255", "own_peak", "unit_error"] = "peak_255") -> float:
    """PSNR in dB from the MSE that both sources share.

    Args:
        scene: The images.
        variant: ``"peak_255"``: ``10 log10(255^2 / MSE)``; ``"own_peak"``: the fused image's own maximum in place of
            255, a bug of ``cddfuse``; ``"unit_error"``: a peak of 255 against an error on [0, 1], a bug of
            ``linfeng2022``, ``linfeng2023`` and ``ivifzoo`` that adds 48.13 dB.

    Returns:
        Decibels.

    Raises:
        UndefinedError: The fused image equals both sources, or is black where its own maximum is the peak.
    """
    error = mean_squared_error(scene)
    if error == 0:
        raise UndefinedError("fused equals both sources: the error is 0")
    peak = int(scene.plane("fused").max()) if variant == "own_peak" else 255
    if peak == 0:
        raise UndefinedError("fused is black, and this convention takes its maximum as the peak")
    bonus = 20.0 * math.log10(255.0) if variant == "unit_error" else 0.0
    return 10.0 * math.log10(peak**2 / error) + bonus


def root_sum_error(scene: Scene) -> float:
    """RMSE as VIFB defines it: ``sqrt(sum (X - F)^2) / (H W)``, mean of the two sources; not a root mean square.

    Args:
        scene: The images.

    Returns:
        Levels; lower is better. Shrinks with the size of the image.
    """
    return sum(math.sqrt(_squared_difference(scene, source)) for source in SOURCES) / (2 * scene.pixels)


def psnr_of_root_sums(scene: Scene) -> float:
    """PSNR as VIFB defines it: ``20 log10(255 / sqrt(RMSE))`` of its own RMSE.

    Args:
        scene: The images.

    Returns:
        Decibels; grows with the size of the image.

    Raises:
        UndefinedError: The fused image equals both sources.
    """
    error = root_sum_error(scene)
    if error == 0:
        raise UndefinedError("fused equals both sources: the error is 0")
    return 20.0 * math.log10(255.0 / math.sqrt(error))


def _squared_difference(scene: Scene, source: SourceName) -> int:
    return scene.inner(source, source) - 2 * scene.inner(source, "fused") + scene.inner("fused", "fused")
