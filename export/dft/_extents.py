"""Lengths that are known at run time only: where they come from, and the nodes that compute them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir

from edgefuse.export.dft._free import FreeTransform, free_lengths
from edgefuse.export.dft._nodes import read_stage
from edgefuse.export.dft._pointwise import ELEMENTWISE, UNARY
from edgefuse.export.graph_editing import NodeEmitter, array_of, is_op, static_shape

__all__ = ["Extents"]

_LIKE_FIRST = UNARY | {"BatchNormalization", "Identity", "InstanceNormalization", "LayerNormalization", "Softmax"}
# How many nodes to walk up before a length is read off where the walk stands; Python allows 1000 calls within calls.
_DEEPEST = 200


class Extents:
    """Emits lengths as int64 values of shape [1], each as close to the graph's inputs as it can be followed.

    So one length is one value, wherever in the graph it is needed, and reading it keeps no other value alive: not the
    result of a transform, nor a transpose or a factor before one that is drawn into its matrix.

    Args:
        emitter: Where nodes go.
        opset: Version of the default operator set.
        read: Called with a value whose shape is to be read; returns the one to read it off.
    """

    def __init__(self, emitter: NodeEmitter, opset: int, read: Callable[[Any], Any] = lambda value: value) -> None:
        self._emitter = emitter
        self._opset = opset
        self._read = read
        self._known: dict[Any, Any] = {}
        self._originals: dict[Any, Any] = {}

    def stand_for(self, value: Any, original: Any) -> None:
        """Follow one value as another that it has replaced."""
        self._originals[value] = original

    def of(self, value: Any, dim: int) -> Any:
        """Length of one dimension of a value of known rank.  # [1], int64"""
        return self._of(value, dim, 0)

    def of_number(self, value: Any) -> Any:
        """A length that the graph computes as one integer.  # [1], int64"""
        return self._of_number(value, 0)

    def _of_number(self, value: Any, depth: int) -> Any:
        if value not in self._known:
            start = value
            while (node := start.producer()) is not None and _only_wraps(node):
                start = node.inputs[0]
            dim = _dim_read(node)
            if dim is not None and node is not None and static_shape(node.inputs[0]) is not None:
                self._known[value] = self._of(node.inputs[0], dim, depth)
            else:
                self._known[value] = self._emit_number(value)
        return self._known[value]

    def _emit_number(self, value: Any) -> Any:
        value = self._read(value)
        if static_shape(value) != (1,):
            value = self._emitter.emit("Reshape", [value, self._emitter.constant(np.array([1]))], (1,))
        if value.dtype == ir.DataType.INT64:
            return value
        attributes = {"to": ir.DataType.INT64}
        return self._emitter.emit("Cast", [value], (1,), attributes=attributes, dtype=ir.DataType.INT64)

    def _of(self, value: Any, dim: int, depth: int) -> Any:
        if (value, dim) not in self._known:
            size = (static_shape(value) or (None,) * (dim + 1))[dim]
            if size is not None:
                found = self._emitter.constant(np.array([size]))
            else:
                found = self._followed(value, dim, depth + 1) if depth < _DEEPEST else None
            self._known[value, dim] = self._emit_shape(value, dim) if found is None else found
        return self._known[value, dim]

    def _emit_shape(self, value: Any, dim: int) -> Any:
        key: Any = (value, dim)
        if value.is_graph_input() and (name := _own_symbol(value, dim)) is not None:
            key = name
        if key not in self._known:
            bounds = {"start": dim, "end": dim + 1}
            source = self._read(value)
            self._known[key] = self._emitter.emit("Shape", [source], (1,), attributes=bounds, dtype=ir.DataType.INT64)
        return self._known[key]

    def _followed(self, value: Any, dim: int, depth: int) -> Any:
        """The length as one of what the value is computed from, or None where that is not known."""
        if value in self._originals:
            return self._of(self._originals[value], dim, depth)
        node = value.producer()
        if node is None or node.domain not in ("", "ai.onnx") or value.index() != 0:
            return None
        if is_op(node, "DFT"):
            return self._of_dft(node, dim, depth)
        if node.op_type in ELEMENTWISE:
            return self._of_broadcast(node, value, dim, depth)
        if is_op(node, "Reshape"):
            piece = _piece(node.inputs[1].producer(), dim)
            return None if piece is None else self._of_number(piece, depth)
        place = _same_place(node, dim)
        return None if place is None else self._of(node.inputs[0], place, depth)

    def _of_dft(self, node: Any, dim: int, depth: int) -> Any:
        shape = static_shape(node.inputs[0])
        if shape is None:
            return None
        stage = read_stage(node, self._opset, shape)
        n_in = self._of(node.inputs[0], dim, depth)
        transform = stage.transform
        if dim != stage.dim or not isinstance(transform, FreeTransform):
            return n_in
        return free_lengths(self._emitter, transform.with_lengths(self.of_number), n_in).n_out

    def _of_broadcast(self, node: Any, value: Any, dim: int, depth: int) -> Any:
        """Of operands that broadcast, the length that all have which are not of length 1."""
        rank = len(value.shape or ())
        found = None
        for one in node.inputs:
            shape = static_shape(one)
            if shape is None or rank == 0:
                return None
            place = dim - (rank - len(shape))
            if place < 0 or shape[place] == 1:
                continue
            length = self._of(one, place, depth)
            if found is not None and length is not found:
                return None
            found = length
        return found


