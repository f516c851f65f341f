"""Rules for sums, means and extremes over whole dimensions of a laid value."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import numpy as np

from edgefuse.export.dft._layout import Axis, Emitter, Laid
from edgefuse.export.dft._pointwise import emit_blocks, run_blocks
from edgefuse.export.graph_editing import array_of

__all__ = ["REDUCTIONS", "reduce_", "reduce_dims"]

REDUCTIONS = frozenset({"GlobalAveragePool", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum"})


def reduce_(emitter: Emitter, node: Any, laid: Laid) -> Laid | None:
    """Sum, average or find the extreme over whole dimensions; a frequency stored twice counts once."""
    rank = len(laid.dims)
    keep = True
    if node.op_type == "GlobalAveragePool":
        places: Collection[int] = range(2, rank)
    else:
        keep = bool(node.attributes["keepdims"].value) if "keepdims" in node.attributes else True
        axes = node.attributes["axes"].value if "axes" in node.attributes else None
        if axes is None and len(node.inputs) > 1:
            axes = array_of(node.inputs[1])
        if axes is None:
            return None
        places = {int(axis) % rank for axis in axes}
    op_type = "ReduceMean" if node.op_type == "GlobalAveragePool" else node.op_type
    return reduce_dims(emitter, op_type, laid, places, keep=keep)


def reduce_dims(
    emitter: Emitter, op_type: str, laid: Laid, places: Collection[int], *, keep: bool = True
) -> Laid | None:
    """Reduce over some dimensions, which keep length 1 or go; None if one of them is dynamic."""
    laid = emitter.settle(laid)
    gone = {axis for place in places for axis in laid.dims[place]}
    if not gone or any(axis.length is None for axis in gone):
        return None
    result = laid
    weighed = op_type in ("ReduceMean", "ReduceSum")
    repeated = [axis for axis in laid.stored if weighed and axis in gone and axis.holds_duplicates]
    if gone.difference(repeated):
        result = _reduce_axes(emitter, op_type, result, gone.difference(repeated))
    for axis in repeated:  # after the others, when little is left to weigh
        weights = np.zeros(axis.size or 0, dtype=laid.value.dtype.numpy())
        weights[axis.first_positions()] = 1 / (axis.length or 1) if op_type == "ReduceMean" else 1
        operands = [(result.value, set(result.stored)), (weights, {axis})]
        result = _reduce_axes(emitter, "ReduceSum", emit_blocks(emitter, "Mul", result, operands), {axis})
    dims = tuple(() if i in places else dim for i, dim in enumerate(laid.dims) if keep or i not in places)
    return replace(result, dims=dims)


def _reduce_axes(emitter: Emitter, op_type: str, laid: Laid, gone: set[Axis]) -> Laid:
    """Reduce over some stored axes; the dimensions are left to the caller."""
    blocks = run_blocks(laid.stored, [gone])
    view = emitter.grouped(laid, *blocks)
    axes = emitter.constant(np.array([i for i, block in enumerate(blocks) if block[0] in gone], dtype=np.int64))
    shape = emitter.shape_of(view)
    kept = tuple(shape[i] for i, block in enumerate(blocks) if block[0] not in gone)
    value = emitter.emit(op_type, [view, axes], kept, attributes={"keepdims": 0})
    return replace(laid, value=value, stored=tuple(axis for axis in laid.stored if axis not in gone))
