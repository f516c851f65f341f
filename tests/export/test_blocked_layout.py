"""Sums that are taken in the layout of ONNX Runtime's convolutions: the same bits, and only where it pays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgefuse.export.blocked_layout import add_in_blocked_layout

RNG = np.random.default_rng(0)


def model(
    *, channels: int = 16, product: str = "MatMul", batch: int | str = 1, returned: bool = False
) -> onnx.ModelProto:
    """Convolution plus a product of the same picture, convolved; ``returned`` gives the product as well."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["convolved"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["convolved"], ["local"]),
        helper.make_node(product, ["x", "m"], ["product"]),
        helper.make_node("Transpose", ["product"], ["moved"], perm=[0, 1, 3, 2]),
        helper.make_node("Add", ["local", "moved"], ["sum"]),
        helper.make_node("Conv", ["sum", "w"], ["y"], pads=[1, 1, 1, 1]),
    ]
    weights = RNG.standard_normal((channels, channels, 3, 3)).astype(np.float32)
    constants = [numpy_helper.from_array(weights, "w")]
    constants.append(numpy_helper.from_array(RNG.standard_normal((6, 6)).astype(np.float32), "m"))
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", TensorProto.FLOAT, [batch, channels, 6, 6])],
        [value(name, TensorProto.FLOAT, [None] * 4) for name in (["y", "moved"] if returned else ["y"])],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def operators(model: onnx.ModelProto) -> list[str]:
    """Operators in order."""
    return [node.op_type for node in model.graph.node]


def run(model: onnx.ModelProto, image: np.ndarray, optimised: Path | None = None) -> np.ndarray:
    """The model's output; what ONNX Runtime makes of its graph is written to a file."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if optimised is not None:
        options.optimized_model_filepath = str(optimised)
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["y"], {"x": image})[0])


def test_the_sum_stays_the_same_to_the_bit_and_in_blocks(tmp_path: Path) -> None:
    """ONNX Runtime takes the sum within the inserted convolution, and leaves the blocks at the end alone."""
    original = model()
    image = RNG.standard_normal((1, 16, 6, 6)).astype(np.float32)
    rewritten = add_in_blocked_layout(original, at_least_bytes=0)
    onnx.checker.check_model(rewritten, full_check=True)
    assert operators(rewritten) == ["Conv", "Relu", "MatMul", "Transpose", "Conv", "Add", "Conv"]
    assert operators(original) == ["Conv", "Relu", "MatMul", "Transpose", "Add", "Conv"]
    np.testing.assert_array_equal(run(rewritten, image, tmp_path / "blocked.onnx"), run(original, image))
    made = operators(onnx.load(tmp_path / "blocked.onnx"))
    if "ReorderOutput" in made:  # a processor on which ONNX Runtime has such a layout
        assert "Add" not in made
        assert made.count("ReorderOutput") == 1


@pytest.mark.parametrize(
    "other",
    [model(channels=12), model(product="Mul"), model(batch="n"), model(returned=True)],
    ids=["no whole blocks", "no matrix product", "dynamic", "product wanted"],
)
def test_other_graphs_stay(other: onnx.ModelProto) -> None:
    """Anything but a large sum of a convolution and a product that nothing else reads."""
    assert operators(add_in_blocked_layout(other, at_least_bytes=0)) == operators(other)


def test_small_sums_stay() -> None:
    """What fits the caches is faster as it is."""
    assert operators(add_in_blocked_layout(model())) == operators(model())
