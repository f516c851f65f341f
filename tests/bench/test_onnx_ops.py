"""The operation counter, held against hand counts, PyTorch's counter and fvcore's."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from edgefuse.bench.onnx_ops import OperationCount, count_operations  # noqa: E402
from edgefuse.errors import ArtifactError, InputError  # noqa: E402

Shape = tuple[int, ...]
FLOAT = onnx.TensorProto.FLOAT


def make_graph(
    nodes: Sequence[Any],
    inputs: dict[str, Sequence[int | str]],
    *,
    weights: dict[str, np.ndarray[Any, Any]] | None = None,
    output: str = "out",
    opset: int = 18,
) -> Any:
    """An ONNX model of these nodes; shapes may hold names for open dimensions."""
    helper = onnx.helper
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(output, FLOAT, None)],
        [onnx.numpy_helper.from_array(value, name) for name, value in (weights or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def count_node(
    operator: str,
    inputs: dict[str, Sequence[int | str]],
    *,
    weights: dict[str, np.ndarray[Any, Any]] | None = None,
    opset: int = 18,
    **attributes: Any,
) -> OperationCount:
    """The count of a graph of one node that takes the inputs, then the weights."""
    names = [*inputs, *(weights or {})]
    node = onnx.helper.make_node(operator, names, ["out"], **attributes)
    return count_operations(make_graph([node], inputs, weights=weights, opset=opset))


def zeros(*shape: int) -> np.ndarray[Any, Any]:
    """A float32 array of zeros."""
    return np.zeros(shape, np.float32)


def torch_flops(call: Callable[[], object]) -> int:
    """Operations that PyTorch's own counter sees in a call."""
    counter = pytest.importorskip("torch.utils.flop_counter")
    with counter.FlopCounterMode(display=False) as mode:
        call()
    return int(mode.get_total_flops())