def _own_symbol(value: Any, dim: int) -> str | None:
    """The name of an input's dimension, which stands for the same length at other inputs too.

    Some tools call every unknown dimension alike; a name that an input has twice is not believed.
    """
    names = Counter(str(size.value) for size in value.shape if not isinstance(size, int))
    name = str(value.shape[dim].value)
    return name if names[name] == 1 and re.fullmatch(r"[A-Za-z]\w*", name) and name != "None" else None


def _only_wraps(node: Any) -> bool:
    """Whether a node gives on the one number that it is given."""
    if is_op(node, "Concat"):
        return len(node.inputs) == 1
    whole = not is_op(node, "Cast") or node.attributes["to"].value in (ir.DataType.INT64, ir.DataType.INT32)
    return is_op(node, "Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze") and whole


def _dim_read(node: Any) -> int | None:
    """The one dimension whose length a Shape node reads, counted from the first, or None if it is not one."""
    if not is_op(node, "Shape"):
        return None
    shape = static_shape(node.inputs[0])
    bounds = [node.attributes[name].value if name in node.attributes else None for name in ("start", "end")]
    dims = range(len(shape or ()))[slice(*bounds)]
    return dims[0] if len(dims) == 1 else None


def _piece(target: Any, dim: int) -> Any:
    """The value of one element that a Reshape takes a dimension's length from, or None."""
    if not is_op(target, "Concat") or any(static_shape(one) != (1,) for one in target.inputs):
        return None
    piece = target.inputs[dim]
    array = array_of(piece)
    return piece if array is None or array.item() > 0 else None


def _same_place(node: Any, dim: int) -> int | None:
    """Which dimension of its first input has the length of this one of a node's output, or None if not one has."""
    shape = static_shape(node.inputs[0])
    if node.op_type in _LIKE_FIRST:
        return dim
    if shape is None:
        return None
    rank = len(shape)
    given = {name: attribute.value for name, attribute in node.attributes.items()}
    if is_op(node, "Transpose"):
        return int(given.get("perm", range(rank)[::-1])[dim])
    if is_op(node, "Conv"):
        return dim if dim == 0 or _keeps_size(node, given, dim - 2) else None
    if is_op(node, "Concat", "Slice"):
        return None if dim in _touched(node, given, rank) else dim
    reshaped = is_op(node, "Unsqueeze", "Squeeze", "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin")
    return _beside_axes(node, given, dim, rank) if reshaped else None


def _touched(node: Any, given: dict[str, Any], rank: int) -> set[int]:
    """Dimensions that a Concat or Slice changes."""
    if is_op(node, "Concat"):
        return {int(given["axis"]) % rank}
    axes = array_of(node.inputs[3]) if len(node.inputs) > 3 else None
    return set(range(rank)) if axes is None else {int(axis) % rank for axis in axes}


def _keeps_size(node: Any, given: dict[str, Any], place: int) -> bool:
    """Whether a convolution's output is as long as its input in one of its spatial dimensions."""
    kernel = static_shape(node.inputs[1])
    if place < 0 or kernel is None or (size := kernel[2 + place]) is None:
        return False
    count = len(kernel) - 2
    if given.get("strides", [1] * count)[place] != 1:
        return False
    if given.get("auto_pad", "NOTSET") in ("SAME_UPPER", "SAME_LOWER"):
        return True
    pads = given.get("pads", [0] * 2 * count)
    padded = pads[place] + pads[count + place] == given.get("dilations", [1] * count)[place] * (size - 1)
    return given.get("auto_pad", "NOTSET") == "NOTSET" and bool(padded)


def _beside_axes(node: Any, given: dict[str, Any], dim: int, rank: int) -> int | None:
    """Where a dimension was before others were added, left out or reduced."""
    axes = array_of(node.inputs[1]) if len(node.inputs) > 1 else None
    axes = given.get("axes") if axes is None else axes
    if axes is None:
        return None
    adds = node.op_type == "Unsqueeze"
    places = {int(axis) % (rank + len(axes) if adds else rank) for axis in axes}
    if adds:
        return None if dim in places else dim - sum(place < dim for place in places)
    if node.op_type != "Squeeze" and given.get("keepdims", 1):
        return None if dim in places else dim
    return [place for place in range(rank) if place not in places][dim]
