"""Every recipe at smoke length, from real pictures to weights."""

from __future__ import annotations

import pytest
import torch

from edgefuse import models
from edgefuse.data import PairSamples, check_pairs, discover
from edgefuse.losses import LossContext, compose
from edgefuse.train import load_recipe, recipe_names
from edgefuse.train.engine import train
from edgefuse.train.loading import BatchOrder, batch_loader

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def real_pairs(shared):
    """Sixteen real training pairs of two sensors."""
    found = discover([shared / "data" / name / "train" for name in ("msrs", "roadscene")])
    return check_pairs(found.pairs[::12], keep_bytes=1 << 28)


def loss_of(recipe, weights, data):
    """Mean loss of the last stage over fixed crops."""
    stage = recipe.stages[-1]
    network = models.create(recipe.model, **recipe.config)
    if weights is None:
        torch.manual_seed(stage.train.seed)
        network = models.create(recipe.model, **recipe.config)
    else:
        models.load_weights(network, weights)
    samples = PairSamples(data, stage.augmentation, seed=99)
    losses = compose(stage.losses)
    with torch.no_grad():
        values = []
        for batch in batch_loader(samples, BatchOrder(samples, 8)):
            outputs = network.forward_train(batch.ir_input, batch.vis_input)
            values.append(losses(outputs["fused"], batch.ir, batch.vis, LossContext.from_outputs(outputs)))
    return float(torch.stack(values).mean())


@pytest.mark.parametrize("name", recipe_names())
def test_lowers_its_loss_saves_and_resumes(name, real_pairs, tmp_path):
    """The loss over fixed crops falls, and a run cut short goes on to its end."""
    recipe = load_recipe(name, smoke=True)
    cut = train(recipe, real_pairs, output=tmp_path / "run", device="cpu", max_minutes=0.0)
    assert cut.reason == "time limit"
    result = train(recipe, real_pairs, output=tmp_path / "run", device="cpu", resume=True)
    assert result.reason == "finished"
    assert loss_of(recipe, result.weights, real_pairs) < loss_of(recipe, None, real_pairs)
