"""Rules for operators that act on each frequency alone: element-wise, over the channels, or over whole spectra."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from edgefuse.export.dft._layout import Axis, Emitter, Laid
from edgefuse.export.dft._matrices import Array
from edgefuse.export.dft._nodes import array_of, is_op, only_consumer, static_shape

__all__ = [
    "BINARY",
    "REDUCTIONS",
    "UNARY",
    "batch_norm",
    "binary",
    "conv_1x1",
    "matmul",
    "reduce_",
    "unary",
    "with_constant",
]

# fmt: off
UNARY = frozenset({
    "Abs", "Cast", "Ceil", "Celu", "Clip", "Cos", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish",
    "LeakyRelu", "Log", "Mish", "Neg", "Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin",
    "Softplus", "Softsign", "Sqrt", "Tanh", "ThresholdedRelu",
})
# fmt: on
BINARY = frozenset(["Add", "Div", "Max", "Min", "Mul", "PRelu", "Pow", "Sub"])
REDUCTIONS = frozenset(["GlobalAveragePool", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum"])


def unary(emitter: Emitter, node: Any, laid: Laid) -> Laid | None:
    """Apply an element-wise operator; further inputs must be constant scalars, as Clip's bounds are."""
    extra = list(node.inputs[1:])
    bounds = [array_of(value) for value in extra if value is not None]
    if any(bound is None or bound.size != 1 for bound in bounds):
        return None
    laid = emitter.settle(laid)
    value = emitter.emit(
        node.op_type,
        [laid.value, *extra],
        emitter.shape_of(laid.value),
        flops=emitter.elements(laid.value),
        attributes=node.attributes,
        dtype=node.outputs[0].dtype or laid.value.dtype,
    )
    return replace(laid, value=value)


def _blocks(stored: Sequence[Axis], held: set[Axis]) -> list[list[Axis]]:
    """Runs of axes of which an operand has all or none."""
    blocks: list[list[Axis]] = []
    for axis in stored:
        if blocks and (blocks[-1][-1] in held) == (axis in held):
            blocks[-1].append(axis)
        else:
            blocks.append([axis])
    return blocks


def _size(axes: Sequence[Axis]) -> int | None:
    sizes = [axis.size for axis in axes]
    return None if None in sizes else math.prod(size or 1 for size in sizes)


def _emit_binary(
    emitter: Emitter, op_type: str, laid: Laid, operands: tuple[Any, Any], shape: tuple[int | None, ...]
) -> Laid:
    flops = math.prod(dim or 1 for dim in shape)
    return replace(laid, value=emitter.emit(op_type, operands, shape, flops=flops, dtype=laid.value.dtype))


def with_constant(
    emitter: Emitter, op_type: str, laid: Laid, array: Array, *, constant_first: bool = False
) -> Laid | None:
    """Combine a laid value with a constant that broadcasts against its dimensions.

    Args:
        emitter: Where nodes go.
        op_type: The operator.
        laid: The value.
        array: The constant.
        constant_first: Whether the constant is the left operand.

    Returns:
        The result, laid as the value is, or None if the constant does not fit its axes.
    """
    laid = emitter.settle(laid)
    if array.ndim > len(laid.dims):
        return None
    if array.size == 1:
        constant, blocks = emitter.constant(array.reshape(())), [list(laid.stored)]
    else:
        found = _lay_constant(laid, array.reshape((1,) * (len(laid.dims) - array.ndim) + array.shape))
        if found is None:
            return None
        constant, blocks = emitter.constant(found[0]), found[1]
    view = emitter.grouped(laid, *blocks) if array.size > 1 else laid.value
    operands = (constant, view) if constant_first else (view, constant)
    return _emit_binary(emitter, op_type, laid, operands, emitter.shape_of(view))


