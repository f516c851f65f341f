"""What lite and lite-plus promise by their construction, and what their weights keep."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from edgefuse.data import read_pair
from edgefuse.images import read_ir
from edgefuse.manifest import sha256_file, verify
from edgefuse.metrics.retention import target_retention
from edgefuse.models import create, load_weights
from edgefuse.models.lite_cells import CellBlend
from edgefuse.train.reporting import fuse_planes
from edgefuse.zoo import ASSETS, weights

PLAIN_OPERATIONS = {
    "Add", "Clip", "Concat", "Conv", "DepthToSpace", "Mul", "Pad", "ReduceSum", "Relu", "Resize", "Split", "Sub"
}  # fmt: skip
# What a pixel shuffle becomes for a CPU, and weights that are stored in fp16.
IN_FILES = {"Cast", "Reshape", "Transpose", "Unsqueeze"}
NAMES = ("lite", "lite-plus")


@pytest.fixture
def network():
    """lite with random weights in its head, so that its maps vary."""
    torch.manual_seed(0)
    network = create("lite").eval()
    torch.nn.init.normal_(network.head.weight, std=0.5)
    return network


def pair(height=64, width=80):
    """A random pair."""
    generator = torch.Generator().manual_seed(1)
    return torch.rand(1, 1, height, width, generator=generator), torch.rand(1, 1, height, width, generator=generator)


@pytest.mark.parametrize("name", NAMES)
def test_starts_as_a_sensible_mixture(name):
    """Fresh weights give a quarter of each source and half of the brighter one."""
    ir, vis = pair()
    expected = 0.25 * ir + 0.25 * vis + 0.5 * torch.maximum(ir, vis)
    assert torch.allclose(create(name).eval()(ir, vis), expected, atol=1e-6)


def test_blending_on_cells_is_blending_at_full_resolution():
    """On 16 channels at a quarter of the resolution the same comes out as by enlarged maps, to the border."""
    ir, vis = pair()
    maps = torch.randn(1, 4, 16, 20, generator=torch.Generator().manual_seed(2))
    blend = CellBlend()
    planes = ir, -vis, torch.relu(ir - vis)
    means = torch.cat([functional.avg_pool2d(plane, 4) for plane in planes], dim=1)
    change = maps[:, 3:] - (maps[:, :3] * means).sum(dim=1, keepdim=True)
    coefficients = [
        functional.interpolate(plane, scale_factor=4, mode="bilinear", align_corners=False)
        for plane in torch.cat([maps[:, :3], change], dim=1).split(1, dim=1)
    ]
    start = (0.25, -0.75, 0.5)
    expected = coefficients[3] + sum((start[i] + coefficients[i]) * planes[i] for i in range(3))
    assert torch.allclose(blend(blend.cells(ir, vis), maps), expected, atol=1e-5)


def test_details_are_set_pixel_by_pixel():
    """What plus adds to a coefficient of one pixel changes that pixel alone."""
    ir, vis = pair()
    blend = CellBlend()
    cells, maps = blend.cells(ir, vis), torch.zeros(1, 4, 16, 20)
    details = torch.zeros(1, 64, 16, 20)
    details[0, 48 + 4 * 2 + 1, 3, 5] = 0.125  # c of row 2, column 1 in the cell of row 3, column 5
    change = blend(cells, maps, details) - blend(cells, maps)
    assert change[0, 0, 4 * 3 + 2, 4 * 5 + 1] == pytest.approx(0.125)
    assert change.count_nonzero() == 1


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


@pytest.fixture(scope="module", params=NAMES)
def shipped(request):
    """The name of a network, and it with the weights that ship."""
    path = weights(request.param)
    assert path is not None
    network = create(request.param).eval()
    load_weights(network, path)
    return request.param, network


def test_the_shipped_graph_is_the_shipped_weights(shipped):
    """The ONNX file computes what the weights do, at sizes it was not traced at, and its manifest verifies."""
    runtime = pytest.importorskip("onnxruntime")
    name, network = shipped
    manifest = verify(ASSETS / f"{name}.onnx")
    assert manifest.weights["sha256"] == sha256_file(ASSETS / f"{name}.safetensors")
    assert {"command", "recipe", "seed", "steps", "device", "minutes", "data_sha256"} <= manifest.training.keys()
    session = runtime.InferenceSession(ASSETS / f"{name}.onnx", providers=["CPUExecutionProvider"])
    for size in ((64, 80), (96, 48), (16, 16)):
        ir, vis = pair(*size)
        (fused,) = session.run(None, {"ir": ir.numpy(), "vis": vis.numpy()})
        assert abs(fused - network(ir, vis).detach().numpy()).max() < 1e-5


@pytest.mark.parametrize(("name", "largest_bytes"), [("lite", 1_000_000), ("lite-plus", 4_000_000)])
def test_the_shipped_graph_is_small_and_plain(name, largest_bytes):
    """Small, and of operations that every runtime has."""
    onnx = pytest.importorskip("onnx")
    path = ASSETS / f"{name}.onnx"
    assert path.stat().st_size < largest_bytes
    graph = onnx.load(path)
    assert {node.op_type for node in graph.graph.node} <= PLAIN_OPERATIONS | IN_FILES
    assert 18 <= graph.opset_import[0].version <= 20


def test_persons_stay_visible_through_smoke(shipped, shared):
    """Targets keep nine tenths of their contrast on average, and enough to be seen in the densest smoke."""
    folder = shared / "data" / "tno" / "test"
    kept = []
    for mask in sorted((folder / "mask").glob("*.png")):
        ir, vis = read_pair(folder / "ir" / mask.name, folder / "vis" / mask.name)
        kept.append(target_retention(fuse_planes(shipped[1], ir, vis), ir, read_ir(mask)))
    assert len(kept) == 15
    assert np.mean(kept) >= 0.9
    assert min(kept) >= 0.7


def test_night_scenes_keep_the_warm_of_the_infrared_and_the_lamps_of_the_visible(shipped, shared):
    """Where the infrared is hot, and where the visible shines, the fused picture is nearly as bright."""
    folder = shared / "data" / "msrs" / "test"
    warm, lamps = [], []
    for path in sorted((folder / "ir").glob("*N.png"))[::3]:
        ir, vis = read_pair(path, folder / "vis" / path.name)
        fused = fuse_planes(shipped[1], ir, vis).astype(float)
        warm += list(fused[ir > 200] / ir[ir > 200])
        lamps += list(fused[vis > 230] / vis[vis > 230])
    assert np.mean(warm) > 0.95
    assert np.mean(lamps) > 0.9
