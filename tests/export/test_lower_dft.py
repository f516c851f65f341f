"""Lowered DFT nodes against numpy's FFT, through ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgefuse.errors import ArtifactError, UsageError
from edgefuse.export import lower_dft
from edgefuse.export.dft import count_dft

# Worst seen over 20 000 examples: 3.9e-7 of the largest value (float32), 9.8e-16 (float64), 7.8e-4 (float16).
TOLERANCE = {np.float32: 1e-6, np.float64: 4e-15, np.float16: 2e-3}
ONNX_TYPE = {np.float32: TensorProto.FLOAT, np.float64: TensorProto.DOUBLE, np.float16: TensorProto.FLOAT16}


@dataclass(frozen=True)
class Dft:
    """One DFT node to build."""

    axis: int
    length: int | None = None
    inverse: bool = False
    onesided: bool = False
    scale: float | None = None


def build(
    shape: Sequence[int | str], nodes: Sequence[Dft], *, opset: int = 20, dtype: type = np.float32
) -> onnx.ModelProto:
    """A model that is a chain of DFT nodes, each with a scale factor behind it if it has one."""
    graph_nodes, initializers, name = [], [], "x"
    for i, node in enumerate(nodes):
        inputs, attributes = [name, ""], {"inverse": int(node.inverse), "onesided": int(node.onesided)}
        if node.length is not None:
            initializers.append(numpy_helper.from_array(np.array(node.length, dtype=np.int64), f"length{i}"))
            inputs[1] = f"length{i}"
        if opset >= 20:
            initializers.append(numpy_helper.from_array(np.array(node.axis, dtype=np.int64), f"axis{i}"))
            inputs.append(f"axis{i}")
        else:
            attributes["axis"] = node.axis
        while inputs[-1] == "":
            inputs.pop()
        graph_nodes.append(helper.make_node("DFT", inputs, [f"y{i}"], name=f"dft{i}", **attributes))
        name = f"y{i}"
        if node.scale is not None:
            initializers.append(numpy_helper.from_array(np.array(node.scale, dtype=dtype), f"scale{i}"))
            graph_nodes.append(helper.make_node("Mul", [name, f"scale{i}"], [f"z{i}"]))
            name = f"z{i}"
    graph = helper.make_graph(
        graph_nodes,
        "chain",
        [helper.make_tensor_value_info("x", ONNX_TYPE[dtype], shape)],
        [helper.make_tensor_value_info(name, ONNX_TYPE[dtype], None)],
        initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def run(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    """The model's output in ONNX Runtime on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    if x.dtype == np.float16:  # ONNX Runtime 1.31 crashes when it fuses a float16 Transpose into a MatMul on the CPU
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (output,) = session.run(None, {"x": x})
    return np.asarray(output)


def expected(x: np.ndarray, nodes: Sequence[Dft]) -> np.ndarray:
    """What numpy computes in float64 for the same chain."""
    z = x.astype(np.float64)
    value = z[..., 0] if z.shape[-1] == 1 else z[..., 0] + 1j * z[..., 1]
    for node in nodes:
        axis = node.axis if node.axis >= 0 else node.axis + 1
        if node.inverse and node.onesided:
            value = np.fft.irfft(value, n=node.length, axis=axis)
        elif node.inverse:
            value = np.fft.ifft(value, n=node.length, axis=axis)
        elif node.onesided:
            value = np.fft.rfft(np.real(value), n=node.length, axis=axis)
        else:
            value = np.fft.fft(value, n=node.length, axis=axis)
        value = value * (1.0 if node.scale is None else node.scale)
    if nodes[-1].inverse and nodes[-1].onesided:
        return value[..., None]
    return np.stack([value.real, value.imag], axis=-1)


def assert_equal(
    model: onnx.ModelProto, x: np.ndarray, wanted: np.ndarray, *, method: str, target: str = "cpu"
) -> None:
    """The lowered model holds no DFT and gives what is wanted."""
    lowered = lower_dft(model, method=method, target=target)
    assert count_dft(lowered) == 0
    got = run(lowered, x)
    assert got.shape == wanted.shape
    assert np.abs(got - wanted).max() <= TOLERANCE[x.dtype.type] * max(np.abs(wanted).max(), np.abs(x).max())


