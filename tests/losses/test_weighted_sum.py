"""The weighted sum of a recipe's losses."""

from __future__ import annotations

import pytest
import torch

from edgefuse.errors import UsageError
from edgefuse.losses import Loss, LossContext, MaxIntensityLoss, WeightedSum, compose, max_intensity, ssim


def fail(fused: torch.Tensor, ir: torch.Tensor, vis: torch.Tensor, *, residual_map: torch.Tensor) -> torch.Tensor:
    """Fail the test."""
    raise AssertionError


class Forbidden(Loss):
    """A loss that must not be computed."""

    needs = ("residual_map",)

    def __init__(self) -> None:
        super().__init__(fail)


def test_total_is_the_weighted_sum_and_terms_are_unweighted(pictures):
    """Each term is reported as computed, the total is weighted, and forward returns the total."""
    images = pictures()
    total = compose({"pixel": {"loss": "max_intensity", "weight": 7}, "ssim": {"ir_weight": 1.0}})
    report = total.report(*images)
    assert report.terms == {"pixel": max_intensity(*images), "ssim": ssim(*images, ir_weight=1.0)}
    assert float(report.total) == pytest.approx(7 * float(report.terms["pixel"]) + float(report.terms["ssim"]))
    assert torch.equal(total(*images), report.total)


def test_the_gradient_flows_through_the_total_alone(pictures):
    """Terms are detached; backward on the total gives the weighted gradient."""
    fused, ir, vis = pictures()
    fused.requires_grad_()
    report = compose({"max_intensity": {"weight": 3.0}}).report(fused, ir, vis)
    assert not report.terms["max_intensity"].requires_grad
    report.total.backward()
    (alone,) = torch.autograd.grad(max_intensity(fused, ir, vis), fused)
    torch.testing.assert_close(fused.grad, 3.0 * alone)


def test_one_loss_may_serve_two_labels(pictures):
    """Labels, not names, tell the terms apart."""
    table = {"hot": {"loss": "weighted_intensity", "ir_weight": 1.0, "vis_weight": 0.0}, "max_intensity": {}}
    table["day"] = {"loss": "weighted_intensity", "ir_weight": 0.0, "vis_weight": 1.0}
    assert list(compose(table).report(*pictures()).terms) == ["hot", "max_intensity", "day"]


def test_a_term_of_weight_zero_is_neither_computed_nor_needs_anything(pictures):
    """Switching a term off removes its cost and its wishes."""
    total = WeightedSum({"pixel": (1.0, MaxIntensityLoss()), "off": (0.0, Forbidden())})
    assert total.needs == ()
    assert list(total.report(*pictures()).terms) == ["pixel"]


def test_missing_context_is_named():
    """A loss that needs what the model does not give says what."""
    total = WeightedSum({"on": (1.0, Forbidden())})
    assert total.needs == ("residual_map",)
    picture = torch.zeros(1, 1, 4, 4)
    with pytest.raises(UsageError, match="Forbidden needs residual_map, which this training does not give"):
        total(picture, picture, picture)
    with pytest.raises(UsageError, match="Forbidden needs residual_map, which this training does not give"):
        total(picture, picture, picture, LossContext(structure_maps=(picture,)))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "a loss term with a weight above 0, got no term"),
        ({"ssim": {"weight": 0}}, "above 0, got ssim"),
        ({"ssim": {"weight": -1}}, "weight of loss term ssim must be finite and at least 0, got -1"),
        ({"ssim": {"weight": float("nan")}}, "weight of loss term ssim must be finite"),
        ({"ssim": {"weight": "10"}}, "weight of loss term ssim must be a number, got '10'"),
        ({"ssim": {"weight": True}}, "weight of loss term ssim must be a number, got True"),
        ({"gradient": {}}, "loss term gradient: unknown loss 'gradient'"),
        ({"s": {"loss": "ssim", "window": 7}}, "loss term s: the loss ssim has no option window"),
        ({"ssim": 5.0}, "loss term ssim must be a table"),
    ],
)
def test_mistakes_in_a_table_are_answered_with_the_label(table, message):
    """Every mistake of a recipe's losses is one line that says where."""
    with pytest.raises(UsageError, match=message):
        compose(table)


def test_a_sum_shows_its_weights():
    """Printing the composite tells the recipe's weights."""
    assert "gradient: 10, ssim: 1" in repr(compose({"gradient": {"loss": "direction_aware", "weight": 10}, "ssim": {}}))
