"""fp32 products with constants as convolutions: the same numbers."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgefuse.export.turing import products_as_convolutions

RNG = np.random.default_rng(0)


def matrix(*shape: int) -> np.ndarray:
    """Random weights."""
    return RNG.standard_normal(shape).astype(np.float32)


def model(node: onnx.NodeProto, constants: dict[str, np.ndarray], shape: list[int | str]) -> onnx.ModelProto:
    """A graph of one node."""
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * len(shape))],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def run(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    """The model's output."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0])


CASES = {
    "left": (helper.make_node("MatMul", ["w", "x"], ["y"]), {"w": matrix(5, 7)}, (2, 3, 7, 4)),
    "left in groups": (helper.make_node("MatMul", ["w", "x"], ["y"]), {"w": matrix(3, 5, 7)}, (2, 3, 7, 4)),
    "right": (helper.make_node("MatMul", ["x", "w"], ["y"]), {"w": matrix(4, 6)}, (2, 3, 7, 4)),
    "gemm": (helper.make_node("Gemm", ["x", "w", "b"], ["y"]), {"w": matrix(4, 6), "b": matrix(6)}, (9, 4)),
    "gemm transposed": (helper.make_node("Gemm", ["x", "w"], ["y"], transB=1), {"w": matrix(6, 4)}, (9, 4)),
}


@pytest.mark.parametrize("name", list(CASES))
def test_convolution_gives_the_product(name: str) -> None:
    """From either side, with one matrix or several, with a bias."""
    node, constants, shape = CASES[name]
    original = model(node, constants, list(shape))
    rewritten = products_as_convolutions(original)
    assert {one.op_type for one in rewritten.graph.node} <= {"Reshape", "Transpose", "Conv"}
    onnx.checker.check_model(rewritten)
    x = RNG.standard_normal(shape).astype(np.float32)
    np.testing.assert_allclose(run(rewritten, x), run(original, x), atol=1e-5)


def test_free_batch_stays_free() -> None:
    """One dynamic dimension passes through the reshapes."""
    node, constants, shape = CASES["left in groups"]
    rewritten = products_as_convolutions(model(node, constants, ["batch", *shape[1:]]))
    for batch in (1, 3):
        x = RNG.standard_normal((batch, *shape[1:])).astype(np.float32)
        np.testing.assert_allclose(run(rewritten, x), constants["w"] @ x, atol=1e-5)


@pytest.mark.parametrize(
    ("node", "constants"),
    [
        (helper.make_node("MatMul", ["x", "x"], ["y"]), {}),
        (helper.make_node("Gemm", ["x", "w"], ["y"], alpha=2.0), {"w": matrix(4, 4)}),
    ],
)
def test_what_is_no_plain_product_with_a_constant_stays(node: onnx.NodeProto, constants: dict[str, np.ndarray]) -> None:
    """Attention multiplies two computed values."""
    rewritten = products_as_convolutions(model(node, constants, [4, 4]))
    assert [one.op_type for one in rewritten.graph.node] == [node.op_type]