@st.composite
def single_nodes(draw: st.DrawFn) -> tuple[tuple[int, ...], Dft, int, type]:
    """A random shape, node, opset and element type."""
    rank = draw(st.integers(1, 4))
    shape = [draw(st.integers(1, 5)) for _ in range(rank)]
    axis = draw(st.integers(0, rank - 1))
    shape[axis] = draw(st.integers(1, 36))
    inverse, onesided = draw(st.booleans()), draw(st.booleans())
    parts = (2 if inverse else 1) if onesided else draw(st.sampled_from([1, 2]))
    fixed = draw(st.booleans()) or (inverse and onesided and shape[axis] == 1)
    length = draw(st.integers(1, 40)) if fixed else None
    signed = axis - rank - 1 if draw(st.booleans()) else axis
    dtype = draw(st.sampled_from([np.float32, np.float32, np.float64, np.float16]))
    opset = draw(st.sampled_from([17, 18, 20, 21]))
    return (*shape, parts), Dft(signed, length, inverse, onesided, draw(st.sampled_from([None, 0.25]))), opset, dtype


@settings(max_examples=120, deadline=None)
@given(case=single_nodes(), method=st.sampled_from(["auto", "dense", "radix"]), seed=st.integers(0, 99))
def test_any_single_node_equals_numpy(case: tuple[tuple[int, ...], Dft, int, type], method: str, seed: int) -> None:
    """Every direction, side, axis, length, opset and element type."""
    shape, node, opset, dtype = case
    x = np.random.default_rng(seed).standard_normal(shape).astype(dtype)
    assert_equal(build(shape, [node], opset=opset, dtype=dtype), x, expected(x, [node]), method=method)


@settings(max_examples=80, deadline=None)
@given(
    rank=st.integers(2, 4),
    lengths=st.tuples(st.integers(1, 18), st.integers(1, 18), st.integers(1, 6)),
    channels=st.integers(1, 10),
    inverse=st.booleans(),
    parts=st.sampled_from([1, 2]),
    order=st.permutations([0, 1, 2]),
    method=st.sampled_from(["auto", "dense", "radix"]),
)
def test_chains_over_several_axes_equal_numpy(
    rank: int,
    lengths: tuple[int, int, int],
    channels: int,
    inverse: bool,
    parts: int,
    order: list[int],
    method: str,
) -> None:
    """Transforms over two or three axes in any order, with a factor on each."""
    shape = (2, channels, *lengths[: rank - 1], parts)
    nodes = [Dft(2 + axis, None, inverse, scale=0.5) for axis in order if axis < rank - 1]
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    assert_equal(build(shape, nodes), x, expected(x, nodes), method=method)


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 20),
    width=st.integers(1, 20),
    channels=st.sampled_from([1, 3, 8, 9]),
    there=st.sampled_from(["auto", "dense", "radix"]),
    target=st.sampled_from(["cpu", "tensor-core"]),
)
def test_real_image_survives_the_round_trip(height: int, width: int, channels: int, there: str, target: str) -> None:
    """rfft2 then irfft2 gives the image back, odd and prime sizes included."""
    shape = (1, channels, height, width, 1)
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    nodes = [
        Dft(3, None, onesided=True, scale=width**-0.5),
        Dft(2, None, scale=height**-0.5),
        Dft(2, None, inverse=True, scale=height**0.5),
        Dft(3, width, inverse=True, onesided=True, scale=width**0.5),
    ]
    assert_equal(build(shape, nodes), x, x, method=there, target=target)


@pytest.mark.parametrize("method", ["dense", "radix"])
def test_batch_may_be_dynamic(method: str) -> None:
    """A dynamic batch stays dynamic."""
    nodes = [Dft(3, None, onesided=True), Dft(2), Dft(2, inverse=True), Dft(3, 12, inverse=True, onesided=True)]
    lowered = lower_dft(build(["batch", 9, 8, 12, 1], nodes), method=method)
    assert count_dft(lowered) == 0
    for batch in (1, 3):
        x = np.random.default_rng(0).standard_normal((batch, 9, 8, 12, 1)).astype(np.float32)
        np.testing.assert_allclose(run(lowered, x), x, atol=1e-5)


def test_keep_changes_nothing_and_the_input_is_never_modified() -> None:
    """The caller's model is left as it was by every method."""
    model = build((1, 4, 12, 1), [Dft(2)])
    before = model.SerializeToString(deterministic=True)
    assert lower_dft(model, method="keep").SerializeToString(deterministic=True) == before
    lower_dft(model)
    assert model.SerializeToString(deterministic=True) == before


