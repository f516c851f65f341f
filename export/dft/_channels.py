"""Rules for operators that mix the channels of every frequency alone: 1x1 convolutions and products with a matrix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from edgefuse.export.dft._layout import Axis, Emitter, Laid
from edgefuse.export.dft._matrices import Array
from edgefuse.export.dft._pointwise import UNARY, size_of
from edgefuse.export.graph_editing import array_of, is_op, only_consumer, static_shape

__all__ = ["conv_1x1", "matmul"]


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
    if halves is None and weights.shape[0] == weights.shape[1]:  # as the input is, so that a residual adds up as stored
        made = tuple(Axis(axis.length) for axis in axes)
        stored = tuple(made[axes.index(axis)] for axis in mixed)
    else:
        made = tuple(Axis(length) for length in halves or weights.shape[:1])
        # Where the next transform reads them: with the channels innermost the parts go outside them, else inside.
        stored = made if (made[0].length == 2) != bool(inner) else made[::-1]
    weights, bias = _lay_weights(weights, bias, axes=axes, mixed=mixed, made=made, stored=stored)
    columns, rows = weights.shape[1], weights.shape[0]
    flops = 2.0 * columns * rows * math.prod(axis.size or 1 for axis in (*outer, *inner))
    if not inner:
        value = emitter.view(laid.value, (size_of(outer), columns))
        operands = [value, emitter.constant(weights.T)] + ([] if bias is None else [emitter.constant(bias)])
        value = emitter.emit("MatMul" if bias is None else "Gemm", operands, (size_of(outer), rows), flops=flops)
    else:
        spatial = [size_of(inner[:1]), size_of(inner[1:])]
        value = emitter.view(laid.value, (size_of(outer) if outer else 1, columns, *spatial))
        operands = [value, emitter.constant(weights[:, :, None, None])] + (
            [] if bias is None else [emitter.constant(bias)]
        )
        shape = (size_of(outer) if outer else 1, rows, *spatial)
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
