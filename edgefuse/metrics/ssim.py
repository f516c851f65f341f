"""Structural similarity of the fused image with its sources (Wang et al. 2004; multi-scale: Wang et al. 2003)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from edgefuse.metrics.scene import SOURCES, Real, Scene, UndefinedError

__all__ = ["Combine", "SsimWindow", "multi_scale_ssim", "ssim", "ssim_cddfuse"]

Combine = Literal["mean", "sum"]
"""How the values of the two sources become one."""

SsimWindow = Literal["gaussian_valid", "gaussian_replicate", "uniform_valid"]
"""Gaussian of 11 samples and sigma 1.5 with population variances, either without borders or with replicated ones; or
uniform 7×7 with sample variances and without borders, as scikit-image has it."""

_MULTI_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


@dataclass(frozen=True)
class _Window:
    taps: Real
    border: int | None  # None: no borders
    variance_factor: float = 1.0

    def blur(self, image: Real) -> Real:
        """Filter with the window.  # [H, W] -> [H, W], or 2 radii less"""
        if self.border is not None:
            return np.asarray(cv2.sepFilter2D(image, cv2.CV_64F, self.taps, self.taps, borderType=self.border))
        radius = self.taps.size // 2
        return np.asarray(cv2.sepFilter2D(image, cv2.CV_64F, self.taps, self.taps)[radius:-radius, radius:-radius])


_GAUSSIAN = np.exp(-0.5 * ((np.arange(11) - 5) / 1.5) ** 2)
_GAUSSIAN /= _GAUSSIAN.sum()
_WINDOWS: dict[SsimWindow, _Window] = {
    "gaussian_valid": _Window(_GAUSSIAN, None),
    "gaussian_replicate": _Window(_GAUSSIAN, cv2.BORDER_REPLICATE),
    "uniform_valid": _Window(np.full(7, 1 / 7), None, 49 / 48),
}


def ssim(
    scene: Scene, *, window: SsimWindow = "gaussian_valid", level: float = 255.0, combine: Combine = "mean"
) -> float:
    """SSIM: mean structural similarity of the fused image with each source, on levels of 0..255 in float64.

    Args:
        scene: The images.
        window: What the local statistics are taken over.
        level: L in ``C1 = (0.01 L)^2`` and ``C2 = (0.03 L)^2``. Only 255 fits the images; the MATLAB built-in with
            double images has 1 (``linfeng2023``), scikit-image before 0.20 with float images has 2 (``cddfuse``).
        combine: Mean or sum over the two sources.

    Returns:
        At most 1 for the mean and 2 for the sum.

    Raises:
        UndefinedError: The image is smaller than the window.
    """
    used = _WINDOWS[window]
    _require(scene, used.taps.size, "SSIM")
    fused = scene.real("fused")
    mean_fused, square_fused = used.blur(fused), used.blur(fused * fused)
    total = 0.0
    for source in SOURCES:
        image = scene.real(source)
        squares = used.blur(image * image)
        squares += square_fused
        means = used.blur(image), mean_fused
        luminance, contrast = _similarity_maps(
            means, squares, used.blur(image * fused), level=level, variance_factor=used.variance_factor
        )
        total += float((luminance * contrast).mean())
    return total / 2 if combine == "mean" else total


def _similarity_maps(
    means: tuple[Real, Real], squares: Real, product: Real, *, level: float, variance_factor: float = 1.0
) -> tuple[Real, Real]:
    """Luminance part and contrast-structure part of the similarity at each pixel.

    Args:
        means: Local means of source and fused.
        squares: Local mean of the sum of both squares.
        product: Local mean of the product.
        level: L in the constants.
        variance_factor: What variances and covariance are multiplied by.
    """
    c1, c2 = (0.01 * level) ** 2, (0.03 * level) ** 2
    of_means = means[0] * means[1]
    of_squares = means[0] * means[0] + means[1] * means[1]
    luminance = (2.0 * of_means + c1) / (of_squares + c1)
    covariance, variances = product - of_means, squares - of_squares
    contrast = (2.0 * variance_factor * covariance + c2) / (variance_factor * variances + c2)
    return luminance, contrast


