"""From a finished run to files that ship: scores, cost, record, hashes, and half the bytes where nobody can tell."""

from __future__ import annotations

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import edgefuse
from edgefuse import models, zoo
from edgefuse.data import check_pairs, discover
from edgefuse.errors import UsageError
from edgefuse.images import read_ir, read_vis, write_image
from edgefuse.manifest import sha256_file, verify
from edgefuse.train import load_recipe
from edgefuse.train.compact_graph import compact_graph
from edgefuse.train.engine import train
from edgefuse.train.release import main
from edgefuse.train.scoring import score_network

SMALL = ("model.channels=4", "augmentation.crop_px=32", "train.batch=2", "train.epochs=1", "train.sheet_px=32")


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    """Pairs to train and to test on, one of the latter with a mask."""
    folder, random = tmp_path_factory.mktemp("street"), np.random.default_rng(0)
    for split, names in (("train", "abcd"), ("test", "xyz")):
        for name in names:
            ir, vis = random.integers(0, 256, (48, 64)), random.integers(0, 256, (48, 64, 3))
            ir[16:32, 16:32] = 255
            write_image(folder / split / "ir" / f"{name}.png", ir.astype(np.uint8))
            write_image(folder / split / "vis" / f"{name}.png", vis.astype(np.uint8))
    mask = np.zeros((48, 64), np.uint8)
    mask[16:32, 16:32] = 255
    write_image(folder / "test" / "mask" / "y.png", mask)
    return folder


@pytest.fixture(scope="module")
def run(street, tmp_path_factory):
    """A finished run."""
    output = tmp_path_factory.mktemp("runs") / "lite"
    data = check_pairs(discover([street / "train"], split="train").pairs)
    recipe = load_recipe("lite", overrides=SMALL)
    train(recipe, data, output=output, device="cpu", command=f"edgefuse train lite --output {output} --short")
    return output


def test_a_run_becomes_files_that_work_by_name(run, street, tmp_path, monkeypatch, capsys):
    """Weights, graph and manifest verify; the name then fuses, loads pretrained, and its scores can be made again."""
    assert (
        main(
            [
                str(run),
                "--test",
                str(street / "test"),
                "--assets",
                str(tmp_path),
                "--data-licence",
                "own",
                "--remark",
                "dim",
            ]
        )
        == 0
    )
    assert "lite.onnx" in capsys.readouterr().out
    manifest = verify(tmp_path / "lite.onnx")
    assert manifest.weights["sha256"] == sha256_file(tmp_path / "lite.safetensors")
    assert manifest.weights["size_bytes"] == (tmp_path / "lite.safetensors").stat().st_size
    assert [manifest.weights[key] for key in ("licence", "data", "remark")] == ["Apache-2.0", "own", "dim"]
    assert manifest.training["command"] == "edgefuse train lite --short"
    assert manifest.cost["parameters"] > 0
    assert manifest.parity["passed"]
    monkeypatch.setattr(zoo, "ASSETS", tmp_path)
    network = models.create("lite", pretrained=True)
    assert score_network(network, [street / "test"]) == manifest.training["metrics"]
    with edgefuse.load("lite") as fuse:
        fused = fuse(read_ir(street / "test/ir/x.png"), read_vis(street / "test/vis/x.png"))
    assert fused.shape == (48, 64, 3)


def test_scores_count_scenes_with_targets_apart(street):
    """Every second scene of those with a mask and of those without; the middle alone where asked for."""
    network = models.create("lite", channels=4)
    scores = score_network(network, [street / "test"], every=2)["sets"]
    (one,) = scores.values()
    assert (one["images"], one["with_mask"]) == (2, 1)
    assert one["means"]["TR"] == one["means"]["TR_worst"]
    whole = score_network(network, [street / "test"])["sets"]
    middle = score_network(network, [street / "test"], crop_px=40)["sets"]
    assert whole != middle
    assert score_network(network, [street / "test"], crop_px=100)["sets"] == whole


def test_a_run_without_an_end_is_not_released(run, tmp_path, capsys):
    """What was stopped says how to go on; a folder without a run and a call without test sets are refused."""
    record = json.loads((run / "training.json").read_text())
    (tmp_path / "training.json").write_text(json.dumps({**record, "finished": False}))
    assert main([str(tmp_path), "--test", str(tmp_path)]) == UsageError.exit_code
    assert "--resume" in capsys.readouterr().err
    assert main([str(tmp_path / "none"), "--test", str(tmp_path)]) == 1
    assert main([str(run)]) == UsageError.exit_code


def graph_with(weights):
    """A graph of one convolution."""
    nodes = [helper.make_node("Conv", ["ir", "w"], ["fused"], pads=[1, 1, 1, 1])]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, 8, 8])
        for name, channels in (("ir", 16), ("fused", 64))
    ]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [numpy_helper.from_array(weights, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return model.SerializeToString()


def test_weights_that_are_exact_in_fp16_take_half_the_bytes_and_change_nothing():
    """The outputs are equal to the bit; weights that would change stay as they are."""
    random = np.random.default_rng(0)
    weights = random.normal(size=(64, 16, 3, 3)).astype(np.float32)
    assert compact_graph(graph_with(weights)) == graph_with(weights)
    exact = graph_with(weights.astype(np.float16).astype(np.float32))
    smaller = compact_graph(exact)
    assert len(smaller) < 0.55 * len(exact)
    onnx.checker.check_model(onnx.load_from_string(smaller), full_check=True)
    ir = random.normal(size=(1, 16, 8, 8)).astype(np.float32)
    before, after = (
        onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"]).run(None, {"ir": ir})[0]
        for content in (exact, smaller)
    )
    assert np.array_equal(before, after)


def test_half_precision_weights_load_into_a_network_of_full_precision(tmp_path):
    """The loader brings them to fp32."""
    network = models.create("lite", channels=4)
    models.save_weights(models.create("lite", channels=4).half(), tmp_path / "half.safetensors")
    models.load_weights(network, tmp_path / "half.safetensors")
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