def _lay_constant(laid: Laid, array: Array) -> tuple[Array, list[list[Axis]]] | None:
    """Order a constant as a value is stored, with one dimension for each run of axes that it has or lacks."""
    held: list[Axis] = []
    for dim, length, size in zip(laid.dims, laid.shape(), array.shape, strict=True):
        if size != 1:
            if size != length:
                return None
            held += dim
    array = array.reshape([axis.length or 1 for axis in held])
    for place, axis in enumerate(held):
        if axis.order is not None:
            array = np.take(array, axis.order, axis=place)
    array = array.transpose(sorted(range(len(held)), key=lambda i: laid.stored.index(held[i])))
    members = set(held)
    blocks = _blocks(laid.stored, members)
    return array.reshape([(_size(block) or 1) if block[0] in members else 1 for block in blocks]), blocks


def binary(emitter: Emitter, op_type: str, left: Laid, right: Laid) -> Laid | None:
    """Combine two laid values whose axes agree, or of which one lacks some of the other's."""
    left, right = emitter.settle(left), emitter.settle(right)
    rank = max(len(left.dims), len(right.dims))
    left, right = (replace(one, dims=((),) * (rank - len(one.dims)) + one.dims) for one in (left, right))
    large, small = (left, right) if len(left.stored) >= len(right.stored) else (right, left)
    renamed = _rename_like(small, large)
    if renamed is None:
        return None
    small = renamed
    members = set(small.stored)
    small = emitter.arrange(small, [axis for axis in large.stored if axis in members])
    if len(members) == len(large.stored):
        shape = emitter.shape_of(large.value)
        values = {id(large): large.value, id(small): emitter.view(small.value, shape)}
    else:
        blocks = _blocks(large.stored, members)
        value = emitter.grouped(large, *blocks)
        shape = emitter.shape_of(value)
        small_shape = tuple(_size(block) if block[0] in members else 1 for block in blocks)
        values = {id(large): value, id(small): emitter.view(small.value, small_shape)}
    operands = (values[id(large)], values[id(small)])
    return _emit_binary(emitter, op_type, large, operands if large is left else operands[::-1], shape)


def _rename_like(small: Laid, large: Laid) -> Laid | None:
    """Rename the axes of a value after those of another in the same dimensions, or None if they differ."""
    names: dict[Axis, Axis] = {}
    for own, other in zip(small.dims, large.dims, strict=True):
        if not own:
            continue
        if len(own) != len(other):
            return None
        names.update(zip(own, other, strict=True))
    for own_axis, other_axis in names.items():
        same_order = own_axis.order is other_axis.order or (
            own_axis.order is not None
            and other_axis.order is not None
            and np.array_equal(own_axis.order, other_axis.order)
        )
        if own_axis.length != other_axis.length or not same_order:
            return None
    stored = tuple(names[axis] for axis in small.stored if axis in names)
    if len(stored) != len(small.stored):
        return None
    return replace(small, stored=stored, dims=tuple(tuple(names[axis] for axis in dim) for dim in small.dims))


def batch_norm(emitter: Emitter, node: Any, laid: Laid) -> Laid | None:
    """Normalisation by stored statistics: a factor and a term for each channel."""
    arrays = [array_of(value) for value in node.inputs[1:5]]
    if any(array is None for array in arrays) or (
        "training_mode" in node.attributes and node.attributes["training_mode"].value
    ):
        return None
    scale, bias, mean, variance = (np.asarray(array, dtype=np.float64) for array in arrays)
    epsilon = float(node.attributes["epsilon"].value) if "epsilon" in node.attributes else 1e-5
    factor = scale / np.sqrt(variance + epsilon)
    dtype = laid.value.dtype.numpy()
    shape = (1, -1, *(1,) * (len(laid.dims) - 2))
    scaled = with_constant(emitter, "Mul", laid, factor.reshape(shape).astype(dtype))
    return (
        None
        if scaled is None
        else with_constant(emitter, "Add", scaled, (bias - mean * factor).reshape(shape).astype(dtype))
    )


