"""The variance-guided loss against DFECF Eq. 24-26."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgefuse.errors import UsageError
from edgefuse.losses import VarianceGuidedLoss, variance_guided


def variance(plane: np.ndarray, row: int, column: int, window: int) -> float:
    """Variance of the existing pixels of a window."""
    reach = window // 2
    around = plane[max(row - reach, 0) : row + reach + 1, max(column - reach, 0) : column + reach + 1]
    return float(np.mean((around - around.mean()) ** 2))


@pytest.mark.parametrize("window", [9, 7, 1])
@pytest.mark.parametrize("size", [(13, 17), (3, 5)])
@pytest.mark.parametrize("reading", ["intended", "printed"])
def test_equals_its_definition(pictures, window, size, reading):
    """Both readings of Eq. 26, term by term and pixel by pixel."""
    images = pictures(*size)
    differences = []
    for fused, ir, vis in zip(*(image.numpy()[:, 0] for image in images), strict=True):
        for index in np.ndindex(fused.shape):
            weight = 1 if variance(vis, *index, window) > variance(ir, *index, window) else 0
            second = ir if reading == "intended" else vis
            difference = abs(weight * fused[index] - weight * vis[index])
            difference += abs((1 - weight) * fused[index] - (1 - weight) * second[index])
            differences.append(difference)
    loss = variance_guided(*images, window=window, reading=reading)
    assert float(loss) == pytest.approx(np.mean(differences), rel=1e-12)
    assert torch.equal(VarianceGuidedLoss(window=window, reading=reading)(*images), loss)


def test_defaults(pictures):
    """Without options the window is 9×9 and the second term infrared."""
    images = pictures()
    assert torch.equal(variance_guided(*images), variance_guided(*images, window=9, reading="intended"))
    assert torch.equal(VarianceGuidedLoss()(*images), variance_guided(*images))


@pytest.mark.parametrize("brightness", [1, 100, 250])
def test_one_gray_level_decides_between_flat_pictures(brightness):
    """A step of 1/255 in the visible wins within reach of its windows; where both are flat the infrared holds."""
    ir = torch.full((1, 1, 11, 11), (brightness + 3) / 255)
    vis = torch.full((1, 1, 11, 11), brightness / 255)
    vis[..., 5, 5] += 1 / 255
    difference = (ir - vis).abs()
    within = torch.zeros(1, 1, 11, 11)
    within[..., 1:10, 1:10] = 1.0
    assert float(variance_guided(ir, ir, vis)) == pytest.approx(float((within * difference).mean()), rel=1e-6)
    assert float(variance_guided(vis, ir, vis)) == pytest.approx(float(((1 - within) * difference).mean()), rel=1e-6)


def test_gradient_is_right_in_double_precision(pictures):
    """Numerical and analytical gradients agree, for the sources too."""
    assert torch.autograd.gradcheck(variance_guided, [image.requires_grad_() for image in pictures(5, 6)])


@pytest.mark.parametrize(
    ("options", "message"),
    [({"window": 8}, "odd"), ({"window": 9.0}, "odd whole"), ({"reading": "other"}, "intended, printed")],
)
def test_bad_options_are_refused(pictures, options, message):
    """Even windows and unknown readings are answered with what is allowed."""
    with pytest.raises(UsageError, match=message):
        VarianceGuidedLoss(**options)
    with pytest.raises(UsageError, match=message):
        variance_guided(*pictures(), **options)
