"""Learning rates against PyTorch's schedulers; parameters against the optimisers that claim them."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from edgefuse.errors import UsageError
from edgefuse.train.schedule import build_optimizers, freeze_parameters, learning_rate
from edgefuse.train.settings import OptimizerSettings, ScheduleSettings


def torch_rates(make, epochs):
    """Rate of each epoch by one of PyTorch's schedulers."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    scheduler = make(optimizer)
    rates = []
    for _ in range(epochs):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def our_rates(schedule, epochs, steps_per_epoch=3):
    """Rate of each epoch's last step by ours."""
    last_steps = range(steps_per_epoch - 1, epochs * steps_per_epoch, steps_per_epoch)
    return [
        learning_rate(0.1, schedule, step=step, steps_per_epoch=steps_per_epoch, epochs=epochs) for step in last_steps
    ]


def test_cosine_is_pytorchs():
    """AngularFuse's and SSPFusion's schedule."""
    expected = torch_rates(lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 9, eta_min=0.01), 9)
    assert our_rates(ScheduleSettings(name="cosine", min_lr=0.01), 9) == pytest.approx(expected, rel=1e-9)


def test_step_is_pytorchs():
    """RPFNet's schedule: halved every so many epochs."""
    expected = torch_rates(lambda o: torch.optim.lr_scheduler.StepLR(o, 4, gamma=0.5), 11)
    assert our_rates(ScheduleSettings(name="step", every=4), 11) == pytest.approx(expected, rel=1e-9)


def test_step_can_start_late():
    """DFECF's schedule: constant for 15 epochs, then halved with each."""
    rates = our_rates(ScheduleSettings(name="step", start=15), 18)
    assert rates[:16] == [0.1] * 16
    assert rates[16:] == pytest.approx([0.05, 0.025])


def test_warm_up_rises_and_steps_fall_within_an_epoch():
    """A rate by the step rises to its schedule and falls with every step after."""
    schedule = ScheduleSettings(name="cosine", per="step", warmup_steps=4)
    rates = [learning_rate(0.1, schedule, step=step, steps_per_epoch=10, epochs=2) for step in range(20)]
    assert rates[:4] == sorted(rates[:4])
    assert rates[0] == pytest.approx(0.025)
    assert all(later < earlier for earlier, later in pairwise(rates[4:]))


class Two(nn.Module):
    """A network of two named parts."""

    def __init__(self):
        super().__init__()
        self.body = nn.Linear(2, 2)
        self.extra = nn.Linear(2, 2)


def test_parameters_go_to_the_optimiser_that_claims_them():
    """Patterns claim their parameters, and the optimiser without any gets the rest."""
    network = Two()
    settings = {"rest": OptimizerSettings(), "extra": OptimizerSettings(lr=0.5, parameters=("extra.*",))}
    optimizers = build_optimizers(network, settings)
    groups = {label: optimizer.param_groups[0] for label, optimizer in optimizers.items()}
    assert [id(p) for p in groups["rest"]["params"]] == [id(p) for p in network.body.parameters()]
    assert [id(p) for p in groups["extra"]["params"]] == [id(p) for p in network.extra.parameters()]
    assert groups["extra"]["lr"] == 0.5


@pytest.mark.parametrize(("name", "kind"), [("adam", "Adam"), ("adamw", "AdamW"), ("sgd", "SGD")])
def test_kinds_of_optimiser(name, kind):
    """Each kind is PyTorch's."""
    (optimizer,) = build_optimizers(Two(), {"all": OptimizerSettings(name=name)}).values()
    assert type(optimizer).__name__ == kind


def test_frozen_parameters_have_no_optimiser():
    """What is frozen stays out, and is trained again by a later stage that does not freeze it."""
    network = Two()
    freeze_parameters(network, ["extra.*"])
    (optimizer,) = build_optimizers(network, {"all": OptimizerSettings()}).values()
    assert len(optimizer.param_groups[0]["params"]) == 2
    freeze_parameters(network, [])
    assert all(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"a": OptimizerSettings(parameters=("body.*",))}, "no optimiser trains extra"),
        ({"a": OptimizerSettings(), "b": OptimizerSettings(parameters=("none.*",))}, "optimiser b has no parameter"),
    ],
)
def test_refuses_optimisers_that_miss_parameters(settings, said):
    """Every parameter has an optimiser and every optimiser a parameter."""
    with pytest.raises(UsageError, match=said):
        build_optimizers(Two(), settings)


@pytest.mark.parametrize(("patterns", "said"), [(["none.*"], "matches no parameter"), (["*"], "every parameter")])
def test_refuses_to_freeze_nothing_or_all(patterns, said):
    """A pattern that matches nothing is a mistake, and so is one that leaves nothing to train."""
    with pytest.raises(UsageError, match=said):
        freeze_parameters(Two(), patterns)
