"""Every recipe at smoke length, from real pictures to weights."""

from __future__ import annotations

import pytest
import torch

import edgefuse
from edgefuse import models
from edgefuse.data import PairSamples, check_pairs, discover
from edgefuse.export import export
from edgefuse.images import read_ir, read_vis
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
def test_lowers_its_loss_saves_resumes_exports_and_fuses(name, real_pairs, shared, tmp_path):
    """The loss over fixed crops falls, a run cut short goes on to its end, and its weights fuse a picture."""
    recipe = load_recipe(name, smoke=True)
    cut = train(recipe, real_pairs, output=tmp_path / "run", device="cpu", max_minutes=0.0)
    assert cut.reason == "time limit"
    result = train(recipe, real_pairs, output=tmp_path / "run", device="cpu", resume=True)
    assert result.reason == "finished"
    assert loss_of(recipe, result.weights, real_pairs) < loss_of(recipe, None, real_pairs)
    if name == recipe.model:  # variants of a recipe have its network, and exporting one takes a while
        assert_exports_and_fuses(recipe.model, result.weights, shared, tmp_path)


def assert_exports_and_fuses(model, weights, shared, folder):
    """The weights become an ONNX file that fuses a test pair, in colour, to something between its sources."""
    artifact = export(model, folder / "network.onnx", weights=weights, imgsz=(64, 64))
    pictures = shared / "data" / "msrs" / "test"
    stem = min(path.name for path in (pictures / "ir").iterdir())
    ir = read_ir(pictures / "ir" / stem)[200:264, 300:364]
    vis = read_vis(pictures / "vis" / stem)[200:264, 300:364]
    with edgefuse.load(artifact.path) as fuse:
        fused = fuse(ir, vis)
    assert fused.shape == vis.shape
    assert fused.dtype == vis.dtype
    assert fused.std() > 1
