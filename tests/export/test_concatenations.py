"""1x1 convolutions of concatenations as sums: the same numbers, and only where it pays."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgefuse.export.concatenations import convolve_before_concatenating

RNG = np.random.default_rng(0)
X, Y = (RNG.standard_normal((2, channels, 5, 6)).astype(np.float32) for channels in (3, 4))


def model(
    *, kernel: int = 1, bias: bool = True, axis: int = 1, returned: bool = False, **attributes: object
) -> onnx.ModelProto:
    """Two inputs concatenated and convolved; ``returned`` gives the concatenation as well."""
    channels = 7 if axis == 1 else 3
    weights = RNG.standard_normal((8, channels, kernel, kernel)).astype(np.float32)
    constants = [numpy_helper.from_array(weights, "w")]
    if bias:
        constants.append(numpy_helper.from_array(RNG.standard_normal(8).astype(np.float32), "b"))
    nodes = [
        helper.make_node("Concat", ["x", "y"], ["xy"], axis=axis),
        helper.make_node("Conv", ["xy", "w", *(["b"] if bias else [])], ["z"], **attributes),
    ]
    sizes = [X.shape, Y.shape] if axis == 1 else [X.shape, X.shape]
    outputs = ["z", "xy"] if returned else ["z"]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, size) for name, size in zip("xy", sizes, strict=True)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * 4) for name in outputs],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def run(model: onnx.ModelProto, output: str = "z") -> np.ndarray:
    """One of the model's outputs."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run([output], {"x": X, "y": Y})[0])


def operators(model: onnx.ModelProto) -> list[str]:
    """Operators in order."""
    return [node.op_type for node in model.graph.node]


@pytest.mark.parametrize("bias", [True, False])
def test_the_sum_is_the_convolution(bias: bool) -> None:
    """With a bias, which is added once, and without."""
    original = model(bias=bias)
    rewritten = convolve_before_concatenating(original, at_least_bytes=0)
    onnx.checker.check_model(rewritten, full_check=True)
    assert operators(rewritten) == ["Conv", "Conv", "Add"]
    assert operators(original) == ["Concat", "Conv"]
    np.testing.assert_allclose(run(rewritten), run(original), atol=1e-5)


def test_every_convolution_that_reads_it_becomes_a_sum() -> None:
    """And a size that the graph leaves open counts as large."""
    original = model()
    original.graph.node.append(helper.make_node("Conv", ["xy", "w"], ["second"]))
    original.graph.output.append(helper.make_tensor_value_info("second", TensorProto.FLOAT, [None] * 4))
    for value in original.graph.input:
        value.type.tensor_type.shape.dim[2].dim_param = "height"
    rewritten = convolve_before_concatenating(original)
    assert sorted(operators(rewritten)) == ["Add", "Add", "Conv", "Conv", "Conv", "Conv"]
    for name in ("z", "second"):
        np.testing.assert_allclose(run(rewritten, name), run(original, name), atol=1e-5)


def test_a_reader_that_needs_it_keeps_it() -> None:
    """Then the concatenation is written all the same."""
    original = model()
    original.graph.node.append(helper.make_node("Relu", ["xy"], ["second"]))
    original.graph.output.append(helper.make_tensor_value_info("second", TensorProto.FLOAT, [None] * 4))
    assert operators(convolve_before_concatenating(original, at_least_bytes=0)) == ["Concat", "Conv", "Relu"]


@pytest.mark.parametrize(
    "other",
    [
        model(kernel=3, pads=[1, 1, 1, 1]),
        model(strides=[2, 2]),
        model(pads=[1, 1, 1, 1]),
        model(axis=2),
        model(returned=True),
    ],
    ids=["3x3", "strided", "padded", "other axis", "concatenation wanted"],
)
def test_other_graphs_stay(other: onnx.ModelProto) -> None:
    """Anything but a plain 1x1 convolution that alone reads a concatenation over the channels."""
    assert operators(convolve_before_concatenating(other, at_least_bytes=0)) == ["Concat", "Conv"]


def test_small_concatenations_stay() -> None:
    """What fits the caches is faster as it is."""
    assert operators(convolve_before_concatenating(model())) == ["Concat", "Conv"]
