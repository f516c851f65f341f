"""What the lite network promises by its construction."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgefuse.data import read_pair
from edgefuse.images import read_ir
from edgefuse.manifest import sha256_file, verify
from edgefuse.metrics.retention import target_retention
from edgefuse.models import create, load_weights
from edgefuse.train.reporting import fuse_planes
from edgefuse.zoo import ASSETS, weights

PLAIN_OPERATIONS = {"Add", "AveragePool", "Clip", "Concat", "Conv", "Max", "Mul", "Relu", "Resize", "Split", "Sub"}


@pytest.fixture
def network():
    """The network with random weights in its head, so that its maps vary."""
    torch.manual_seed(0)
    network = create("lite").eval()
    torch.nn.init.normal_(network.head.weight, std=0.5)
    return network


def pair(height=64, width=80):
    """A random pair."""
    generator = torch.Generator().manual_seed(1)
    return torch.rand(1, 1, height, width, generator=generator), torch.rand(1, 1, height, width, generator=generator)


def test_starts_as_a_sensible_mixture():
    """Fresh weights give a quarter of each source and half of the brighter one."""
    ir, vis = pair()
    expected = 0.25 * ir + 0.25 * vis + 0.5 * torch.maximum(ir, vis)
    assert torch.allclose(create("lite").eval()(ir, vis), expected, atol=1e-6)


def test_a_flat_pair_gives_a_flat_picture(network):
    """Far from the border, where zeros are padded, nothing of the grid of cells shows: no blocks, no pattern."""
    level = torch.full((1, 1, 384, 384), 0.5)
    middle = network.forward_train(level, 0.8 * level)["fused"][..., 176:208, 176:208]
    assert (middle - middle.mean()).abs().max() < 1e-5


def test_the_maps_are_continuous_across_cells(network):
    """Neighbouring pixels of a flat pair differ no more across the border of a 4×4 cell than inside one."""
    ir, vis = pair()
    mean = torch.nn.functional.avg_pool2d
    coarse = [torch.nn.functional.interpolate(mean(image, 16), scale_factor=16, mode="bilinear") for image in (ir, vis)]
    fused = network.forward_train(*coarse)["fused"]
    steps = (fused[..., 1:] - fused[..., :-1]).abs()
    bound = max(float((image[..., 1:] - image[..., :-1]).abs().max()) for image in coarse)
    across, inside = steps[..., 3::4].max(), steps.max()
    assert across <= inside
    assert inside < 40 * bound


def test_training_feels_what_the_clamp_hides(network):
    """Out of range the training output goes on where the fused picture ends, so that losses can bring it back."""
    network.head.bias.data[3] = 2.0
    ir, vis = pair()
    assert network(ir, vis).max() == 1.0
    assert network.forward_train(ir, vis)["fused"].max() > 1.5


@pytest.fixture(scope="module")
def shipped():
    """The network with the weights that ship."""
    path = weights("lite")
    assert path is not None
    network = create("lite").eval()
    load_weights(network, path)
    return network


def test_the_shipped_graph_is_the_shipped_weights(shipped):
    """The ONNX file computes what the weights do, at sizes it was not traced at, and its manifest verifies."""
    runtime = pytest.importorskip("onnxruntime")
    manifest = verify(ASSETS / "lite.onnx")
    assert manifest.weights["sha256"] == sha256_file(ASSETS / "lite.safetensors")
    assert {"command", "recipe", "seed", "steps", "device", "minutes", "data_sha256"} <= manifest.training.keys()
    session = runtime.InferenceSession(ASSETS / "lite.onnx", providers=["CPUExecutionProvider"])
    for size in ((64, 80), (96, 48), (16, 16)):
        ir, vis = pair(*size)
        (fused,) = session.run(None, {"ir": ir.numpy(), "vis": vis.numpy()})
        assert abs(fused - shipped(ir, vis).detach().numpy()).max() < 1e-5


def test_the_shipped_graph_is_small_and_plain():
    """Under a megabyte, and of operations that every runtime has."""
    onnx = pytest.importorskip("onnx")
    path = ASSETS / "lite.onnx"
    assert path.stat().st_size < 1_000_000
    graph = onnx.load(path)
    assert {node.op_type for node in graph.graph.node} <= PLAIN_OPERATIONS
    assert 18 <= graph.opset_import[0].version <= 20


def test_persons_stay_visible_through_smoke(shipped, shared):
    """Targets keep nine tenths of their contrast on average, and enough to be seen in the densest smoke."""
    folder = shared / "data" / "tno" / "test"
    kept = []
    for mask in sorted((folder / "mask").glob("*.png")):
        ir, vis = read_pair(folder / "ir" / mask.name, folder / "vis" / mask.name)
        kept.append(target_retention(fuse_planes(shipped, ir, vis), ir, read_ir(mask)))
    assert len(kept) == 15
    assert np.mean(kept) >= 0.9
    assert min(kept) >= 0.45


def test_night_scenes_keep_the_warm_of_the_infrared_and_the_lamps_of_the_visible(shipped, shared):
    """Where the infrared is hot, and where the visible shines, the fused picture is nearly as bright."""
    folder = shared / "data" / "msrs" / "test"
    warm, lamps = [], []
    for path in sorted((folder / "ir").glob("*N.png"))[::3]:
        ir, vis = read_pair(path, folder / "vis" / path.name)
        fused = fuse_planes(shipped, ir, vis).astype(float)
        warm += list(fused[ir > 200] / ir[ir > 200])
        lamps += list(fused[vis > 230] / vis[vis > 230])
    assert np.mean(warm) > 0.95
    assert np.mean(lamps) > 0.9