def test_input_and_output_names_stay() -> None:
    """A lowered model is a drop-in for the original."""
    lowered = lower_dft(build((1, 4, 12, 1), [Dft(2)]))
    assert [value.name for value in lowered.graph.input] == ["x"]
    assert [value.name for value in lowered.graph.output] == ["y0"]


def test_node_in_a_branch_is_lowered() -> None:
    """DFT nodes in the subgraphs of an If are rewritten too."""
    branches = {}
    for key, inverse in (("then_branch", 0), ("else_branch", 1)):
        node = helper.make_node("DFT", ["x", "", "axis"], [key], inverse=inverse)
        output = helper.make_tensor_value_info(key, TensorProto.FLOAT, [2, 6, 2])
        branches[key] = helper.make_graph([node], key, [], [output])
    total = helper.make_node("ReduceSum", ["x"], ["total"], keepdims=0)
    condition = helper.make_node("Greater", ["total", "zero"], ["positive"])
    choice = helper.make_node("If", ["positive"], ["y"], **branches)
    graph = helper.make_graph(
        [total, condition, choice],
        "branches",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 6, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 6, 2])],
        [numpy_helper.from_array(np.array(1), "axis"), numpy_helper.from_array(np.array(0, dtype=np.float32), "zero")],
    )
    lowered = lower_dft(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10))
    assert count_dft(lowered) == 0
    x = np.random.default_rng(0).standard_normal((2, 6, 2)).astype(np.float32)
    for sign in (1, -1):
        signed = sign * np.sign(x.sum()) * x
        wanted = expected(signed, [Dft(1, inverse=sign < 0)])
        np.testing.assert_allclose(run(lowered, signed), wanted, atol=1e-5)


# Every kind of transform over an axis of unknown length, with how many parts it reads.
FREE = {
    "fft": (Dft(2), 2),
    "fft of a real signal": (Dft(2, scale=0.25), 1),
    "rfft": (Dft(2, onesided=True), 1),
    "ifft": (Dft(2, inverse=True, scale=3.0), 2),
    "ifft of a real spectrum": (Dft(2, inverse=True), 1),
    "irfft": (Dft(2, inverse=True, onesided=True), 2),
    "fft, padded or cut": (Dft(-2, 12), 2),
    "rfft, padded or cut": (Dft(2, 9, onesided=True), 1),
    "irfft, padded or cut": (Dft(2, 9, inverse=True, onesided=True), 2),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("kind", FREE)
def test_free_length_equals_numpy(kind: str, dtype: type) -> None:
    """One graph computes every length, odd and prime ones included, with batch and channels free too."""
    node, parts = FREE[kind]
    lowered = lower_dft(build(["batch", "channels", "length", parts], [node], dtype=dtype))
    assert count_dft(lowered) == 0
    for length in (2, 3, 7, 12, 45, 64):
        x = np.random.default_rng(0).standard_normal((2, 3, length, parts)).astype(dtype)
        wanted, got = expected(x, [node]), run(lowered, x)
        assert got.shape == wanted.shape
        # Worst seen: 4.1e-7 of the largest value (float32), 7.1e-16 (float64), 5.2e-4 (float16).
        assert np.abs(got - wanted).max() <= TOLERANCE[dtype] * max(np.abs(wanted).max(), np.abs(x).max())


@pytest.mark.parametrize("height", [1, 6, 11])
@pytest.mark.parametrize("width", [2, 9, 20])
def test_free_height_and_width_survive_the_round_trip(height: int, width: int) -> None:
    """rfft2 over two free axes, then irfft2 of a length that is computed at run time."""
    nodes = [Dft(3, onesided=True), Dft(2), Dft(2, inverse=True), Dft(3, 1, inverse=True, onesided=True)]
    model = build([1, 3, "height", "width", 1], nodes)
    (stored,) = (one for one in model.graph.initializer if one.name == "length3")
    model.graph.initializer.remove(stored)
    model.graph.node.insert(0, helper.make_node("Shape", ["x"], ["widths"], start=3, end=4))
    model.graph.node.insert(1, helper.make_node("Squeeze", ["widths"], ["length3"]))
    lowered = lower_dft(model)
    assert count_dft(lowered) == 0
    x = np.random.default_rng(0).standard_normal((1, 3, height, width, 1)).astype(np.float32)
    np.testing.assert_allclose(run(lowered, x), x, atol=2e-6)


def test_free_length_stays_exact_where_it_is_long() -> None:
    """Angles are reduced in whole numbers: n k grows to 2 million here, past what fp32 counts finely."""
    lowered = lower_dft(build([1, 1, "length", 1], [Dft(2, onesided=True)]))
    x = np.random.default_rng(0).standard_normal((1, 1, 2039, 1)).astype(np.float32)
    wanted = expected(x, [Dft(2, onesided=True)])
    assert np.abs(run(lowered, x) - wanted).max() <= 1e-6 * np.abs(wanted).max()


def test_transforms_of_one_free_length_share_a_matrix() -> None:
    """Though between them lie nodes behind which shape inference no longer knows the length."""
    model = build([1, 4, "length", 1], [Dft(2, onesided=True)])
    model.graph.input[0].name = "signal"
    weights = numpy_helper.from_array(np.ones((4, 4, 3, 1), dtype=np.float32), "weights")
    model.graph.initializer.append(weights)
    conv = helper.make_node("Conv", ["signal", "weights"], ["convolved"], pads=[1, 0, 1, 0])
    model.graph.node.insert(0, conv)
    model.graph.node.insert(1, helper.make_node("Relu", ["convolved"], ["x"]))
    model.graph.node.append(helper.make_node("DFT", ["signal", "", "axis0"], ["z"], onesided=1))
    model.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, None))
    lowered = lower_dft(model)
    operators = [node.op_type for node in lowered.graph.node]
    assert (operators.count("MatMul"), operators.count("Sin"), operators.count("Shape")) == (2, 1, 1)


