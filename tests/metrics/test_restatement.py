"""The metrics against slow restatements with scipy on pictures that the golden set does not have: noise, odd sizes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter
from scipy.signal import convolve2d

from edgefuse.metrics import evaluate

Real = NDArray[np.float64]
SIZES = [(41, 53), (64, 64), (97, 45)]


def _images(size: tuple[int, int]) -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(size[0])
    coarse = rng.integers(0, 256, (3, size[0] // 4 + 1, size[1] // 4 + 1)).repeat(4, 1).repeat(4, 2)
    noisy = coarse[:, : size[0], : size[1]] + rng.normal(0, 8, (3, *size))
    images: NDArray[np.uint8] = noisy.clip(0, 255).astype(np.uint8)
    images[:, :12, :12] = 255  # a flat, saturated corner, where variances are rounding errors
    return list(images)


def _gaussian(size: int) -> Real:
    y, x = np.mgrid[-(size // 2) : size // 2 + 1, -(size // 2) : size // 2 + 1]
    window = np.exp(-(x * x + y * y) / (2 * (size / 5) ** 2))
    return np.asarray(window / window.sum())


def _vif(source: Real, fused: Real) -> float:
    kept = information = 0.0
    for scale, size in enumerate((17, 9, 5, 3)):
        window = _gaussian(size)

        def blur(image: Real, window: Real = window) -> Real:
            return np.asarray(convolve2d(image, window, mode="valid"))

        if scale:
            source, fused = blur(source)[::2, ::2], blur(fused)[::2, ::2]
        s1 = np.maximum(blur(source**2) - blur(source) ** 2, 0)
        s2 = np.maximum(blur(fused**2) - blur(fused) ** 2, 0)
        s12 = blur(source * fused) - blur(source) * blur(fused)
        for a, b, c in zip(s1.flat, s2.flat, s12.flat, strict=True):
            g = c / (a + 1e-10)
            v = b - g * c
            if a < 1e-10:
                g, v, a = 0.0, b, 0.0  # noqa: PLW2901 - the clamp of the original
            if b < 1e-10:
                g = v = 0.0
            if g < 0:
                g, v = 0.0, b
            kept += math.log10(1 + g * g * a / (max(v, 1e-10) + 2))
            information += math.log10(1 + a / 2)
    return kept / information


def _qabf(fused: Real, sources: list[Real]) -> float:
    def edges(image: Real) -> tuple[Real, Real]:
        sx = convolve2d(image, [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], mode="same")
        sy = convolve2d(image, [[1, 2, 1], [0, 0, 0], [-1, -2, -1]], mode="same")
        angle = np.array([math.pi / 2 if x == 0 else math.atan(y / x) for x, y in zip(sx.flat, sy.flat, strict=True)])
        return np.hypot(sx, sy).ravel(), angle

    strength_fused, angle_fused = edges(fused)
    above = below = 0.0
    for source in sources:
        for g, a, gf, af in zip(*edges(source), strength_fused, angle_fused, strict=True):
            ratio = gf if math.isclose(g, gf, rel_tol=1e-13) else min(g, gf) / max(g, gf)
            agreement = 1 - abs(a - af) / (math.pi / 2)
            quality = 0.9994 / (1 + math.exp(-15 * (ratio - 0.5))) * 0.9879 / (1 + math.exp(-22 * (agreement - 0.8)))
            above += quality * g
            below += g
    return above / below


def _ssim_uniform(one: Real, two: Real) -> float:
    def box(image: Real) -> Real:
        return np.asarray(uniform_filter(image, 7))

    sample = 49 / 48
    v1, v2 = (sample * (box(image**2) - box(image) ** 2) for image in (one, two))
    v12 = sample * (box(one * two) - box(one) * box(two))
    c1, c2 = 2.55**2, 7.65**2
    value = (2 * box(one) * box(two) + c1) * (2 * v12 + c2) / ((box(one) ** 2 + box(two) ** 2 + c1) * (v1 + v2 + c2))
    return float(value[3:-3, 3:-3].mean())


def _mutual_information(one: NDArray[np.uint8], two: NDArray[np.uint8]) -> float:
    joint, _, _ = np.histogram2d(one.ravel(), two.ravel(), bins=256, range=[[0, 256], [0, 256]])
    p = joint / joint.sum()
    independent = p.sum(1, keepdims=True) * p.sum(0, keepdims=True)
    seen = p > 0
    return float((p[seen] * np.log2(p[seen] / independent[seen])).sum())


@pytest.mark.parametrize("size", SIZES)
def test_metrics_agree_with_their_definitions(size: tuple[int, int]) -> None:
    """Separable filters, integer sums and shared intermediates change nothing beyond rounding."""
    images = _images(size)
    fused, ir, vis = (image.astype(np.float64) for image in images)
    gx, gy = np.gradient(fused, axis=1), np.gradient(fused, axis=0)

    def corr(one: Real, two: Real) -> float:
        return float(np.corrcoef(one.ravel(), two.ravel())[0, 1])

    expected: dict[str, Any] = {
        "SD": fused.std(),
        "SF": math.sqrt((np.diff(fused, axis=0) ** 2).mean() + (np.diff(fused, axis=1) ** 2).mean()),
        "AG": np.sqrt((gx**2 + gy**2) / 2).mean(),
        "MI": _mutual_information(images[0], images[1]) + _mutual_information(images[0], images[2]),
        "CC": (corr(fused, ir) + corr(fused, vis)) / 2,
        "SCD": corr(fused - vis, ir) + corr(fused - ir, vis),
        "VIF": _vif(ir, fused) + _vif(vis, fused),
        "Qabf": _qabf(fused, [ir, vis]),
        "MSE": (((ir - fused) ** 2).mean() + ((vis - fused) ** 2).mean()) / 2,
    }
    scores = evaluate(*images)
    for metric, value in expected.items():
        assert scores[metric] == pytest.approx(value, rel=1e-10), metric
    assert scores["PSNR"] == pytest.approx(10 * math.log10(255**2 / expected["MSE"]), rel=1e-12)
    uniform = evaluate(*images, convention="skimage_mean255")["SSIM"]
    assert uniform == pytest.approx((_ssim_uniform(fused, ir) + _ssim_uniform(fused, vis)) / 2, rel=1e-10)
