"""The saliency structure loss against RPFNet Eq. 5-7."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from edgefuse.errors import InputError, UsageError
from edgefuse.losses import LossContext, SaliencyStructureLoss, saliency_structure


def restated(residual_map, ir, vis, sobel, *, texture_weight: float) -> float:
    """The loss of a batch, pixel by pixel."""
    values = []
    for response, heat, texture in zip(*(image.numpy()[:, 0] for image in (residual_map, ir, vis)), strict=True):
        of_response, of_heat, of_texture = (
            np.array([math.hypot(x, y) for x, y in zip(*(d.flat for d in sobel(plane)), strict=True)])
            for plane in (response, heat, texture)
        )
        hot = heat > heat.mean() + math.sqrt(((heat - heat.mean()) ** 2).mean())
        textured = (of_texture > of_texture.mean()).reshape(response.shape)
        value = np.mean((of_response - of_heat) ** 2)
        value -= texture_weight * np.mean((response * textured) ** 2)
        value -= np.mean((response * hot) ** 2)
        values.append(value)
    return float(np.mean(values))


@pytest.mark.parametrize("weight", [0.3, 0.0, 2.0])
@pytest.mark.parametrize("size", [(13, 17), (1, 5), (1, 1)])
def test_equals_its_definition(pictures, slow_sobel, weight, size):
    """The value is the one that loops over pixels give."""
    residual_map, ir, vis = pictures(*size)
    expected = restated(residual_map, ir, vis, slow_sobel, texture_weight=weight)
    loss = saliency_structure(ir, ir, vis, residual_map=residual_map, texture_weight=weight)
    assert float(loss) == pytest.approx(expected, rel=1e-12, abs=1e-15)
    module = SaliencyStructureLoss(texture_weight=weight)
    assert torch.equal(module(ir, ir, vis, LossContext(residual_map=residual_map)), loss)


def test_the_default_weight_is_the_papers(pictures):
    """λ1 is 0.3."""
    residual_map, ir, vis = pictures()
    assert torch.equal(
        saliency_structure(ir, ir, vis, residual_map=residual_map),
        saliency_structure(ir, ir, vis, residual_map=residual_map, texture_weight=0.3),
    )


def test_gradient_reaches_the_residual_map_and_not_the_fused_picture(pictures):
    """The auxiliary decoder is trained, with the right gradient; the fused picture is left alone."""
    residual_map, ir, vis = pictures(6, 7, batch=1)
    residual_map.requires_grad_()
    assert torch.autograd.gradcheck(lambda m: saliency_structure(ir, ir, vis, residual_map=m), [residual_map])
    fused = ir.clone().requires_grad_()
    saliency_structure(fused, ir, vis, residual_map=residual_map).backward()
    assert fused.grad is None


def test_heat_is_rewarded():
    """A map that answers to the hot pixels costs less than one that answers elsewhere."""
    ir = torch.zeros(1, 1, 16, 16)
    ir[..., 6:10, 6:10] = 1.0
    elsewhere = torch.zeros_like(ir)
    elsewhere[..., :4, :4] = 1.0
    vis = torch.zeros_like(ir)
    assert saliency_structure(ir, ir, vis, residual_map=ir) < saliency_structure(ir, ir, vis, residual_map=elsewhere)


def test_a_map_of_another_size_is_refused(pictures):
    """The residual map is named with its shape."""
    fused, ir, vis = pictures()
    with pytest.raises(InputError, match="residual_map and fused"):
        saliency_structure(fused, ir, vis, residual_map=ir[..., :-1])


@pytest.mark.parametrize("weight", [-0.3, float("nan")])
def test_a_bad_weight_is_refused(pictures, weight):
    """A negative weight would punish texture."""
    with pytest.raises(UsageError, match="texture_weight"):
        SaliencyStructureLoss(texture_weight=weight)
    with pytest.raises(UsageError, match="texture_weight"):
        saliency_structure(*pictures(), residual_map=pictures()[0], texture_weight=weight)