@pytest.mark.parametrize(
    ("channels_in", "channels_out", "kernel", "options"),
    [
        (2, 8, 3, {"padding": 1}),
        (8, 8, 3, {"padding": 1, "groups": 8}),
        (8, 12, 3, {"padding": 3, "dilation": 3, "groups": 4}),
        (3, 5, 5, {"stride": 2, "padding": 2, "bias": False}),
        (6, 4, 1, {}),
    ],
)
def test_a_convolution_counts_as_pytorch_counts_it(
    channels_in: int, channels_out: int, kernel: int, options: dict[str, Any]
) -> None:
    """Groups, dilation, stride and padding give twice the MACs that PyTorch's counter gives as FLOPs."""
    torch = pytest.importorskip("torch")
    layer = torch.nn.Conv2d(channels_in, channels_out, kernel, **options)
    expected = torch_flops(lambda: layer(torch.zeros(2, channels_in, 17, 23)))
    padding, groups = options.get("padding", 0), options.get("groups", 1)
    count = count_node(
        "Conv",
        {"x": (2, channels_in, 17, 23)},
        weights={"w": zeros(channels_out, channels_in // groups, kernel, kernel)},
        pads=[padding] * 4,
        strides=[options.get("stride", 1)] * 2,
        dilations=[options.get("dilation", 1)] * 2,
        group=groups,
    )
    assert 2 * count.macs == count.flops == expected > 0


def test_a_transposed_convolution_counts_as_pytorch_counts_it() -> None:
    """Work goes by the input's pixels, so stride does not change it."""
    torch = pytest.importorskip("torch")
    layer = torch.nn.ConvTranspose2d(8, 6, 4, stride=2, padding=1, groups=2)
    expected = torch_flops(lambda: layer(torch.zeros(1, 8, 9, 11)))
    count = count_node(
        "ConvTranspose", {"x": (1, 8, 9, 11)}, weights={"w": zeros(8, 3, 4, 4)}, strides=[2, 2], pads=[1] * 4, group=2
    )
    assert 2 * count.macs == count.flops == expected > 0


@pytest.mark.parametrize(
    ("left", "right"), [((5, 7), (7, 3)), ((2, 4, 5, 7), (7, 3)), ((2, 4, 5, 7), (2, 4, 7, 3)), ((4, 5, 7), (1, 7, 3))]
)
def test_a_matrix_product_counts_as_pytorch_counts_it(left: Shape, right: Shape) -> None:
    """Batch dimensions, also broadcast ones, multiply the work of one product."""
    torch = pytest.importorskip("torch")
    expected = torch_flops(lambda: torch.zeros(left) @ torch.zeros(right))
    count = count_node("MatMul", {"a": left, "b": right})
    assert 2 * count.macs == count.flops == expected > 0


@pytest.mark.parametrize("transpose", [0, 1])
def test_gemm_reads_its_inner_dimension_from_the_transposed_shape(transpose: int) -> None:
    """5×7 times 7×3 is 105 MACs whichever way the first factor is stored."""
    shape = (7, 5) if transpose else (5, 7)
    count = count_node("Gemm", {"a": shape}, weights={"b": zeros(7, 3), "c": zeros(3)}, transA=transpose)
    assert count.macs == 5 * 7 * 3


@pytest.mark.parametrize(
    ("equation", "shapes", "macs", "flops"),
    [
        ("bchw,dc->bdhw", [(2, 3, 5, 7), (4, 3)], 2 * 3 * 5 * 7 * 4, 2 * 2 * 3 * 5 * 7 * 4),
        ("ij,jk", [(3, 4), (4, 5)], 60, 120),
        ("ij,ij->ij", [(3, 4), (3, 4)], 0, 12),
        ("ij->ji", [(3, 4)], 0, 0),
        ("ij->i", [(3, 4)], 0, 12),
        ("ij,jk,kl->il", [(2, 3), (3, 4), (4, 5)], 2 * 3 * 4 + 2 * 4 * 5, 2 * (2 * 3 * 4 + 2 * 4 * 5)),
    ],
)
def test_einsum_counts_its_contractions(equation: str, shapes: list[Shape], macs: int, flops: int) -> None:
    """Contractions are MACs, plain products are multiplications, transpositions are nothing."""
    names = {f"x{index}": shape for index, shape in enumerate(shapes)}
    count = count_node("Einsum", names, equation=equation)
    assert (count.macs, count.flops) == (macs, flops)


def test_a_real_transform_counts_half_of_a_complex_one() -> None:
    """16 lines of 8: 2.5·8·3 operations a line from real data, 5·8·3 from complex data."""
    real = count_node("DFT", {"x": (2, 8, 8, 1)}, opset=17, axis=2, onesided=1)
    complex_ = count_node("DFT", {"x": (2, 8, 8, 2)}, opset=17, axis=2)
    assert (real.macs, real.flops) == (0, 16 * 60)
    assert (complex_.macs, complex_.flops) == (0, 16 * 120)


def test_the_axis_of_a_transform_is_an_input_from_opset_20_on() -> None:
    """The 6×8 picture holds 6 lines of 8 along its rows, 8 lines of 6 along its columns."""
    node = onnx.helper.make_node("DFT", ["x", "", "axis"], ["out"])
    axis = {"axis": np.array(1, np.int64)}
    columns = count_operations(make_graph([node], {"x": (1, 6, 8, 2)}, weights=axis, opset=20))
    rows = count_node("DFT", {"x": (1, 6, 8, 2)}, opset=20)
    assert columns.flops == round(8 * 5 * 6 * np.log2(6))
    assert rows.flops == 6 * 5 * 8 * 3


@pytest.mark.parametrize(("mode", "taps"), [("nearest", 0), ("linear", 4), ("cubic", 16)])
def test_resizing_counts_a_multiplication_and_an_addition_a_tap(mode: str, taps: int) -> None:
    """Axes that keep their length take no taps."""
    node = onnx.helper.make_node("Resize", ["x", "", "scales"], ["out"], mode=mode)
    weights = {"scales": np.array([1, 1, 2, 2], np.float32)}
    count = count_operations(make_graph([node], {"x": (1, 3, 4, 5)}, weights=weights))
    assert (count.macs, count.flops) == (0, 2 * taps * 3 * 8 * 10)


def test_antialiasing_widens_the_filter_by_the_reduction() -> None:
    """Reducing one axis by 2 with a linear filter takes 4 taps instead of 2."""
    node = onnx.helper.make_node("Resize", ["x", "", "scales"], ["out"], mode="linear", antialias=1)
    weights = {"scales": np.array([1, 1, 1, 0.5], np.float32)}
    count = count_operations(make_graph([node], {"x": (1, 1, 4, 8)}, weights=weights))
    assert count.flops == 2 * 4 * 4 * 4


@pytest.mark.parametrize(
    ("operator", "weights", "attributes", "flops"),
    [
        ("Relu", [], {}, 96),
        ("Sigmoid", [], {}, 4 * 96),
        ("Softmax", [], {"axis": 1}, 5 * 96),
        ("Add", [(4, 1, 1)], {}, 96),
        ("BatchNormalization", [(4,)] * 4, {}, 2 * 96),
        ("InstanceNormalization", [(4,)] * 2, {}, 7 * 96),
        ("ReduceMean", [], {}, 96),
        ("GlobalAveragePool", [], {}, 96),
        ("MaxPool", [], {"kernel_shape": [2, 2], "strides": [2, 2]}, 4 * 24),
        ("Transpose", [], {"perm": [0, 1, 3, 2]}, 0),
        ("Max", [(4, 1, 1), (1, 1, 1)], {}, 2 * 96),
    ],
)
def test_element_wise_work_counts_by_the_element(
    operator: str, weights: list[Shape], attributes: dict[str, Any], flops: int
) -> None:
    """Each operator counts what its definition does to 1×4×4×6 numbers, and no MACs."""
    stored = {f"w{index}": zeros(*shape) for index, shape in enumerate(weights)}
    count = count_node(operator, {"x": (1, 4, 4, 6)}, weights=stored, **attributes)
    assert (count.macs, count.flops, count.uncounted) == (0, flops, {})


def test_a_normalisation_counts_the_same_fused_and_taken_apart() -> None:
    """LayerNormalization against mean, subtract, square, mean, divide, scale and shift: 7 operations an element."""
    make = onnx.helper.make_node
    nodes = [
        make("ReduceMean", ["x", "axes"], ["mean"]),
        make("Sub", ["x", "mean"], ["centred"]),
        make("Mul", ["centred", "centred"], ["square"]),
        make("ReduceMean", ["square", "axes"], ["variance"]),
        make("Sqrt", ["variance"], ["deviation"]),
        make("Div", ["centred", "deviation"], ["normal"]),
        make("Mul", ["normal", "scale"], ["scaled"]),
        make("Add", ["scaled", "scale"], ["out"]),
    ]
    weights = {"axes": np.array([-1]), "scale": zeros(64)}
    apart = count_operations(make_graph(nodes, {"x": (8, 64)}, weights=weights))
    fused = count_node("LayerNormalization", {"x": (8, 64)}, weights={"scale": zeros(64)})
    assert fused.flops == 7 * 8 * 64
    assert apart.flops == fused.flops + 8  # the roots, one a row


def test_work_on_weights_and_shapes_is_not_counted() -> None:
    """Scaling a weight and computing a shape happen when the graph is loaded."""
    make = onnx.helper.make_node
    nodes = [
        make("Mul", ["w", "w"], ["scaled"]),
        make("Shape", ["x"], ["shape"]),
        make("Gather", ["shape", "index"], ["side"], axis=0),
        make("Mul", ["side", "side"], ["area"]),
        make("MatMul", ["x", "scaled"], ["out"]),
    ]
    count = count_operations(make_graph(nodes, {"x": (2, 3)}, weights={"w": zeros(3, 5), "index": np.array([0, 1])}))
    assert set(count.by_operator) == {"MatMul"}
    assert (count.flops, count.initializer_elements) == (2 * 2 * 3 * 5, 15)


def test_an_unknown_operator_is_named_and_not_guessed() -> None:
    """An operator without a rule is listed as uncounted; the rest is counted."""
    make = onnx.helper.make_node
    nodes = [make("Relu", ["x"], ["positive"]), make("Strange", ["positive"], ["out"], domain="elsewhere")]
    graph = make_graph(nodes, {"x": (2, 3)})
    graph.opset_import.append(onnx.helper.make_opsetid("elsewhere", 1))
    count = count_operations(graph)
    assert count.uncounted == {"elsewhere.Strange": 1}
    assert count.flops == 6


def test_quantised_products_are_macs() -> None:
    """Integer matrix products count like those of floating-point numbers."""
    node = onnx.helper.make_node("MatMulInteger", ["a", "b"], ["out"])
    graph = make_graph([node], {}, weights={"b": np.zeros((7, 3), np.uint8)})
    graph.graph.input.append(onnx.helper.make_tensor_value_info("a", onnx.TensorProto.UINT8, (5, 7)))
    graph.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.INT32
    assert count_operations(graph).macs == 5 * 7 * 3


def test_an_open_size_is_settled_by_the_caller() -> None:
    """A graph of any size counts at the size that is asked for, and says so when none is."""
    node = onnx.helper.make_node("Relu", ["x"], ["out"])
    graph = make_graph([node], {"x": (1, 1, "height", "width")})
    assert count_operations(graph, shapes={"x": (1, 1, 3, 5)}).flops == 15
    with pytest.raises(InputError, match="'x' has an open shape"):
        count_operations(graph)
    with pytest.raises(InputError, match="does not fit"):
        count_operations(graph, shapes={"x": (1, 2, 3, 5)})


def test_bytes_moved_are_those_of_unfused_nodes() -> None:
    """Two nodes over 6 floats read and write 24 bytes each; the least is the input and the output."""
    make = onnx.helper.make_node
    graph = make_graph([make("Relu", ["x"], ["y"]), make("Neg", ["y"], ["out"])], {"x": (2, 3)})
    count = count_operations(graph)
    assert (count.moved_bytes, count.least_bytes) == (4 * 24, 2 * 24)


def test_a_file_that_is_no_graph_gives_one_clear_error(tmp_path: Path) -> None:
    """A text file named .onnx and a missing file are refused by name."""
    text = tmp_path / "text.onnx"
    text.write_text("not a graph")
    for path in (text, tmp_path / "missing.onnx"):
        with pytest.raises(ArtifactError, match=path.name):
            count_operations(path)


def _export(network: Any, sample: Any) -> Any:
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(network, (sample,), dynamo=True, verbose=False)
    return program.model_proto


def _network() -> Any:
    torch = pytest.importorskip("torch")
    nn = torch.nn
    return nn.Sequential(
        nn.Conv2d(2, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=4),
        nn.ConvTranspose2d(8, 4, 4, stride=2, padding=1),
        nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.Conv2d(4, 1, 1),
    ).eval()


def test_an_exported_network_counts_as_pytorch_counts_it() -> None:
    """MACs of a whole exported network are half of the FLOPs that PyTorch's counter sees."""
    torch = pytest.importorskip("torch")
    network, sample = _network(), torch.zeros(1, 2, 18, 20)
    with torch.no_grad():
        expected = torch_flops(lambda: network(sample))
    assert 2 * count_operations(_export(network, sample)).macs == expected > 0


@pytest.mark.filterwarnings("ignore:.*torch.jit.script. is deprecated:DeprecationWarning")
def test_an_exported_network_counts_as_fvcore_counts_it() -> None:
    """fvcore counts a MAC as one operation: convolutions and interpolation agree operator by operator."""
    torch = pytest.importorskip("torch")
    fvcore = pytest.importorskip("fvcore.nn", exc_type=ImportError)
    network, sample = _network(), torch.zeros(1, 2, 18, 20)
    expected = fvcore.FlopCountAnalysis(network, sample).unsupported_ops_warnings(False).by_operator()
    count = count_operations(_export(network, sample))
    assert count.macs == expected["conv"] > 0
    assert count.by_operator["Resize"].flops == 2 * expected["upsample_bilinear2d"] > 0
