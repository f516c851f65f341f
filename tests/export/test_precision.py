"""Lower precision in the graph: by Model Optimizer where it is installed, by ONNX Runtime's tools elsewhere."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgefuse.errors import ArtifactError, MissingDependencyError, UsageError
from edgefuse.export import lower_dft, precision
from edgefuse.export.graph_inference import graph_inference
from edgefuse.export.parity import LIMITS, compare
from edgefuse.export.precision import simulate_bf16, to_precision
from edgefuse.export.quantisation import refuse_quantised_for_cpu
from edgefuse.export.value_ranges import largest_values

HEIGHT, WIDTH, CHANNELS = 16, 24, 16
RNG = np.random.default_rng(0)
SAMPLES = [[RNG.random((1, 1, HEIGHT, WIDTH), dtype=np.float32) for _ in range(2)] for _ in range(4)]


def network(*, ortho: bool = True, free: bool = False) -> onnx.ModelProto:
    """A convolution, a spectral one and a last one, as a lowered graph; of any height and width where it is free."""
    size = ["height", "width"] if free else [HEIGHT, WIDTH]
    scale = (HEIGHT * WIDTH) ** -0.5 if ortho else 1000.0

    random = np.random.default_rng(1)

    def weights(name: str, *shape: int) -> onnx.TensorProto:
        fan_in = np.prod(shape[1:]) if len(shape) > 1 else 1
        return numpy_helper.from_array((random.standard_normal(shape) / fan_in**0.5).astype(np.float32), name)

    def constant(name: str, value: object, dtype: type = np.int64) -> onnx.TensorProto:
        return numpy_helper.from_array(np.array(value, dtype=dtype), name)

    make = helper.make_node
    nodes = [
        make("Concat", ["ir", "vis"], ["both"], axis=1),
        make("Conv", ["both", "w1", "b1"], ["c1"], name="first", pads=[1, 1, 1, 1]),
        make("Relu", ["c1"], ["r1"]),
        make("Unsqueeze", ["r1", "last"], ["u"]),
        make("DFT", ["u", "", "axis3"], ["f1"], onesided=1),
        make("DFT", ["f1", "", "axis2"], ["f2"]),
        make("Mul", ["f2", "scale"], ["f3"]),
        make("Relu", ["f3"], ["f4"]),
        make("DFT", ["f4", "", "axis2"], ["g1"], inverse=1),
        make("DFT", ["g1", "width", "axis3"], ["g2"], inverse=1, onesided=1),
        make("Div", ["g2", "scale"], ["g3"]),
        make("Squeeze", ["g3", "last"], ["s"]),
        make("Conv", ["s", "w2"], ["c2"], name="second"),
        make("Sigmoid", ["c2"], ["fused"]),
    ]
    initializers = [
        *(weights("w1", CHANNELS, 2, 3, 3), weights("b1", CHANNELS), weights("w2", 1, CHANNELS, 1, 1)),
        *(constant("last", [-1]), constant("axis3", 3), constant("axis2", 2), constant("width", WIDTH)),
        constant("scale", scale, np.float32),
    ]
    images = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, *size]) for name in ("ir", "vis")]
    output = helper.make_tensor_value_info("fused", TensorProto.FLOAT, [1, 1, *size])
    graph = helper.make_graph(nodes, "g", images, [output], initializers)
    return lower_dft(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9))


def outputs(model: onnx.ModelProto) -> np.ndarray:
    """What a graph gives on the samples, on the CPU without fusions."""
    infer = graph_inference(model.SerializeToString(), optimise=False)
    return np.stack([infer(images) for images in SAMPLES])


def assert_close(got: np.ndarray, wanted: np.ndarray, kind: str) -> None:
    """Within the limits of an export."""
    found, limits = compare(got, wanted), LIMITS[kind]  # type: ignore[index]
    assert found.mean_abs_error <= limits.mean_abs_error
    assert found.max_abs_error <= limits.max_abs_error
    assert found.cosine >= limits.cosine


def weight_types(model: onnx.ModelProto) -> Counter[int]:
    """Element types of the floating-point initializers."""
    floats = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16)
    return Counter(tensor.data_type for tensor in model.graph.initializer if tensor.data_type in floats and tensor.dims)


@pytest.fixture(params=["modelopt", "onnxruntime"])
def tool(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each tool in turn."""
    if request.param == "modelopt":
        pytest.importorskip("modelopt.onnx.autocast")
    else:
        monkeypatch.setattr(precision, "_model_optimiser", lambda: False)
    return str(request.param)


def test_fp16_graph_stays_close_and_keeps_its_inputs(tool: str) -> None:
    """Weights are fp16, inputs and output fp32, the picture the same."""
    model = network()
    converted, builder = to_precision(model, "fp16", samples=SAMPLES)
    assert tool in builder["precision"]
    onnx.checker.check_model(converted)
    assert weight_types(converted)[TensorProto.FLOAT16] >= 7
    values = (*converted.graph.input, *converted.graph.output)
    assert {value.type.tensor_type.elem_type for value in values} == {TensorProto.FLOAT}
    assert_close(outputs(converted), outputs(model), "fp16")


