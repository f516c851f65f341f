"""What each ONNX operator costs; the conventions are those of :mod:`edgefuse.bench.onnx_ops`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from edgefuse.bench.onnx_shapes import NodeView

__all__ = ["COST_RULES", "FREE_OPERATORS", "Cost", "is_integer_arithmetic"]


@dataclass(frozen=True)
class Cost:
    """Work of one node; ``flops`` includes two for each multiply-accumulate."""

    macs: int = 0
    flops: int = 0


Rule = Callable[[NodeView], "Cost | None"]

FREE_OPERATORS = frozenset(
    [
        "Cast",
        "CastLike",
        "Compress",
        "Concat",
        "Constant",
        "ConstantOfShape",
        "DepthToSpace",
        "Dropout",
        "Expand",
        "EyeLike",
        "Flatten",
        "Gather",
        "GatherElements",
        "GatherND",
        "Identity",
        "NonZero",
        "OneHot",
        "Pad",
        "Range",
        "Reshape",
        "ReverseSequence",
        "Scatter",
        "ScatterElements",
        "ScatterND",
        "Shape",
        "Size",
        "Slice",
        "SpaceToDepth",
        "Split",
        "Squeeze",
        "Tile",
        "Transpose",
        "Trilu",
        "Unsqueeze",
        "Where",
        "And",
        "Or",
        "Not",
        "Xor",
    ]
)
"""Operators that move data or combine flags."""

_PER_OUTPUT = {
    1: """Abs Acos Acosh Add Asin Asinh Atan Atanh Ceil Cos Cosh CumSum Div Equal Erf Exp Floor Greater GreaterOrEqual
    IsInf IsNaN Less LessOrEqual Log Mod Mul Neg Pow Reciprocal Relu Round Sign Sin Sinh Sqrt Sub Tan Tanh""",
    2: "BatchNormalization Clip DequantizeLinear LeakyRelu PRelu ThresholdedRelu",
    3: "Celu Elu QuantizeLinear Selu Shrink Softplus Softsign",
    4: "HardSigmoid Sigmoid",
    5: "HardSwish LogSoftmax Mish Softmax Swish",
}
"""Operations an output element of the operators that treat every element alike."""

# Mean, centring, square, mean, division and the affine pair: what the decomposed graph counts too.
_NORMALIZATION_FLOPS = 7
_NORMALIZATIONS = ("GroupNormalization", "InstanceNormalization", "LayerNormalization")

_REDUCTIONS = {
    1: "ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum GlobalAveragePool GlobalMaxPool ArgMax ArgMin",
    2: "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceSumSquare",
}
"""Operations an input element."""

_VARIADIC = ("Max", "Mean", "Min", "Sum")

_INTEGER_CONTRACTIONS = frozenset({"ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul"})


def is_integer_arithmetic(node: NodeView) -> bool:
    """Whether a node computes with integers such as shapes and indices, which no count of this package includes."""
    return not node.floating and node.operator not in _INTEGER_CONTRACTIONS and not node.quantized


def _elements(shape: tuple[int, ...]) -> int:
    return math.prod(shape)


def _contraction(macs: int) -> Cost:
    return Cost(macs=macs, flops=2 * macs)


def _per_output(flops: int) -> Rule:
    return lambda node: Cost(flops=flops * _elements(node.output_shape()))


def _per_input(flops: int) -> Rule:
    return lambda node: Cost(flops=flops * _elements(node.input_shape(0)))


def _variadic(node: NodeView) -> Cost:
    return Cost(flops=(len(node.inputs) - 1) * _elements(node.output_shape()))


def _conv(node: NodeView) -> Cost:
    """Every output element sums over the input channels of its group and the kernel."""
    weight = node.input_shape(3 if node.operator == "QLinearConv" else 1)  # [C_out, C_in / groups, *kernel]
    return _contraction(_elements(node.output_shape()) * math.prod(weight[1:]))


def _conv_transpose(node: NodeView) -> Cost:
    """Every input element is spread over the output channels of its group and the kernel."""
    weight = node.input_shape(1)  # [C_in, C_out / groups, *kernel]
    return _contraction(_elements(node.input_shape(0)) * math.prod(weight[1:]))


def _matmul(node: NodeView) -> Cost:
    return _contraction(_elements(node.output_shape()) * node.input_shape(0)[-1])


def _gemm(node: NodeView) -> Cost:
    rows, columns = node.input_shape(0)
    inner = rows if node.attributes.get("transA", 0) else columns
    return _contraction(_elements(node.output_shape()) * inner)


def _einsum(node: NodeView) -> Cost | None:
    """Contract the operands pairwise from the left, keeping the indices that are still needed."""
    equation = node.attributes["equation"].decode().replace(" ", "")
    if "..." in equation or any(shape is None for shape in node.inputs):
        return None
    left, arrow, result = equation.partition("->")
    terms = left.split(",")
    if not arrow:
        result = "".join(sorted(label for label in set(left) - {","} if left.count(label) == 1))
    lengths = {
        label: side
        for position, term in enumerate(terms)
        for label, side in zip(term, node.input_shape(position), strict=True)
    }
    size = math.prod
    if len(terms) == 1:
        summed = set(terms[0]) - set(result)
        return Cost(flops=_elements(node.input_shape(0)) if summed else 0)
    macs = flops = 0
    current = set(terms[0])
    for position, term in enumerate(terms[1:], start=2):
        labels = current | set(term)
        needed = set(result).union(*(set(rest) for rest in terms[position:]))
        products = size(lengths[label] for label in labels)
        if labels <= needed:
            flops += products
        else:
            macs += products
        current = labels & needed
    return Cost(macs=macs, flops=flops + 2 * macs)


def _dft(node: NodeView) -> Cost | None:
    """A fast Fourier transform along one axis of a tensor whose last dimension is real or (real, imaginary)."""
    source, result = node.input_shape(0), node.output_shape()
    # The axis is an attribute up to opset 19 and an input from 20 on, with another default.
    axis = int(node.attributes.get("axis", 1 if node.opset < 20 else -2))
    if node.has_input(2):
        if 2 not in node.constants:
            return None
        axis = int(node.constants[2].item())
    axis %= len(source)
    length = int(node.constants[1].item()) if 1 in node.constants else max(source[axis], result[axis])
    lines = _elements(source[:-1]) // source[axis]
    is_real = source[-1] == 1 or result[-1] == 1
    return Cost(flops=round((2.5 if is_real else 5.0) * lines * length * math.log2(max(length, 1))))


def _text(value: object, default: str) -> str:
    return value.decode() if isinstance(value, bytes) else default


def _resize(node: NodeView) -> Cost | None:
    """Every output element is a weighted sum of its taps: a multiplication and an addition each."""
    mode = _text(node.attributes.get("mode"), "nearest")
    if mode == "nearest":
        return Cost()
    reach = {"linear": 2, "cubic": 4}.get(mode)
    if reach is None:
        return None
    taps = 1
    for before, after in zip(node.input_shape(0), node.output_shape(), strict=True):
        if before != after:
            # Antialiasing widens the filter by the factor of the reduction.
            shrink = max(1.0, before / after) if node.attributes.get("antialias", 0) else 1.0
            taps *= math.ceil(reach * shrink)
    return Cost(flops=2 * taps * _elements(node.output_shape()))


def _grid_sample(node: NodeView) -> Cost | None:
    """Weighted sums as for resizing; the weights are not counted, there as here."""
    mode = _text(node.attributes.get("mode"), "linear")
    if mode == "nearest":
        return Cost()
    reach = {"linear": 2, "bilinear": 2, "cubic": 4, "bicubic": 4}.get(mode)
    if reach is None:
        return None
    taps = reach ** (len(node.input_shape(0)) - 2)
    return Cost(flops=2 * taps * _elements(node.output_shape()))


def _pool(node: NodeView) -> Cost:
    """A kernel of k elements takes k - 1 additions and a division, or k - 1 comparisons and the first look."""
    return Cost(flops=math.prod(node.attributes["kernel_shape"]) * _elements(node.output_shape()))


def _gelu(node: NodeView) -> Cost:
    """x / 2 · (1 + erf(x / √2)) takes 5 operations, the tanh form 9."""
    approximate = _text(node.attributes.get("approximate"), "none")
    return Cost(flops=(9 if approximate == "tanh" else 5) * _elements(node.output_shape()))


COST_RULES: dict[str, Rule] = {
    **{name: _per_output(flops) for flops, names in _PER_OUTPUT.items() for name in names.split()},
    **{name: _per_output(_NORMALIZATION_FLOPS) for name in _NORMALIZATIONS},
    # Mean square and its root, division, scale; no centring and no shift.
    "RMSNormalization": _per_output(4),
    "LpNormalization": _per_output(3),
    **{name: _per_input(flops) for flops, names in _REDUCTIONS.items() for name in names.split()},
    **dict.fromkeys(_VARIADIC, _variadic),
    **dict.fromkeys(("AveragePool", "MaxPool"), _pool),
    **dict.fromkeys(("Conv", "ConvInteger", "QLinearConv"), _conv),
    **dict.fromkeys(("MatMul", "MatMulInteger", "QLinearMatMul"), _matmul),
    "ConvTranspose": _conv_transpose,
    "DFT": _dft,
    "Einsum": _einsum,
    "Gelu": _gelu,
    "Gemm": _gemm,
    "GridSample": _grid_sample,
    "Resize": _resize,
    "Upsample": _resize,
}
"""The rule of every operator that computes; it returns None where a node's work cannot be told."""
