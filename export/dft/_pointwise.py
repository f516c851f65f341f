"""Rules for operators that act on every element of a laid value alone: they are computed as it is stored."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from edgefuse.export.dft._layout import Axis, Emitter, Laid
from edgefuse.export.dft._matrices import Array
from edgefuse.export.dft._structure import regroup
from edgefuse.export.graph_editing import array_of

__all__ = ["ELEMENTWISE", "UNARY", "elementwise", "emit_blocks", "run_blocks", "size_of", "unary"]

# fmt: off
UNARY = frozenset({
    "Abs", "Cast", "Ceil", "Celu", "Clip", "Cos", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish",
    "LeakyRelu", "Log", "Mish", "Neg", "Not", "Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin",
    "Softplus", "Softsign", "Sqrt", "Tanh", "ThresholdedRelu",
})
ELEMENTWISE = frozenset({
    "Add", "And", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Min", "Mul", "Or",
    "PRelu", "Pow", "Sub", "Sum", "Where",
})
# fmt: on


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


def elementwise(emitter: Emitter, op_type: str, operands: Sequence[Laid | Array], *, dtype: Any = None) -> Laid | None:
    """Combine laid values and constants that broadcast against one another.

    Args:
        emitter: Where nodes go.
        op_type: The operator.
        operands: Its inputs in order; one of the laid ones must have all axes that the others have.
        dtype: Element type of the result, by default the values'.

    Returns:
        The result, stored as the operand with the most axes is, or None if the operands' axes do not agree.
    """
    rank = max(len(one.dims) if isinstance(one, Laid) else one.ndim for one in operands)
    laids = [_padded(emitter.settle(one), rank) for one in operands if isinstance(one, Laid)]
    place = max(range(len(laids)), key=lambda i: len(laids[i].stored))
    leader = laids[place]
    for other in laids:
        leader = _cut_like(leader, other)
    waiting = iter(leader if i == place else _like(emitter, other, leader) for i, other in enumerate(laids))
    parts: list[tuple[Any, set[Axis]]] = []  # each operand with the axes that it has
    for one in operands:
        if isinstance(one, Laid):
            followed = next(waiting)
            found = None if followed is None else (followed.value, set(followed.stored))
        else:
            found = _lay_constant(leader, one)
        if found is None:
            return None
        parts.append(found)
    return emit_blocks(emitter, op_type, leader, parts, dtype=dtype)


def emit_blocks(
    emitter: Emitter, op_type: str, leader: Laid, parts: Sequence[tuple[Any, set[Axis]]], *, dtype: Any = None
) -> Laid:
    """View every operand with one dimension for each run of axes that the same operands have, and emit the operator."""
    whole = set(leader.stored)
    partial = [held for _, held in parts if held and held != whole]
    blocks = run_blocks(leader.stored, partial)
    shape = tuple(size_of(block) for block in blocks) if partial else emitter.shape_of(leader.value)
    inputs = []
    for value, held in parts:
        own = shape
        if partial:
            own = tuple(size if block[0] in held else 1 for size, block in zip(shape, blocks, strict=True))
        if isinstance(value, np.ndarray):
            inputs.append(emitter.constant(value.reshape([size or 1 for size in own] if held else ())))
        else:
            inputs.append(emitter.view(value, own))
    dtype = dtype or leader.value.dtype
    value = emitter.emit(op_type, inputs, shape, flops=math.prod(dim or 1 for dim in shape), dtype=dtype)
    return replace(leader, value=value)


def run_blocks(stored: Sequence[Axis], holders: Sequence[set[Axis]]) -> list[list[Axis]]:
    """Runs of axes of which each holder has all or none."""
    blocks: list[list[Axis]] = []
    for axis in stored:
        if blocks and all((blocks[-1][-1] in held) == (axis in held) for held in holders):
            blocks[-1].append(axis)
        else:
            blocks.append([axis])
    return blocks


def size_of(axes: Sequence[Axis]) -> int | None:
    sizes = [axis.size for axis in axes]
    return None if None in sizes else math.prod(size or 1 for size in sizes)


def _padded(laid: Laid, rank: int) -> Laid:
    return replace(laid, dims=((),) * (rank - len(laid.dims)) + laid.dims)


def _lay_constant(laid: Laid, array: Array) -> tuple[Array, set[Axis]] | None:
    """Order a constant as a value is stored, and tell which of its axes it has."""
    if array.size == 1:
        return array.reshape(()), set()
    array = array.reshape((1,) * (len(laid.dims) - array.ndim) + array.shape)
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
    return array.transpose(sorted(range(len(held)), key=lambda i: laid.stored.index(held[i]))), set(held)


def _cut_like(laid: Laid, other: Laid) -> Laid:
    """Split the axes of a value where those of another are split."""
    patterns = [
        [axis.length for axis in (others if own and len(own) < len(others) else own)] or [1]
        for own, others in zip(laid.dims, other.dims, strict=True)
    ]
    cut = regroup(laid, [length for pattern in patterns for length in pattern])
    if cut is None:
        return laid
    pieces = iter(cut.dims)
    return replace(cut, dims=tuple(tuple(axis for _ in pattern for axis in next(pieces)) for pattern in patterns))


def _like(emitter: Emitter, laid: Laid, leader: Laid) -> Laid | None:
    """A value with the axes and the order of the leader, or None if it has others."""
    laid = _cut_like(laid, leader)
    names: dict[Axis, Axis] = {}
    for own, others in zip(laid.dims, leader.dims, strict=True):
        if own and len(own) != len(others):
            return None
        names.update(zip(own, others[: len(own)], strict=True))
    if any(axis not in names for axis in laid.stored) or not all(_same_axis(*pair) for pair in names.items()):
        return None
    stored = tuple(names[axis] for axis in laid.stored)
    renamed = replace(laid, stored=stored, dims=tuple(tuple(names[axis] for axis in dim) for dim in laid.dims))
    return emitter.arrange(renamed, [axis for axis in leader.stored if axis in stored])


def _same_axis(left: Axis, right: Axis) -> bool:
    if left.order is None or right.order is None:
        return left.length == right.length and left.order is right.order
    return left.length == right.length and np.array_equal(left.order, right.order)
