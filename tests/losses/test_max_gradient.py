"""The maximum gradient loss against DFECF Eq. 22 and SSPFusion Eq. 14."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgefuse.losses import MaxGradientLoss, direction_aware, max_gradient


@pytest.mark.parametrize("size", [(13, 17), (1, 6), (1, 1)])
def test_equals_its_definition(pictures, slow_sobel, size):
    """The value is the one that loops over pixels give."""
    images = pictures(*size)
    differences = []
    for planes in zip(*(image.numpy() for image in images), strict=True):
        of_fused, of_ir, of_vis = (sum(abs(derivative) for derivative in slow_sobel(plane[0])) for plane in planes)
        differences += [abs(f - max(i, v)) for f, i, v in zip(of_fused.flat, of_ir.flat, of_vis.flat, strict=True)]
    assert float(max_gradient(*images)) == pytest.approx(np.mean(differences), rel=1e-12)
    assert torch.equal(MaxGradientLoss()(*images), max_gradient(*images))


def test_gradient_is_right_in_double_precision(pictures):
    """Numerical and analytical gradients agree, for the sources too."""
    assert torch.autograd.gradcheck(max_gradient, [image.requires_grad_() for image in pictures(6, 7, batch=1)])


def test_the_sign_of_an_edge_is_free():
    """A reversed edge costs nothing here, which is what the direction-aware loss changes."""
    edge = torch.zeros(1, 1, 16, 16)
    edge[..., 4:12, 4:8] = 1.0
    flat = torch.zeros_like(edge)
    assert float(max_gradient(-edge, edge, flat)) == 0.0
    assert float(direction_aware(-edge, edge, flat)) > 0.1
