"""The SSIM loss against the index written out window by window."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from edgefuse.errors import UsageError
from edgefuse.losses import SSIMLoss, ssim


def slow_ssim(first: np.ndarray, second: np.ndarray) -> float:
    """Mean SSIM of two (H, W) planes: 11×11 Gaussian windows of sigma 1.5, zeros outside (Wang et al. 2004)."""
    window = np.array([[math.exp(-(dy * dy + dx * dx) / (2 * 1.5**2)) for dx in range(-5, 6)] for dy in range(-5, 6)])
    window /= window.sum()
    padded_1, padded_2 = np.pad(first, 5), np.pad(second, 5)
    values = []
    for row in range(first.shape[0]):
        for column in range(first.shape[1]):
            x = padded_1[row : row + 11, column : column + 11]
            y = padded_2[row : row + 11, column : column + 11]
            mean_x, mean_y = (window * x).sum(), (window * y).sum()
            variance_x, variance_y = (window * (x - mean_x) ** 2).sum(), (window * (y - mean_y) ** 2).sum()
            covariance = (window * (x - mean_x) * (y - mean_y)).sum()
            values.append(
                (2 * mean_x * mean_y + 1e-4)
                * (2 * covariance + 9e-4)
                / ((mean_x**2 + mean_y**2 + 1e-4) * (variance_x + variance_y + 9e-4))
            )
    return float(np.mean(values))


@pytest.mark.parametrize("size", [(13, 17), (5, 3), (1, 1)])
@pytest.mark.parametrize("weights", [(0.5, 0.5), (1.0, 1.0), (0.25, 0.0)])
def test_equals_its_definition(pictures, size, weights):
    """SSPFusion Eq. 12, and RPFNet Eq. 13 as a loss, at sizes above and below the window's."""
    images = pictures(*size)
    fused, ir, vis = (image.numpy()[:, 0] for image in images)
    to_ir = np.mean([slow_ssim(f, i) for f, i in zip(fused, ir, strict=True)])
    to_vis = np.mean([slow_ssim(f, v) for f, v in zip(fused, vis, strict=True)])
    expected = weights[0] * (1 - to_ir) + weights[1] * (1 - to_vis)
    options = {"ir_weight": weights[0], "vis_weight": weights[1]}
    assert float(ssim(*images, **options)) == pytest.approx(expected, rel=1e-10)
    assert torch.equal(SSIMLoss(**options)(*images), ssim(*images, **options))


def test_defaults_are_the_mean_of_both_sources(pictures):
    """Without options this is SSPFusion Eq. 12."""
    images = pictures()
    assert torch.equal(ssim(*images), ssim(*images, ir_weight=0.5, vis_weight=0.5))


def test_identical_pictures_cost_nothing(pictures):
    """The loss of a picture against itself is zero."""
    picture = pictures()[0]
    assert float(ssim(picture, picture, picture)) == pytest.approx(0.0, abs=1e-12)


def test_gradient_is_right_in_double_precision(pictures):
    """Numerical and analytical gradients agree, for the sources too."""
    assert torch.autograd.gradcheck(ssim, [image.requires_grad_() for image in pictures(7, 6, batch=1)])


@pytest.mark.parametrize("weight", [-0.5, float("nan")])
def test_bad_weights_are_refused(pictures, weight):
    """A negative weight would reward dissimilarity."""
    with pytest.raises(UsageError, match="ir_weight"):
        SSIMLoss(ir_weight=weight)
    with pytest.raises(UsageError, match="vis_weight"):
        ssim(*pictures(), vis_weight=weight)