def test_sums_too_wide_for_fp16_stay_in_fp32(tool: str) -> None:
    """An unscaled transform reaches values that fp16 does not hold."""
    model = network(ortho=False)
    feeds = [dict(zip(("ir", "vis"), images, strict=True)) for images in SAMPLES]
    assert max(largest_values(model, feeds).values()) > float(np.finfo(np.float16).max)
    converted, _ = to_precision(model, "fp16", samples=SAMPLES)
    assert weight_types(converted)[TensorProto.FLOAT] > 0
    assert weight_types(converted)[TensorProto.FLOAT16] > 0
    assert_close(outputs(converted), outputs(model), "fp16")


@pytest.mark.usefixtures("tool")
def test_matrices_of_free_lengths_are_made_in_fp32() -> None:
    """fp16 cannot count to the length of a row, and angles in it would be of no use."""
    model = network(free=True)
    converted, _ = to_precision(model, "fp16", samples=SAMPLES)
    inferred = onnx.shape_inference.infer_shapes(converted)
    types = {value.name: value.type.tensor_type.elem_type for value in inferred.graph.value_info}
    assert {types[node.input[0]] for node in converted.graph.node if node.op_type == "Sin"} == {TensorProto.FLOAT}
    assert_close(outputs(converted), outputs(model), "fp16")


@pytest.mark.usefixtures("tool")
def test_int8_for_engines_quantises_convolutions_and_leaves_transforms() -> None:
    """Pairs of quantise and dequantise around a convolution, symmetric, and none at what lower_dft wrote."""
    model = network()
    converted, _ = to_precision(model, "int8", samples=SAMPLES, for_engine=True)
    onnx.checker.check_model(converted)
    makers = {name: node.op_type for node in converted.graph.node for name in node.output}
    seen = Counter()
    for node in converted.graph.node:
        quantised_inputs = [makers.get(name) for name in node.input].count("DequantizeLinear")
        if node.name.startswith("lower_dft."):  # the convolution too that it has drawn the last transform's scale into
            seen["transform"] += node.name.startswith("lower_dft.transform_")
            assert quantised_inputs == 0
        elif node.op_type == "Conv":
            seen["conv"] += quantised_inputs == 2
    assert seen["conv"] >= 1
    assert seen["transform"] == 4
    zero_points = [
        numpy_helper.to_array(tensor)
        for tensor in converted.graph.initializer
        if any(node.op_type.endswith("izeLinear") and tensor.name in node.input[2:] for node in converted.graph.node)
    ]
    assert zero_points
    assert not any(point.any() for point in zero_points)
    assert_close(outputs(converted), outputs(model), "int8")


