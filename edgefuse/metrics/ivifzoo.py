"""The metrics that IVIF_ZOO computes in float32, where rounding is part of the value.

Its images are 8-bit levels, its local variances are differences of sums up to 4e9, and in flat areas what is left is
the rounding of those sums. To reproduce its values to 1e-5 the sums are formed here as PyTorch's convolutions form them
on a CPU: tap by tap in row-major order into a float32.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgefuse.metrics.scene import SOURCES, ImageName, Scene, UndefinedError
from edgefuse.metrics.vif import require_variation

__all__ = ["multi_scale_ssim_ivifzoo", "ssim_ivifzoo", "vif_ivifzoo"]

Single = NDArray[np.float32]
_MULTI_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_EPSILON = np.float32(1e-10)


def _correlate(image: Single, window: Single, *, margin: int = 0) -> Single:
    """Cross-correlation with a margin of zeros.  # [H, W] and [h, w] -> [H - h + 1, W - w + 1] of the enlarged image"""
    # PyTorch's rule for its two CPU convolutions: oneDNN fuses multiplication and addition, the native one does not.
    is_fused = min(window.shape) > 3 or image.size > 20480
    exact = np.pad(image, margin).astype(np.float64)
    height, width = (side - size + 1 for side, size in zip(exact.shape, window.shape, strict=True))
    total = np.zeros((height, width), np.float32)
    term = np.empty((height, width))
    for (row, column), weight in np.ndenumerate(window):
        # A product of two float32 is exact in float64, so that the sum below rounds once, as a fused one does.
        np.multiply(exact[row : row + height, column : column + width], float(weight), out=term)
        if is_fused:
            np.add(term, total, out=term)
            total[...] = term
        else:
            total += term.astype(np.float32)
    return total


def vif_ivifzoo(scene: Scene) -> float:
    """VIF of ``ivifzoo``, sum over sources: several percent, up to tens of percent, from every other code.

    Its bugs: zero padding in place of valid filtering; a window sampled at ``linspace(-N // 2, N // 2, N)``, whose
    floor division puts it off centre; float32.

    Args:
        scene: The images.

    Returns:
        0 to about 2.

    Raises:
        UndefinedError: A source is constant.
    """
    require_variation(scene)
    images: dict[ImageName, Single] = {name: scene.plane(name).astype(np.float32) for name in (*SOURCES, "fused")}
    kept, information = dict.fromkeys(SOURCES, 0.0), dict.fromkeys(SOURCES, 0.0)
    for scale, size in enumerate((17, 9, 5, 3)):
        window = _off_centre_window(size)
        if scale > 0:
            images = {name: _padded(image, window)[::2, ::2] for name, image in images.items()}
        mean = {name: _padded(image, window) for name, image in images.items()}
        fused = np.maximum(_padded(images["fused"] ** 2, window) - mean["fused"] ** 2, 0)
        for source in SOURCES:
            variance = np.maximum(_padded(images[source] ** 2, window) - mean[source] ** 2, 0)
            covariance = _padded(images[source] * images["fused"], window) - mean[source] * mean["fused"]
            kept[source] += _kept(variance, fused, covariance)
            information[source] += _log_sum(_without_dust(variance) / np.float32(2))
    return sum(kept[source] / information[source] for source in SOURCES)


