"""Pixel shuffles as transpositions: the same bits at any size, and only where one channel is left."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from edgefuse.export.pixel_shuffle import shuffle_by_transposing

RNG = np.random.default_rng(0)


def model(shape: list[int | str], *, block: int = 4, mode: str = "CRD") -> onnx.ModelProto:
    """A pixel shuffle alone."""
    node = helper.make_node("DepthToSpace", ["x"], ["y"], blocksize=block, mode=mode)
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [node], "g", [value("x", TensorProto.FLOAT, shape)], [value("y", TensorProto.FLOAT, [None] * 4)]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def run(model: onnx.ModelProto, image: np.ndarray) -> np.ndarray:
    """The model's output."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["y"], {"x": image})[0])


@pytest.mark.parametrize("mode", ["CRD", "DCR"])
@pytest.mark.parametrize("block", [2, 4])
@pytest.mark.parametrize("dynamic", [False, True])
def test_every_pixel_finds_its_place(mode: str, block: int, dynamic: bool) -> None:
    """Sides that differ, several pictures, and a graph that leaves all of them open."""
    sizes = [2, 5, 7]
    batch, height, width = ["batch", "height", "width"] if dynamic else sizes
    original = model([batch, block * block, height, width], block=block, mode=mode)
    rewritten = shuffle_by_transposing(original)
    onnx.checker.check_model(rewritten, full_check=True)
    assert "DepthToSpace" not in [node.op_type for node in rewritten.graph.node]
    image = RNG.random((sizes[0], block * block, *sizes[1:]), dtype=np.float32)
    np.testing.assert_array_equal(run(rewritten, image), run(original, image))


@pytest.mark.parametrize("channels", [32, "channels"])
def test_other_shuffles_stay(channels: int | str) -> None:
    """With two channels left the order of channels matters, and an unknown number may be two."""
    rewritten = shuffle_by_transposing(model([1, channels, 5, 7]))
    assert [node.op_type for node in rewritten.graph.node] == ["DepthToSpace"]
