"""The maximum and weighted intensity losses against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgefuse.errors import UsageError
from edgefuse.losses import MaxIntensityLoss, WeightedIntensityLoss, max_intensity, weighted_intensity


def test_maximum_equals_its_definition(pictures):
    """DFECF Eq. 23 pixel by pixel."""
    images = pictures()
    pixels = zip(*(image.numpy().flat for image in images), strict=True)
    expected = np.mean([abs(f - max(i, v)) for f, i, v in pixels])
    assert float(max_intensity(*images)) == pytest.approx(expected, rel=1e-12)
    assert torch.equal(MaxIntensityLoss()(*images), max_intensity(*images))


@pytest.mark.parametrize(("norm", "power"), [("l1", 1), ("l2", 2)])
def test_mixture_equals_its_definition(pictures, norm, power):
    """AngularFuse Eq. 1 pixel by pixel, in both norms."""
    images = pictures()
    pixels = zip(*(image.numpy().flat for image in images), strict=True)
    expected = np.mean([abs(f - 0.3 * i - 0.6 * v) ** power for f, i, v in pixels])
    options = {"ir_weight": 0.3, "vis_weight": 0.6, "norm": norm}
    assert float(weighted_intensity(*images, **options)) == pytest.approx(expected, rel=1e-12)
    assert torch.equal(WeightedIntensityLoss(**options)(*images), weighted_intensity(*images, **options))


@pytest.mark.parametrize("loss", [max_intensity, weighted_intensity])
def test_gradient_is_right_in_double_precision(pictures, loss):
    """Numerical and analytical gradients agree, for the sources too."""
    assert torch.autograd.gradcheck(loss, [image.requires_grad_() for image in pictures(5, 6)])


@pytest.mark.parametrize("options", [{"norm": "l3"}, {"ir_weight": float("inf")}, {"vis_weight": float("nan")}])
def test_bad_options_are_refused(pictures, options):
    """The error names the option; for the norm it lists what is allowed."""
    with pytest.raises(UsageError, match="l1, l2" if "norm" in options else "finite"):
        WeightedIntensityLoss(**options)
    with pytest.raises(UsageError, match=next(iter(options))):
        weighted_intensity(*pictures(), **options)