def conv_1x1(emitter: Emitter, node: Any, laid: Laid) -> Laid | None:
    """A convolution that mixes channels only."""
    weights = array_of(node.inputs[1])
    bias_value = node.inputs[2] if len(node.inputs) > 2 else None
    bias = array_of(bias_value)
    attributes = {
        key: node.attributes[key].value for key in ("group", "strides", "pads", "auto_pad") if key in node.attributes
    }
    if weights is None or (bias is None and bias_value is not None) or math.prod(weights.shape[2:]) != 1:
        return None
    moves = any(stride != 1 for stride in attributes.get("strides", [])) or any(attributes.get("pads", []))
    if attributes.get("group", 1) != 1 or moves or attributes.get("auto_pad", "NOTSET") == "SAME_LOWER":
        return None
    halves = _wanted_halves(node.outputs[0], weights.shape[0])
    return _mix(emitter, laid, 1, weights=weights.reshape(weights.shape[:2]), bias=bias, halves=halves)


def matmul(emitter: Emitter, node: Any, laid: Laid) -> Laid | None:
    """A product with a constant matrix over the last dimension."""
    weights = array_of(node.inputs[1])
    if weights is None or weights.ndim != 2 or len(laid.dims) < 2:
        return None
    return _mix(emitter, laid, len(laid.dims) - 1, weights=weights.T, bias=None, halves=None)


