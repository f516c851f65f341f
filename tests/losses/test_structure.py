"""The structure losses against SSPFusion Eq. 3-4 and Eq. 10."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from edgefuse.errors import InputError, UsageError
from edgefuse.losses import (
    LossContext,
    StructureCharbonnierLoss,
    StructureDiceLoss,
    structure_charbonnier,
    structure_dice,
)

LOSSES = [structure_dice, structure_charbonnier]


@pytest.fixture
def maps():
    """Predicted maps at three scales with 1, 4 and 2 channels, and binary targets."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, 1, 8, 9), (2, 4, 4, 5), (2, 2, 1, 1)]
    predicted = tuple(torch.rand(shape, generator=generator, dtype=torch.float64) for shape in shapes)
    targets = tuple((torch.rand(shape, generator=generator) > 0.4).double() for shape in shapes)
    return {"structure_maps": predicted, "structure_targets": targets}


@pytest.mark.parametrize("smoothing", [0.5, 1.0])
def test_dice_equals_its_definition(pictures, maps, smoothing):
    """Eq. 4 map by map, channel by channel, with the stated smoothing."""
    expected = 0.0
    for predicted, target in zip(*(maps[name] for name in ("structure_maps", "structure_targets")), strict=True):
        ratios = []
        for p, g in zip(predicted.flatten(0, 1).numpy(), target.flatten(0, 1).numpy(), strict=True):
            squares = sum(value**2 for value in p.flat) + sum(value**2 for value in g.flat)
            overlap = sum(a * b for a, b in zip(p.flat, g.flat, strict=True))
            ratios.append((squares + 2 * smoothing) / (2 * overlap + 2 * smoothing))
        expected += np.mean(ratios)
    assert float(structure_dice(*pictures(), **maps, smoothing=smoothing)) == pytest.approx(expected, rel=1e-12)


def test_dice_without_smoothing_is_the_printed_one(pictures):
    """With s = 0 the value is Eq. 4 to the letter."""
    p, g = torch.tensor([[[[0.5, 1.0]]]]), torch.tensor([[[[1.0, 1.0]]]])
    loss = structure_dice(*pictures(), structure_maps=[p], structure_targets=[g], smoothing=0.0)
    assert float(loss) == pytest.approx((0.25 + 1 + 1 + 1) / (2 * 1.5))


@pytest.mark.parametrize("epsilon", [1e-3, 0.1])
def test_charbonnier_equals_its_definition(pictures, maps, epsilon):
    """Eq. 10 pixel by pixel."""
    expected = 0.0
    for predicted, target in zip(*(maps[name] for name in ("structure_maps", "structure_targets")), strict=True):
        pixels = zip(predicted.numpy().flat, target.numpy().flat, strict=True)
        expected += np.mean([math.sqrt((p - g) ** 2 + epsilon**2) for p, g in pixels])
    assert float(structure_charbonnier(*pictures(), **maps, epsilon=epsilon)) == pytest.approx(expected, rel=1e-12)


def test_modules_and_defaults(pictures, maps):
    """The modules are the functions, with one pixel of smoothing and the paper's ε."""
    images = pictures()
    context = LossContext(**maps)
    assert torch.equal(StructureDiceLoss()(*images, context), structure_dice(*images, **maps, smoothing=1.0))
    assert torch.equal(
        StructureCharbonnierLoss()(*images, context), structure_charbonnier(*images, **maps, epsilon=1e-3)
    )


def test_equal_maps_cost_the_least(pictures, maps):
    """A perfect prediction reaches each loss's lower bound."""
    perfect = {"structure_maps": maps["structure_targets"], "structure_targets": maps["structure_targets"]}
    assert float(structure_dice(*pictures(), **perfect)) == pytest.approx(3.0, rel=1e-12)
    assert float(structure_charbonnier(*pictures(), **perfect)) == pytest.approx(3e-3, rel=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
def test_gradient_is_right_in_double_precision(pictures, maps, loss):
    """Numerical and analytical gradients for the maps agree; the targets get none."""
    predicted = [structure_map.requires_grad_() for structure_map in maps["structure_maps"]]
    targets = [target.requires_grad_() for target in maps["structure_targets"]]
    images = pictures()
    assert torch.autograd.gradcheck(
        lambda *values: loss(*images, structure_maps=values, structure_targets=maps["structure_targets"]), predicted
    )
    loss(*images, structure_maps=predicted, structure_targets=targets).backward()
    assert all(target.grad is None for target in targets)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("p", "g"), [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)])
def test_empty_full_and_disjoint_maps_are_finite(pictures, loss, dtype, p, g):
    """Maps without any overlap have a finite distance and gradient in every precision."""
    predicted = torch.full((1, 1, 64, 64), p, dtype=dtype, requires_grad=True)
    value = loss(*pictures(), structure_maps=(predicted,), structure_targets=(torch.full_like(predicted, g),))
    value.backward()
    assert bool(value.isfinite())
    assert bool(predicted.grad.isfinite().all())


@pytest.mark.parametrize("loss", LOSSES)
def test_maps_that_do_not_match_are_refused(pictures, maps, loss):
    """A missing target and one of another shape are told apart."""
    images, predicted, targets = pictures(), maps["structure_maps"], maps["structure_targets"]
    with pytest.raises(InputError, match="got 3 and 2"):
        loss(*images, structure_maps=predicted, structure_targets=targets[:-1])
    with pytest.raises(InputError, match="got 0 and 0"):
        loss(*images, structure_maps=(), structure_targets=())
    with pytest.raises(InputError, match=r"structure map 1 .* one shape"):
        loss(*images, structure_maps=predicted[:2], structure_targets=(targets[0], targets[2]))


def test_bad_options_are_refused(pictures, maps):
    """A negative smoothing and an ε that leaves a kink are named."""
    with pytest.raises(UsageError, match="smoothing"):
        StructureDiceLoss(smoothing=-1.0)
    with pytest.raises(UsageError, match="smoothing"):
        structure_dice(*pictures(), **maps, smoothing=float("nan"))
    with pytest.raises(UsageError, match="epsilon"):
        StructureCharbonnierLoss(epsilon=0.0)
    with pytest.raises(UsageError, match="epsilon"):
        structure_charbonnier(*pictures(), **maps, epsilon=float("inf"))