def test_scaling_by_a_computed_number_goes_into_the_matrix() -> None:
    """As PyTorch writes an ortho transform: divided by the root of a length that is read off the result."""
    model = build([1, 2, "height", "width", 2], [Dft(3), Dft(2)])
    steps = [
        helper.make_node("Shape", ["y0"], ["size"], start=2, end=3),
        helper.make_node("Cast", ["size"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Sqrt", ["real"], ["root"]),
        helper.make_node("Div", ["y0", "root"], ["z0"]),
    ]
    for place, node in enumerate(steps, start=1):
        model.graph.node.insert(place, node)
    model.graph.node[-1].input[0] = "z0"
    lowered = lower_dft(model)
    assert not {"Transpose", "DFT"} & {node.op_type for node in lowered.graph.node[:-3]}
    x = np.random.default_rng(0).standard_normal((1, 2, 5, 6, 2)).astype(np.float32)
    wanted = expected(x, [Dft(3), Dft(2)]) / np.sqrt(5)
    np.testing.assert_allclose(run(lowered, x), wanted, atol=1e-5)


def test_unknown_rank_and_axis_are_refused() -> None:
    """The message names the node and what to do."""
    model = build([1, 8, 1], [Dft(1)])
    model.graph.initializer.pop()
    model.graph.input.append(helper.make_tensor_value_info("axis0", TensorProto.INT64, []))
    with pytest.raises(ArtifactError, match=r"dft0.*axis is computed at run time.*imgsz"):
        lower_dft(model)
    model = build([1, 8, 1], [Dft(1)])
    model.graph.node[0].input[0] = "reshaped"
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y0", TensorProto.FLOAT, ["a", "b", 2]))
    model.graph.input.append(helper.make_tensor_value_info("sizes", TensorProto.INT64, ["rank"]))
    model.graph.node.insert(0, helper.make_node("Reshape", ["x", "sizes"], ["reshaped"]))
    with pytest.raises(ArtifactError, match=r"dft0.*shape of its input 'reshaped' is unknown.*imgsz"):
        lower_dft(model)


def test_unknown_method_and_target_are_refused() -> None:
    """The message lists what is allowed."""
    model = build((1, 8, 1), [Dft(1)])
    with pytest.raises(UsageError, match="auto, dense, radix, keep, not 'fast'"):
        lower_dft(model, method="fast")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="cpu, tensor-core, not 'tpu'"):
        lower_dft(model, target="tpu")  # type: ignore[arg-type]


def test_invalid_model_is_refused_in_one_line() -> None:
    """Broken graphs are named as such."""
    model = build((1, 8, 1), [Dft(1)])
    model.graph.node[0].input[0] = "nowhere"
    with pytest.raises(ArtifactError, match="not valid ONNX"):
        lower_dft(model)