def _wanted_halves(value: Any, channels: int) -> tuple[int, int] | None:
    """How a later reshape or split takes the channels apart into real and imaginary ones, if it does."""
    while (follower := only_consumer(value)) is not None and is_op(follower, "BatchNormalization", *UNARY):
        value = follower.outputs[0]
    shape = static_shape(follower.outputs[0]) if follower is not None else None
    if is_op(follower, "Reshape") and shape is not None and len(shape) > 2 and None not in shape[1:3]:
        outer, inner = (size or 1 for size in shape[1:3])
        return (outer, inner) if outer * inner == channels and 2 in (outer, inner) else None
    if is_op(follower, "Split") and len(follower.outputs) == 2:
        return (2, channels // 2) if channels % 2 == 0 else None
    return None


def _mix(
    emitter: Emitter, laid: Laid, dim: int, *, weights: Array, bias: Array | None, halves: tuple[int, int] | None
) -> Laid | None:
    """Multiply the axes of one dimension by weights (out, in): from the right where they are innermost."""
    laid = emitter.settle(laid)
    axes = laid.dims[dim]
    if not axes or any(axis.length is None or axis.holds_duplicates for axis in axes):
        return None
    places = sorted(laid.stored.index(axis) for axis in axes)
    start, end = places[0], places[-1] + 1
    if end - start != len(axes):
        others = [axis for axis in laid.stored if axis not in axes]
        outer = [axis for axis in others if laid.stored.index(axis) < start]
        laid = emitter.arrange(laid, [*outer, *axes, *others[len(outer) :]])
        start, end = len(outer), len(outer) + len(axes)
    outer, mixed, inner = list(laid.stored[:start]), laid.stored[start:end], list(laid.stored[end:])
    made = tuple(Axis(length) for length in halves) if halves is not None else (Axis(weights.shape[0]),)
    # Channels innermost: real and imaginary parts go outside the channels, as the next transform reads them.
    stored = made if inner or made[0].length == 2 or len(made) == 1 else made[::-1]
    weights, bias = _lay_weights(weights, bias, axes=axes, mixed=mixed, made=made, stored=stored)
    columns, rows = weights.shape[1], weights.shape[0]
    flops = 2.0 * columns * rows * math.prod(axis.size or 1 for axis in (*outer, *inner))
    if not inner:
        value = emitter.view(laid.value, (_size(outer), columns))
        operands = [value, emitter.constant(weights.T)] + ([] if bias is None else [emitter.constant(bias)])
        value = emitter.emit("MatMul" if bias is None else "Gemm", operands, (_size(outer), rows), flops=flops)
    else:
        spatial = [_size(inner[:1]), _size(inner[1:])]
        value = emitter.view(laid.value, (_size(outer) if outer else 1, columns, *spatial))
        operands = [value, emitter.constant(weights[:, :, None, None])] + (
            [] if bias is None else [emitter.constant(bias)]
        )
        shape = (_size(outer) if outer else 1, rows, *spatial)
        value = emitter.emit("Conv", operands, shape, flops=flops, attributes={"kernel_shape": [1, 1]})
    return Laid(value, (*outer, *stored, *inner), (*laid.dims[:dim], made, *laid.dims[dim + 1 :]))


def _lay_weights(
    weights: Array,
    bias: Array | None,
    *,
    axes: Sequence[Axis],
    mixed: Sequence[Axis],
    made: Sequence[Axis],
    stored: Sequence[Axis],
) -> tuple[Array, Array | None]:
    """Order the columns of a matrix as its input is stored, and its rows as its output will be."""
    columns = weights.reshape([weights.shape[0], *(axis.length or 1 for axis in axes)])
    for place, axis in enumerate(axes):
        if axis.order is not None:
            columns = np.take(columns, axis.order, axis=1 + place)
    columns = columns.transpose(0, *(1 + axes.index(axis) for axis in mixed)).reshape(weights.shape)
    perm = [made.index(axis) for axis in stored]
    lengths = [axis.length or 1 for axis in made]
    rows = columns.reshape([*lengths, -1]).transpose(*perm, len(made)).reshape(weights.shape)
    return rows, None if bias is None else bias.reshape(lengths).transpose(perm).reshape(-1)


def reduce_(emitter: Emitter, node: Any, laid: Laid) -> Laid | None:
    """Sum, average or find the extreme over whole dimensions; a frequency stored twice counts once."""
    rank = len(laid.dims)
    keep = True
    if node.op_type == "GlobalAveragePool":
        places = set(range(2, rank))
    else:
        keep = bool(node.attributes["keepdims"].value) if "keepdims" in node.attributes else True
        axes = node.attributes["axes"].value if "axes" in node.attributes else None
        if axes is None and len(node.inputs) > 1:
            axes = array_of(node.inputs[1])
        if axes is None:
            return None
        places = {int(axis) % rank for axis in axes}
    laid = emitter.settle(laid)
    gone = {axis for place in places for axis in laid.dims[place]}
    if not gone or any(axis.length is None for axis in gone):
        return None
    op_type = "ReduceMean" if node.op_type == "GlobalAveragePool" else node.op_type
    masked = _mask_duplicates(emitter, laid, gone) if op_type in ("ReduceMean", "ReduceSum") else laid
    value = _reduce_blocks(emitter, op_type, masked, gone)
    dims = tuple(() if i in places else dim for i, dim in enumerate(laid.dims) if keep or i not in places)
    result = Laid(value, tuple(axis for axis in laid.stored if axis not in gone), dims)
    stored, seen = math.prod(axis.size or 1 for axis in gone), math.prod(axis.length or 1 for axis in gone)
    if op_type == "ReduceMean" and stored != seen:
        return with_constant(emitter, "Mul", result, np.array(stored / seen, dtype=value.dtype.numpy()))
    return result


def _mask_duplicates(emitter: Emitter, laid: Laid, gone: set[Axis]) -> Laid:
    for axis in gone:
        if axis.holds_duplicates:
            mask = np.zeros(axis.size or 0, dtype=laid.value.dtype.numpy())
            mask[axis.first_positions()] = 1
            blocks = _blocks(laid.stored, {axis})
            view = emitter.grouped(laid, *blocks)
            constant = emitter.constant(mask.reshape([len(mask) if block[0] is axis else 1 for block in blocks]))
            laid = _emit_binary(emitter, "Mul", laid, (view, constant), emitter.shape_of(view))
    return laid


def _reduce_blocks(emitter: Emitter, op_type: str, laid: Laid, gone: set[Axis]) -> Any:
    blocks = _blocks(laid.stored, gone)
    view = emitter.grouped(laid, *blocks)
    axes = emitter.constant(np.array([i for i, block in enumerate(blocks) if block[0] in gone], dtype=np.int64))
    shape = emitter.shape_of(view)
    kept = tuple(shape[i] for i, block in enumerate(blocks) if block[0] not in gone)
    return emitter.emit(op_type, [view, axes], kept, attributes={"keepdims": 0})