def two_convolutions() -> onnx.ModelProto:
    """One of 144 products for each value that goes in or out, between two of 2 and 1."""
    random = np.random.default_rng(2)
    weights = [
        numpy_helper.from_array((random.standard_normal(shape) / 17).astype(np.float32), name)
        for name, shape in (("spread", (32, 2, 1, 1)), ("wide", (32, 32, 3, 3)), ("join", (1, 32, 1, 1)))
    ]
    nodes = [
        helper.make_node("Concat", ["ir", "vis"], ["both"], name="stack", axis=1),
        helper.make_node("Conv", ["both", "spread"], ["c1"], name="first"),
        helper.make_node("Relu", ["c1"], ["r1"], name="bend"),
        helper.make_node("Conv", ["r1", "wide"], ["c2"], name="middle", pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["c2", "join"], ["c3"], name="last"),
        helper.make_node("Sigmoid", ["c3"], ["fused"], name="squash"),
    ]
    images = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, HEIGHT, WIDTH]) for name in ("ir", "vis")]
    output = helper.make_tensor_value_info("fused", TensorProto.FLOAT, [1, 1, HEIGHT, WIDTH])
    graph = helper.make_graph(nodes, "g", images, [output], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def quantised_convolutions(model: onnx.ModelProto) -> dict[str, bool]:
    """Whether data and weights of each convolution come from dequantised values."""
    makers = {name: node.op_type for node in model.graph.node for name in node.output}
    return {
        node.name: [makers.get(name) for name in node.input[:2]].count("DequantizeLinear") == 2
        for node in model.graph.node
        if node.op_type == "Conv"
    }


@pytest.mark.usefixtures("tool")
@pytest.mark.parametrize("for_engine", [False, True])
def test_int8_leaves_convolutions_that_are_over_before_their_input_is_quantised(for_engine: bool) -> None:
    """Where one convolution pays, those that do not keep their precision."""
    model = two_convolutions()
    converted, _ = to_precision(model, "int8", samples=SAMPLES, for_engine=for_engine)
    assert quantised_convolutions(converted) == {"first": False, "middle": True, "last": False}
    assert_close(outputs(converted), outputs(model), "int8")


def test_int8_for_a_cpu_is_computed_in_integers(tmp_path: Path) -> None:
    """ONNX Runtime keeps no convolution that dequantises first, and no activation behind one."""
    model = network()
    for node in model.graph.node:
        node.name = "" if node.op_type == "Relu" else node.name  # nodes without names are told apart too
    converted, builder = to_precision(model, "int8", samples=SAMPLES)
    assert builder["precision"].startswith("onnxruntime")
    assert sorted(quantised_convolutions(converted).values()) == [False, True]  # one is lower_dft's
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(converted.SerializeToString(), options, providers=["CPUExecutionProvider"])
    nodes = Counter(node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node)
    assert (nodes["QLinearConv"], nodes["Conv"] + nodes["FusedConv"]) == (1, 1)
    assert nodes["Relu"] == 1  # the one between the transforms, whose frequencies stay in fp32
    got = [session.run(None, dict(zip(("ir", "vis"), images, strict=True)))[0] for images in SAMPLES]
    assert_close(np.stack(got), outputs(model), "int8")


def test_products_of_int8_cannot_overflow_the_sums_of_a_cpu_without_vnni() -> None:
    """Two products of 8 bits and 7 bits fit 16 bits with a sign; of 8 and 8 they do not."""
    converted, _ = to_precision(two_convolutions(), "int8", samples=SAMPLES)
    weights = [numpy_helper.to_array(one) for one in converted.graph.initializer if "wide" in one.name and one.dims]
    bytes_ = [weight.astype(np.int64) for weight in weights if weight.dtype == np.int8 and weight.ndim == 4]
    assert len(bytes_) == 1
    assert 32 < np.abs(bytes_[0]).max() <= 64
    assert 2 * 255 * np.abs(bytes_[0]).max() <= np.iinfo(np.int16).max


def test_a_graph_quantised_for_cpus_is_refused_for_an_engine() -> None:
    """TensorRT's own message names no way out."""
    converted, _ = to_precision(two_convolutions(), "int8", samples=SAMPLES)
    with pytest.raises(UsageError, match=r"lite is quantised for CPUs.*export the network itself"):
        refuse_quantised_for_cpu(converted, "lite")
    for_engines, _ = to_precision(two_convolutions(), "int8", samples=SAMPLES, for_engine=True)
    refuse_quantised_for_cpu(for_engines, "lite")


def test_engines_compute_the_rest_of_int8_in_fp16() -> None:
    """A GPU is no faster in fp32 than in fp16."""
    pytest.importorskip("modelopt.onnx.autocast")
    model = network()
    converted, _ = to_precision(model, "int8", samples=SAMPLES, for_engine=True)
    assert weight_types(converted)[TensorProto.FLOAT16] > 0
    assert_close(outputs(converted), outputs(model), "int8")


def test_bf16_is_simulated_where_no_runtime_has_it() -> None:
    """The simulation runs anywhere and rounds as bf16 does."""
    pytest.importorskip("modelopt.onnx.autocast")
    model = network()
    converted, _ = to_precision(model, "bf16", samples=SAMPLES)
    assert weight_types(converted)[TensorProto.BFLOAT16] >= 7
    simulated = onnx.load_model_from_string(simulate_bf16(converted.SerializeToString()))
    onnx.checker.check_model(simulated)
    assert weight_types(simulated)[TensorProto.BFLOAT16] == 0
    got, wanted = outputs(simulated), outputs(model)
    assert_close(got, wanted, "bf16")
    assert compare(got, wanted).max_abs_error > 1e-4  # something was rounded


def test_bf16_without_model_optimizer_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime has no tool for it."""
    monkeypatch.setattr(precision, "_model_optimiser", lambda: False)
    with pytest.raises(MissingDependencyError, match="nvidia-modelopt"):
        to_precision(network(), "bf16", samples=SAMPLES)


def test_precision_needs_pairs() -> None:
    """Ranges come from data."""
    with pytest.raises(UsageError, match="image pairs"):
        to_precision(network(), "fp16", samples=[])


def test_a_tool_that_fails_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """No traceback of a foreign library."""
    monkeypatch.setattr(precision, "_model_optimiser", lambda: False)
    wrong = [[np.zeros((1, 1, 2, 2), dtype=np.float32)] * 2]
    with pytest.raises(ArtifactError, match="cannot be written in fp16") as caught:
        to_precision(network(), "fp16", samples=wrong)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["fp16", "bf16", "int8"])
def test_every_precision_builds_in_tensorrt_rtx(kind: str, tmp_path: Path) -> None:
    """One strongly typed graph; Turing has no bf16."""
    trt = pytest.importorskip("tensorrt_rtx")
    pytest.importorskip("modelopt.onnx.autocast")
    from edgefuse.export.engine import EngineOptions, build_engine, library_targets

    converted, _ = to_precision(network(), kind, samples=SAMPLES, for_engine=True)  # type: ignore[arg-type]
    targets = tuple(one for one in library_targets(trt) if kind != "bf16" or one != "sm_75")
    assert build_engine(converted.SerializeToString(), EngineOptions("tensorrt-rtx", targets=targets)).plan
