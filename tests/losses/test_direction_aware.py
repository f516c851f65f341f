"""The direction-aware gradient loss against its definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgefuse.errors import InputError, UsageError
from edgefuse.losses import DirectionAwareLoss, direction_aware


def halve(plane: np.ndarray) -> np.ndarray:
    """Mean of each whole 2×2 block."""
    rows, columns = plane.shape[0] // 2, plane.shape[1] // 2
    return np.array([[plane[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean() for j in range(columns)] for i in range(rows)])


def restated(fused, ir, vis, weights, sobel) -> float:
    """The definition, pixel by pixel."""
    total = 0.0
    for scale, weight in enumerate(weights):
        differences = []
        for planes in zip(fused, ir, vis, strict=True):
            small = [plane[0] for plane in planes]
            for _ in range(scale):
                small = [halve(plane) for plane in small]
            for of_fused, of_ir, of_vis in zip(*(sobel(plane) for plane in small), strict=True):
                for f, i, v in zip(of_fused.flat, of_ir.flat, of_vis.flat, strict=True):
                    differences.append(abs(f - (i if abs(i) > abs(v) else v)))
        total += weight * sum(differences) / len(differences)
    return total


@pytest.mark.parametrize("weights", [(1.0,), (1.0, 1.0, 1.0), (0.5, 0.0, 2.0)])
@pytest.mark.parametrize("size", [(13, 17), (8, 4)])
def test_equals_its_definition(pictures, slow_sobel, weights, size):
    """The value is the one that loops over pixels, axes and scales give."""
    images = pictures(*size)
    expected = restated(*(image.numpy() for image in images), weights, slow_sobel)
    assert float(direction_aware(*images, scale_weights=weights)) == pytest.approx(expected, rel=1e-12)


def test_three_equal_scales_are_the_default(pictures):
    """Without options three scales of weight 1 are summed."""
    images = pictures(16, 16)
    assert torch.equal(direction_aware(*images), direction_aware(*images, scale_weights=(1.0, 1.0, 1.0)))
    assert torch.equal(DirectionAwareLoss()(*images), direction_aware(*images))


def test_gradient_is_right_in_double_precision(pictures):
    """Numerical and analytical gradients agree, for the sources too."""
    images = [image.requires_grad_() for image in pictures(8, 9, batch=1)]
    assert torch.autograd.gradcheck(direction_aware, images)


def test_a_reversed_edge_costs_and_a_kept_one_does_not():
    """The sign counts: the source's edge is free, the same edge turned round is not."""
    edge = torch.zeros(1, 1, 16, 16)
    edge[..., 8:] = 1.0
    flat = torch.zeros_like(edge)
    assert float(direction_aware(edge, edge, flat)) == 0.0
    assert float(direction_aware(edge.flip(-1), edge, flat)) > 1.0


def test_ties_go_to_the_visible():
    """Where the sources' gradients are equal in size and opposite in sign the visible one is the target."""
    edge = torch.zeros(1, 1, 16, 16)
    edge[..., 4:12, 4:8] = 1.0
    opposite = -edge
    assert float(direction_aware(edge, opposite, edge)) == 0.0
    assert float(direction_aware(edge, edge, opposite)) > 0.0


def test_too_many_scales_for_the_picture_are_refused(pictures):
    """A picture that would vanish on the way down is an error that states the size."""
    with pytest.raises(InputError, match="at least 4x4"):
        direction_aware(*pictures(3, 9))


@pytest.mark.parametrize("weights", [(), (-1.0,), (float("nan"),)])
def test_bad_weights_are_refused(pictures, weights):
    """Both the function and the module check their weights."""
    with pytest.raises(UsageError, match="scale_weights"):
        DirectionAwareLoss(scale_weights=weights)
    with pytest.raises(UsageError, match="scale_weights"):
        direction_aware(*pictures(), scale_weights=weights)
