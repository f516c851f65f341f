"""The angle-aware gradient loss against AngularFuse Eq. 9-18."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from edgefuse.errors import UsageError
from edgefuse.losses import AngleGradientLoss, angle_gradient

EPSILON = 1e-3  # third component of the gradients, which defines the cosine where they vanish


def restated(images, sobel, *, power: int, epsilon: float = EPSILON) -> tuple[float, float]:
    """Mean distance of the lengths to that power, and mean of one minus the cosine, pixel by pixel."""
    lengths, angles = [], []
    for planes in zip(*(image.numpy() for image in images), strict=True):
        components = [sobel(plane[0]) for plane in planes]
        for index in np.ndindex(planes[0][0].shape):
            fused, ir, vis = ((float(gx[index]), float(gy[index])) for gx, gy in components)
            reference = ir if math.hypot(*ir) > math.hypot(*vis) else vis
            lengths.append(abs(math.hypot(*fused) - math.hypot(*reference)) ** power)
            inner = fused[0] * reference[0] + fused[1] * reference[1] + epsilon**2
            angles.append(1 - inner / (math.hypot(*fused, epsilon) * math.hypot(*reference, epsilon)))
    return float(np.mean(lengths)), float(np.mean(angles))


@pytest.mark.parametrize(("norm", "power"), [("l2", 2), ("l1", 1)])
@pytest.mark.parametrize("size", [(13, 17), (1, 6), (1, 1)])
def test_equals_its_definition(pictures, slow_sobel, norm, power, size):
    """Each part, and the sum with the paper's weights, is what the pixel loop gives."""
    images = pictures(*size)
    length, angle = restated(images, slow_sobel, power=power)
    assert float(angle_gradient(*images, norm=norm)) == pytest.approx(5 * length + angle, rel=1e-12)
    assert float(angle_gradient(*images, norm=norm, angle_weight=0)) == pytest.approx(5 * length, rel=1e-12)
    assert float(angle_gradient(*images, magnitude_weight=0)) == pytest.approx(angle, rel=1e-12)


def test_the_cosine_is_the_printed_one_where_gradients_exist(pictures, slow_sobel):
    """On textured pictures Eq. 16 without the third component differs by less than 1e-4."""
    images = pictures(13, 17)
    _, printed = restated(images, slow_sobel, power=2, epsilon=0.0)
    assert float(angle_gradient(*images, magnitude_weight=0)) == pytest.approx(printed, abs=1e-4)


def test_module_and_defaults(pictures):
    """The module is the function, with λ = 5, 1 and the squared distance that Eq. 15 prints."""
    images = pictures()
    explicit = angle_gradient(*images, magnitude_weight=5.0, angle_weight=1.0, norm="l2")
    assert torch.equal(AngleGradientLoss()(*images), explicit)
    assert torch.equal(angle_gradient(*images), explicit)


def test_gradient_is_right_in_double_precision(pictures):
    """Numerical and analytical gradients agree, for the sources too."""
    assert torch.autograd.gradcheck(angle_gradient, [image.requires_grad_() for image in pictures(6, 7, batch=1)])


def test_a_turned_edge_costs_more_than_a_weak_one():
    """Direction counts: an edge of the right strength across the source's costs, at equal length, all of the angle."""
    ramp = torch.linspace(0, 1, 16, dtype=torch.float64).expand(1, 1, 16, 16)
    inner = ramp[..., 1:-1, 1:-1]
    flat = torch.zeros_like(inner)
    along = angle_gradient(inner, inner, flat, magnitude_weight=0)
    across = angle_gradient(inner.mT, inner, flat, magnitude_weight=0)
    assert float(along) == pytest.approx(0.0, abs=1e-12)
    assert float(across) > 0.3


@pytest.mark.parametrize(
    "options", [{"magnitude_weight": -1.0}, {"angle_weight": float("inf")}, {"magnitude_weight": 0, "angle_weight": 0}]
)
def test_bad_weights_are_refused(pictures, options):
    """Weights that make no loss are named, by the function and by the module."""
    with pytest.raises(UsageError, match="magnitude_weight and angle_weight"):
        AngleGradientLoss(**options)
    with pytest.raises(UsageError, match="magnitude_weight and angle_weight"):
        angle_gradient(*pictures(), **options)


def test_an_unknown_norm_is_refused(pictures):
    """The error lists the norms."""
    with pytest.raises(UsageError, match="l1, l2"):
        AngleGradientLoss(norm="l0")
    with pytest.raises(UsageError, match="'l1', 'l2'"):
        angle_gradient(*pictures(), norm="l0")
