"""Rules for operators that only rename, split, cut or join dimensions of a laid value: they emit next to nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgefuse.export.dft._layout import Axis, Emitter, Laid
from edgefuse.export.graph_editing import array_of, static_shape

__all__ = ["concat", "gather", "regroup", "reshape", "slice_", "split", "squeeze", "transpose", "unsqueeze"]

Indices = NDArray[np.int64]


def _ints(value: Any) -> list[int] | None:
    array = array_of(value)
    return None if array is None else [int(one) for one in array.reshape(-1)]


def _input(node: Any, index: int) -> Any:
    return node.inputs[index] if len(node.inputs) > index else None


def transpose(node: Any, laid: Laid) -> Laid:
    """Rename the order of the dimensions."""
    rank = len(laid.dims)
    perm = node.attributes["perm"].value if "perm" in node.attributes else range(rank)[::-1]
    return replace(laid, dims=tuple(laid.dims[int(i)] for i in perm))


def unsqueeze(node: Any, laid: Laid) -> Laid | None:
    """Add dimensions of length 1."""
    axes = _ints(_input(node, 1))
    if axes is None:
        return None
    rank = len(laid.dims) + len(axes)
    places = {axis % rank for axis in axes}
    dims = iter(laid.dims)
    return replace(laid, dims=tuple(() if i in places else next(dims) for i in range(rank)))


def squeeze(node: Any, laid: Laid) -> Laid | None:
    """Leave out dimensions of length 1."""
    value = _input(node, 1)
    axes = _ints(value) if value is not None else [i for i, length in enumerate(laid.shape()) if length == 1]
    if axes is None or any(laid.shape()[axis] != 1 for axis in axes):
        return None
    places = {axis % len(laid.dims) for axis in axes}
    return replace(laid, dims=tuple(dim for i, dim in enumerate(laid.dims) if i not in places))


def reshape(node: Any, laid: Laid) -> Laid | None:
    """Group the axes into other dimensions, splitting one where the new shape cuts it."""
    shape = static_shape(node.outputs[0])
    target = _ints(node.inputs[1])
    if target is not None and all(size > 0 for size in target):
        shape = tuple(target)
    return None if shape is None else regroup(laid, shape)


def regroup(laid: Laid, shape: Sequence[int | None]) -> Laid | None:
    """Group the axes of a laid value into dimensions of these lengths.

    Args:
        laid: The value.
        shape: Lengths wanted, None for the dynamic one.

    Returns:
        The same memory under the new dimensions, or None where a cut is impossible.
    """
    waiting = [axis for dim in laid.dims for axis in dim if laid.length(axis) != 1]
    dims: list[tuple[Axis, ...]] = []
    for size in shape:
        group: list[Axis] = []
        missing = size
        while missing != 1:
            if not waiting:
                return None
            length = laid.length(waiting[0])
            if missing is None:
                if length is not None:
                    return None
                missing = 1
            elif length is None:
                return None
            elif missing % length == 0:
                missing //= length
            elif length % missing == 0 and (halves := _cut(laid, waiting[0], missing)) is not None:
                laid, outer, inner = halves
                dims = [tuple(dim) for dim in dims]
                waiting[:1] = [outer, inner]
                missing = 1
            else:
                return None
            group.append(waiting.pop(0))
        dims.append(tuple(group))
    return None if waiting else replace(laid, dims=tuple(dims))


def _cut(laid: Laid, axis: Axis, outer_length: int) -> tuple[Laid, Axis, Axis] | None:
    """Split one axis in two, unless it is a spectrum or selected from."""
    if axis.length is None or axis.order is not None or axis in laid.picks:
        return None
    outer, inner = Axis(outer_length), Axis(axis.length // outer_length)
    place = laid.stored.index(axis)
    return replace(laid, stored=(*laid.stored[:place], outer, inner, *laid.stored[place + 1 :])), outer, inner


def _pick(laid: Laid, dim: int, index: Indices) -> Laid | None:
    """Select along a dimension, in whole blocks where several axes make it up; an axis of one index is hidden."""
    axes = laid.dims[dim]
    if not axes:
        return laid if np.array_equal(index, [0]) else None
    lengths = [laid.length(axis) for axis in axes]
    if None in lengths or len(index) == 0:
        return None
    block = math.prod(length or 1 for length in lengths[1:])
    outer = index[::block] // block
    if not np.array_equal(index, (outer[:, None] * block + np.arange(block)).reshape(-1)):
        return None
    picked = laid.with_pick(axes[0], outer)
    kept = axes[1:] if len(outer) == 1 else axes
    return replace(picked, dims=(*laid.dims[:dim], kept, *laid.dims[dim + 1 :]))


def slice_(node: Any, laid: Laid) -> Laid | None:
    """Select ranges along dimensions."""
    starts, ends = _ints(_input(node, 1)), _ints(_input(node, 2))
    if starts is None or ends is None:
        return None
    axes = list(range(len(starts))) if _input(node, 3) is None else _ints(node.inputs[3])
    steps = [1] * len(starts) if _input(node, 4) is None else _ints(node.inputs[4])
    if axes is None or steps is None:
        return None
    result: Laid | None = laid
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        dim = axis % len(laid.dims)
        length = laid.shape()[dim]
        if result is None or length is None:
            return None
        stop = None if step < 0 and end < -length else end
        result = _pick(result, dim, np.arange(length)[slice(start, stop, step)])
    return result


def gather(node: Any, laid: Laid) -> Laid | None:
    """Select constant indices along a dimension."""
    index = array_of(node.inputs[1])
    dim = int(node.attributes["axis"].value) % len(laid.dims) if "axis" in node.attributes else 0
    length = laid.shape()[dim]
    if index is None or index.ndim > 1 or length is None:
        return None
    picked = _pick(laid, dim, index.reshape(-1) % length)
    if picked is None or index.ndim == 1:
        return picked
    return replace(picked, dims=(*picked.dims[:dim], *picked.dims[dim + 1 :]))


def split(node: Any, laid: Laid) -> list[Laid] | None:
    """Select consecutive ranges along a dimension."""
    dim = int(node.attributes["axis"].value) % len(laid.dims) if "axis" in node.attributes else 0
    length = laid.shape()[dim]
    if length is None:
        return None
    sizes = _ints(_input(node, 1))
    if sizes is None:
        if _input(node, 1) is not None:
            return None
        chunk = -(-length // len(node.outputs))
        sizes = [min(chunk, length - i * chunk) for i in range(len(node.outputs))]
    pieces, start = [], 0
    for size in sizes:
        piece = _pick(laid, dim, np.arange(start, start + size))
        if piece is None:
            return None
        pieces.append(piece)
        start += size
    return pieces


def concat(emitter: Emitter, node: Any, parts: Sequence[Laid]) -> Laid | None:
    """Join values; selections of one value along one axis join without a node, as a shifted spectrum does."""
    dim = int(node.attributes["axis"].value) % len(parts[0].dims)
    return _rejoin(parts, dim) or _append(emitter, parts, dim)


def _rejoin(parts: Sequence[Laid], dim: int) -> Laid | None:
    first = parts[0]
    if any(part.value is not first.value or part.stored != first.stored for part in parts):
        return None
    differing = {
        axis
        for axis in first.stored
        if any(not _same_pick(part.picks.get(axis), first.picks.get(axis)) for part in parts)
    }
    if len(differing) != 1:
        return None
    (axis,) = differing
    for part in parts:
        hidden = not any(axis in one for one in part.dims)
        if part.dims[dim] != (() if hidden else (axis,)) or _others(part, dim) != _others(first, dim):
            return None
    index = np.concatenate([part.picks.get(axis, np.arange(axis.length or 0)) for part in parts])
    bare = replace(first, picks={key: pick for key, pick in first.picks.items() if key is not axis})
    return replace(bare, dims=(*first.dims[:dim], (axis,), *first.dims[dim + 1 :])).with_pick(axis, index)


def _others(laid: Laid, dim: int) -> tuple[tuple[Axis, ...], ...]:
    return laid.dims[:dim] + laid.dims[dim + 1 :]


def _same_pick(left: Indices | None, right: Indices | None) -> bool:
    if left is None or right is None:
        return left is right
    return np.array_equal(left, right)


def _append(emitter: Emitter, parts: Sequence[Laid], dim: int) -> Laid | None:
    """Join different values that have the same axes but for the one joined."""
    settled = [emitter.settle(part) for part in parts]
    first = settled[0]
    if any(_others(part, dim) != _others(first, dim) or len(part.dims[dim]) > 1 for part in settled):
        return None
    if any(axis.order is not None or axis.length is None for part in settled for axis in part.dims[dim]):
        return None
    settled = [_with_axis(part, dim) for part in settled]
    first = settled[0]
    (axis,) = first.dims[dim]
    place = first.stored.index(axis)
    before, after = first.stored[:place], first.stored[place + 1 :]
    values = []
    for part in settled:
        (own,) = part.dims[dim]
        arranged = emitter.arrange(part, [*before, own, *after])
        values.append(emitter.grouped(arranged, before, [own], after))
    joined = Axis(sum(part.dims[dim][0].length or 0 for part in settled))
    at = 1 if before else 0
    shape = list(emitter.shape_of(values[0]) or ())
    shape[at] = joined.length
    value = emitter.emit("Concat", values, tuple(shape), attributes={"axis": at})
    return Laid(value, (*before, joined, *after), (*first.dims[:dim], (joined,), *first.dims[dim + 1 :]))


def _with_axis(laid: Laid, dim: int) -> Laid:
    """Give an empty dimension an axis of length 1, outermost in memory."""
    if laid.dims[dim]:
        return laid
    axis = Axis(1)
    return replace(laid, stored=(axis, *laid.stored), dims=(*laid.dims[:dim], (axis,), *laid.dims[dim + 1 :]))