def _off_centre_window(size: int) -> Single:
    at = np.linspace(-size // 2, size // 2, size, dtype=np.float32)
    sigma = np.float32(2 * (size / 5) ** 2)
    return _normalised(-(at[:, None] ** 2 + at[None, :] ** 2) / sigma)


def _normalised(exponent: Single) -> Single:
    """Exponential over its sum, bit for bit: a sum one unit in the last place off shifts every variance of a flat area.

    The sum is PyTorch's: eight lanes in four accumulators, folded onto the sum of what is left over.
    """
    window = np.exp(exponent.astype(np.float64)).astype(np.float32)
    values = window.reshape(-1)
    rows = values[: values.size // 8 * 8].reshape(-1, 8)
    lanes = np.zeros((4, 8), np.float32)
    for index, row in enumerate(rows):
        lanes[index % 4 if index < len(rows) // 4 * 4 else 0] += row
    total = np.float32(0)
    for value in (*values[rows.size :], *(lanes[0] + lanes[1] + lanes[2] + lanes[3])):
        total += value
    return window / total


def _padded(image: Single, window: Single) -> Single:
    return _correlate(image, window, margin=window.shape[0] // 2)


def _kept(variance: Single, fused: Single, covariance: Single) -> float:
    """Sum of the information that the fused image keeps, with the clamps of VIF in their order."""
    gain: Single = covariance / (variance + _EPSILON)
    residual: Single = fused - gain * covariance
    flat = variance < _EPSILON
    gain[flat], residual[flat] = 0, fused[flat]
    still = fused < _EPSILON
    gain[still] = residual[still] = 0
    opposed = gain < 0
    residual[opposed], gain[opposed] = fused[opposed], 0
    noise: Single = np.maximum(residual, _EPSILON) + np.float32(2)
    kept: Single = gain * gain * _without_dust(variance) / noise
    return _log_sum(kept)


def _without_dust(variance: Single) -> Single:
    """Variances, with those below 1e-10 as 0."""
    return variance * (variance >= _EPSILON)


def _log_sum(values: Single) -> float:
    return float(np.log10(1 + values).sum(dtype=np.float64))


def ssim_ivifzoo(scene: Scene) -> float:
    """SSIM of ``ivifzoo``, sum over sources, in float32.

    Its bug: levels of 0..255 are multiplied by 255 once more and held against a range of 255, which is L = 1.

    Args:
        scene: The images.

    Returns:
        Up to 2.

    Raises:
        UndefinedError: A side under 11 pixels.
    """
    _require(scene, 11, "SSIM")
    fused = _overscaled(scene, "fused")
    return sum(_similarity(_overscaled(scene, source), fused)[0] for source in SOURCES)


def multi_scale_ssim_ivifzoo(scene: Scene) -> float:
    """MS-SSIM of ``ivifzoo``, sum over sources, in float32, with the range bug of :func:`ssim_ivifzoo`.

    Odd sides are padded with zeros on both ends before they are halved, which darkens the borders.

    Args:
        scene: The images.

    Returns:
        Up to 2.

    Raises:
        UndefinedError: A side of 160 pixels or less.
    """
    _require(scene, 161, "MS-SSIM")
    total = 0.0
    for source in SOURCES:
        pair = [_overscaled(scene, source), _overscaled(scene, "fused")]
        value = 1.0
        for scale, weight in enumerate(_MULTI_SCALE_WEIGHTS):
            if scale > 0:
                pair = [_halve(image) for image in pair]
            similarity, contrast = _similarity(*pair)
            value *= max(contrast if scale < 4 else similarity, 0.0) ** weight
        total += value
    return total


def _overscaled(scene: Scene, name: ImageName) -> Single:
    return scene.plane(name).astype(np.float32) * np.float32(255)


def _similarity(source: Single, fused: Single) -> tuple[float, float]:
    """Mean of the similarity map and of its contrast-structure part."""
    c1, c2 = np.float32((0.01 * 255) ** 2), np.float32((0.03 * 255) ** 2)
    two = np.float32(2)
    mean_source, mean_fused = _gaussian(source), _gaussian(fused)
    square_source, square_fused, product = mean_source**2, mean_fused**2, mean_source * mean_fused
    variance_source = _gaussian(source * source) - square_source
    variance_fused = _gaussian(fused * fused) - square_fused
    covariance = _gaussian(source * fused) - product
    contrast = (two * covariance + c2) / (variance_source + variance_fused + c2)
    similarity = (two * product + c1) / (square_source + square_fused + c1) * contrast
    return float(similarity.mean(dtype=np.float64)), float(contrast.mean(dtype=np.float64))


def _gaussian(image: Single) -> Single:
    at = np.arange(11, dtype=np.float32) - 5
    window = _normalised(-(at**2) / np.float32(2 * 1.5**2))
    return _correlate(_correlate(image, window[:, None]), window[None, :])


def _halve(image: Single) -> Single:
    rows, columns = (side % 2 for side in image.shape)
    padded = np.pad(image, ((rows, rows), (columns, columns)))
    padded = padded[: padded.shape[0] // 2 * 2, : padded.shape[1] // 2 * 2]
    total = padded[::2, ::2] + padded[::2, 1::2] + padded[1::2, ::2] + padded[1::2, 1::2]
    return total / np.float32(4)


def _require(scene: Scene, side: int, metric: str) -> None:
    if min(scene.height, scene.width) < side:
        raise UndefinedError(f"{metric} needs {side} pixels a side, not {scene.width}x{scene.height}")