def ssim_cddfuse(scene: Scene) -> float:
    """SSIM of ``cddfuse``, sum over sources, in float32 with uniform 7×7 windows.

    Its bug: scikit-image 0.19 takes the range of a float image for 2, which is applied to levels of 0..255. With
    constants that small the rounding of float32 shows in flat areas (2e-4 relative), so it is reproduced here.

    Args:
        scene: The images.

    Returns:
        Up to 2.

    Raises:
        UndefinedError: A side under 7 pixels.
    """
    _require(scene, 7, "SSIM")
    fused = scene.plane("fused").astype(np.float32)
    return sum(_uniform_float32(fused, scene.plane(source).astype(np.float32), level=2.0) for source in SOURCES)


def _uniform_float32(fused: NDArray[np.float32], source: NDArray[np.float32], *, level: float) -> float:
    c1, c2 = np.float32((0.01 * level) ** 2), np.float32((0.03 * level) ** 2)
    two, sample = np.float32(2), np.float32(49 / 48)
    mean_fused, mean_source = _box_float32(fused), _box_float32(source)
    variance_fused = sample * (_box_float32(fused * fused) - mean_fused * mean_fused)
    variance_source = sample * (_box_float32(source * source) - mean_source * mean_source)
    covariance = sample * (_box_float32(fused * source) - mean_fused * mean_source)
    above = (two * mean_fused * mean_source + c1) * (two * covariance + c2)
    below = (mean_fused**2 + mean_source**2 + c1) * (variance_fused + variance_source + c2)
    return float((above / below)[3:-3, 3:-3].mean(dtype=np.float64))


def _box_float32(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean over 7×7 as scipy's uniform filter rounds it: sums in double, float32 after each axis."""
    ones, one = np.ones(7), np.ones(1)
    down = (cv2.sepFilter2D(image.astype(np.float64), cv2.CV_64F, one, ones) / 7).astype(np.float32)
    return (cv2.sepFilter2D(down.astype(np.float64), cv2.CV_64F, ones, one) / 7).astype(np.float32)


def multi_scale_ssim(scene: Scene) -> float:
    """MS-SSIM: five scales of SSIM on levels of 0..255 in float64, mean over the sources.

    Between scales 2×2 pixels are averaged; an odd last row or column is dropped. A negative contrast part counts 0.

    Args:
        scene: The images.

    Returns:
        At most 1.

    Raises:
        UndefinedError: A side under 176 pixels: the fifth scale would not hold one window.
    """
    _require(scene, 176, "MS-SSIM")
    total = 0.0
    for source in SOURCES:
        pair, value = [scene.real(source), scene.real("fused")], 1.0
        for scale, weight in enumerate(_MULTI_SCALE_WEIGHTS):
            if scale > 0:
                pair = [_halve(image) for image in pair]
            luminance, contrast = _maps_of_pair(*pair)
            part = contrast if scale < len(_MULTI_SCALE_WEIGHTS) - 1 else luminance * contrast
            value *= max(float(part.mean()), 0.0) ** weight
        total += value
    return total / 2


def _maps_of_pair(source: Real, fused: Real) -> tuple[Real, Real]:
    blur = _WINDOWS["gaussian_valid"].blur
    squares = blur(source * source + fused * fused)
    return _similarity_maps((blur(source), blur(fused)), squares, blur(source * fused), level=255.0)


def _halve(image: Real) -> Real:
    even = image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2]
    return (even[::2, ::2] + even[::2, 1::2] + even[1::2, ::2] + even[1::2, 1::2]) / 4.0


def _require(scene: Scene, side: int, metric: str) -> None:
    if min(scene.height, scene.width) < side:
        raise UndefinedError(f"{metric} needs {side} pixels a side, not {scene.width}x{scene.height}")
