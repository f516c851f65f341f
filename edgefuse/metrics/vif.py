"""Visual information fidelity: VIF in the pixel domain (Sheikh, Bovik 2006) and VIFF for fusion (Han et al. 2013)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from edgefuse.metrics.scene import SOURCES, ImageName, Real, Scene, SourceName, UndefinedError

__all__ = ["vif", "viff"]

_WINDOW_SIZES = (17, 9, 5, 3)
_SMALLEST_SIDE = 41  # the fourth scale needs 3 samples, which is 41 pixels through three filters and halvings
_EPSILON = 1e-10
_VIF_NOISE = 2.0
_VIFF_NOISE = 0.005 * 255.0**2
_VIFF_WEIGHTS = (1.0 / 2.15, 0.0, 0.15 / 2.15, 1.0 / 2.15)
_VIFF_CONSTANT = 1e-7
_Images = dict[ImageName, Real]


@dataclass(frozen=True)
class _Statistics:
    """Local model ``fused = gain * source + residual`` at one scale, with the variances of source and residual."""

    variance: Real
    gain: Real
    residual: Real


def vif(scene: Scene, *, saturate_products: bool = False) -> float:
    """VIF: pixel-domain VIF of the fused image with each source as reference, summed over the two sources.

    Four scales with Gaussian windows of 17, 9, 5 and 3 samples (sigma a fifth of that), noise variance 2,
    ``sum log(1 + g^2 s / (v + 2)) / sum log(1 + s / 2)`` over all scales and pixels.

    Args:
        scene: The images.
        saturate_products: Products of the first scale saturate at 255 before they are filtered, a bug of
            ``linfeng2022``, which calls the code with uint8 images.

    Returns:
        0 to about 2.

    Raises:
        UndefinedError: A source is constant (the CDDFuse code returns 1 for it there), or the images are too small.
    """
    require_variation(scene)
    total = 0.0
    for source in SOURCES:
        kept = information = 0.0
        for scale in _scales(scene, saturate_products):
            at = scale[source]
            kept += _log_sum(at.gain * at.gain * at.variance / (at.residual + _VIF_NOISE))
            information += _log_sum(at.variance / _VIF_NOISE)
        total += kept / information
    return total


def require_variation(scene: Scene) -> None:
    """Refuse a constant source, of which no information can be kept."""
    for source in SOURCES:
        if scene.is_constant(source):
            raise UndefinedError(f"{source} is constant and holds no information")


def _log_sum(values: Real) -> float:
    """Sum of ``log(1 + x)``; overwrites its argument. Every use divides two of them, so the base is free."""
    values += 1.0
    return float(np.log(values, out=values).sum())


def viff(scene: Scene) -> float:
    """VIFF: at each pixel the source with the smaller gain gives the information; weighted mean over the scales.

    The statistics are those of VIF with noise variance 325.125. Infrared is the first source, and where the gains are
    equal the visible one is taken: the measure is not symmetric, with a relative effect of up to 1e-2. The weights of
    the scales are 1, 0, 0.15 and 1 over 2.15.

    Args:
        scene: The images.

    Returns:
        From 0; over 1 where the contrast is enhanced.

    Raises:
        UndefinedError: Both sources are constant, or the images are too small.
    """
    if all(scene.is_constant(source) for source in SOURCES):
        raise UndefinedError("both sources are constant and hold no information")
    total = 0.0
    for weight, scale in zip(_VIFF_WEIGHTS, _scales(scene, False), strict=True):
        if weight == 0.0:
            continue
        ir, vis = scale["ir"], scale["vis"]
        from_ir = ir.gain < vis.gain
        gain, variance, residual = (
            np.where(from_ir, getattr(ir, part), getattr(vis, part)) for part in ("gain", "variance", "residual")
        )
        kept = np.log10(1.0 + gain * gain * variance / (residual + _VIFF_NOISE))
        information = np.log10(1.0 + variance / _VIFF_NOISE)
        total += weight * float((kept + _VIFF_CONSTANT).sum() / (information + _VIFF_CONSTANT).sum())
    return total


def _scales(scene: Scene, saturate_products: bool) -> list[dict[SourceName, _Statistics]]:
    return scene.keep(("vif", saturate_products), lambda: _all_scales(scene, saturate_products))


def _all_scales(scene: Scene, saturate_products: bool) -> list[dict[SourceName, _Statistics]]:
    if min(scene.height, scene.width) < _SMALLEST_SIDE:
        raise UndefinedError(f"VIF needs {_SMALLEST_SIDE} pixels a side, not {scene.width}x{scene.height}")

    def first_product(one: ImageName, two: ImageName) -> Real:
        product = scene.real(one) * scene.real(two)
        return np.minimum(product, 255.0, out=product) if saturate_products else product

    images: _Images = {name: scene.real(name) for name in ("ir", "vis", "fused")}
    scales = [_one_scale(images, _WINDOW_SIZES[0], first_product)]
    for size in _WINDOW_SIZES[1:]:
        images = {name: np.ascontiguousarray(_blur(image, size)[::2, ::2]) for name, image in images.items()}
        scales.append(_one_scale(images, size, _product_of(images)))
    return scales


def _product_of(images: _Images) -> Callable[[ImageName, ImageName], Real]:
    return lambda one, two: images[one] * images[two]


def _one_scale(
    images: _Images, size: int, product: Callable[[ImageName, ImageName], Real]
) -> dict[SourceName, _Statistics]:
    mean = {name: _blur(image, size) for name, image in images.items()}

    def covariance(one: ImageName, two: ImageName) -> Real:
        return _blur(product(one, two), size) - mean[one] * mean[two]

    fused = np.maximum(covariance("fused", "fused"), 0.0)
    return {
        source: _model(np.maximum(covariance(source, source), 0.0), fused, covariance(source, "fused"))
        for source in SOURCES
    }


def _model(variance: Real, fused: Real, covariance: Real) -> _Statistics:
    """Fit the local model, with the clamps of ``vifp_mscale.m`` in its order; ``variance`` is overwritten."""
    gain = covariance / (variance + _EPSILON)
    residual = fused - gain * covariance
    flat = variance < _EPSILON
    gain[flat] = 0.0
    np.copyto(residual, fused, where=flat)
    variance[flat] = 0.0
    flat = fused < _EPSILON
    gain[flat] = 0.0
    residual[flat] = 0.0
    opposed = gain < 0
    np.copyto(residual, fused, where=opposed)
    gain[opposed] = 0.0
    np.maximum(residual, _EPSILON, out=residual)
    return _Statistics(variance, gain, residual)


def _blur(image: Real, size: int) -> Real:
    """Valid Gaussian filter.  # [H, W] -> [H - size + 1, W - size + 1]"""
    window = np.exp(-0.5 * ((np.arange(size) - size // 2) / (size / 5)) ** 2)
    window /= window.sum()
    radius = size // 2
    return np.asarray(cv2.sepFilter2D(image, cv2.CV_64F, window, window)[radius:-radius, radius:-radius])
