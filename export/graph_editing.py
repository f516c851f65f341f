"""Reading and rewriting ONNX graphs node by node."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

__all__ = ["NodeEmitter", "Shape", "array_of", "is_op", "only_consumer", "static_shape", "supplant"]

Array = NDArray[Any]
Shape = tuple[int | None, ...]
"""Lengths of dimensions, None for a dynamic one."""


def is_op(node: Any, *op_types: str) -> bool:
    """Whether a node is one of these operators of the default domain."""
    return node is not None and node.domain in ("", "ai.onnx") and node.op_type in op_types


def array_of(value: Any) -> Array | None:
    """The content of a constant value, or None if it is computed at run time."""
    if value is None:
        return None
    if value.is_graph_input() and not value.is_initializer():
        return None
    tensor = ir.convenience.get_const_tensor(value)
    return None if tensor is None else np.asarray(tensor.numpy())


def static_shape(value: Any) -> Shape | None:
    """The shape of a value with None for what is dynamic, or None if even its rank is unknown."""
    if value is None or value.shape is None:
        return None
    return tuple(dim if isinstance(dim, int) else None for dim in value.shape)


def only_consumer(value: Any) -> Any:
    """The one node that reads a value, or None if there are several or the graph returns it."""
    uses = list(value.uses())
    return uses[0].node if len(uses) == 1 and not value.is_graph_output() else None


def supplant(graph: Any, node: Any, value: Any) -> None:
    """Remove a node and let another value take its one output's name, type, shape and uses.

    Args:
        graph: The graph of both.
        node: A node of one output.
        value: What is equal to that output.
    """
    old = node.outputs[0]
    name, old.name = old.name, f"{old.name}.supplanted"
    value.name, value.dtype, value.shape = name, old.dtype, old.shape
    old.replace_all_uses_with(value, replace_graph_outputs=True)
    graph.remove(node, safe=True)


class NodeEmitter:
    """Inserts nodes into a graph before its ``anchor``.

    Args:
        graph: Graph to extend.
        prefix: Begins the names of all that is inserted; no two emitters of a model may share one and not the numbers.
        numbers: Where names take their numbers from.
        constants: Initializers by content, so that equal ones are stored once.
        count: Called with the operator, the bytes that it reads and writes, and its floating-point operations.
    """

    def __init__(
        self,
        graph: Any,
        *,
        prefix: str,
        numbers: Iterator[int] | None = None,
        constants: dict[tuple[Any, ...], Any] | None = None,
        count: Callable[[str, float, float], None] | None = None,
    ) -> None:
        self.graph = graph
        self.anchor: Any = None
        self._prefix = prefix
        self._numbers = itertools.count() if numbers is None else numbers
        self._constants = {} if constants is None else constants
        self._count = count
        self._shapes: dict[Any, Shape] = {}
        self._unshaped: dict[Any, Any] = {}
        self._views: dict[Any, Any] = {}

    def constant(self, array: Array) -> Any:
        """An initializer with this content."""
        array = np.asarray(array, order="C")  # ascontiguousarray would give a scalar a dimension
        key = (id(self.graph), array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            value = ir.val(f"{self._prefix}.constant_{next(self._numbers)}", const_value=ir.tensor(array))
            self.graph.register_initializer(value)
            self._constants[key] = value
        return self._constants[key]

    def emit(
        self,
        op_type: str,
        inputs: Sequence[Any],
        shape: Shape,
        *,
        flops: float = 0.0,
        attributes: Mapping[str, Any] | None = None,
        dtype: Any = None,
        label: str | None = None,
    ) -> Any:
        """Insert one node before the anchor.

        Args:
            op_type: Operator of the default domain.
            inputs: Its inputs.
            shape: Shape of its output; None for the dynamic axis.
            flops: Floating-point operations, 2 a multiply-add.
            attributes: Its attributes.
            dtype: Element type of the output, by default the first input's.
            label: What its name says it is, by default the operator.

        Returns:
            The output.
        """
        name = f"{self._prefix}.{label or op_type.lower()}_{next(self._numbers)}"
        node = ir.node(op_type, list(inputs), attributes=dict(attributes or {}), name=name)
        output = node.outputs[0]
        output.name = f"{name}.out"
        output.dtype = inputs[0].dtype if dtype is None else dtype
        output.shape = ir.Shape(list(shape))
        self.graph.insert_before(self.anchor, node)
        self._shapes[output] = shape
        if self._count is not None:
            itemsize = output.dtype.itemsize if output.dtype is not None else 4
            moved = itemsize * sum(self.elements(value) for value in (*inputs, output) if value is not None)
            self._count(op_type, moved, flops)
        return output

    def shape_of(self, value: Any) -> Shape:
        """Shape of a value that has one; None for a dynamic dimension."""
        if value not in self._shapes:
            self._shapes[value] = tuple(dim if isinstance(dim, int) else None for dim in value.shape or ())
        return self._shapes[value]

    def elements(self, value: Any) -> int:
        """How many elements a value holds for a batch of one."""
        return math.prod(1 if dim is None else dim for dim in self.shape_of(value))

    def view(self, value: Any, shape: Shape) -> Any:
        """Reshape a value, unless it has that shape already."""
        source = self._unshaped.get(value, value)
        for candidate in (value, source):
            if self.shape_of(candidate) == shape:
                return candidate
        if (source, shape) not in self._views:
            target = self.constant(np.array([-1 if dim is None else dim for dim in shape], dtype=np.int64))
            output = self.emit("Reshape", [source, target], shape, dtype=source.dtype)
            self._unshaped[output] = source
            self._views[source, shape] = output
        return self._views[source, shape]

    def transpose(self, value: Any, perm: Sequence[int]) -> Any:
        """Transpose a value of known shape."""
        shape = self.shape_of(value)
        return self.emit("Transpose", [value], tuple(shape[i] for i in perm), attributes={"perm": list(perm)})

    def take(self, value: Any, axis: int, positions: NDArray[np.int64]) -> Any:
        """Select positions along one dimension: a slice where they are consecutive, a gather elsewhere."""
        shape = list(self.shape_of(value))
        if np.array_equal(positions, np.arange(shape[axis] or 0)):
            return value
        start = int(positions[0])
        consecutive = np.array_equal(positions, np.arange(start, start + len(positions)))
        shape[axis] = len(positions)
        if consecutive:
            bounds = [
                self.constant(np.array([bound], dtype=np.int64)) for bound in (start, start + len(positions), axis)
            ]
            return self.emit("Slice", [value, *bounds], tuple(shape))
        return self.emit("Gather", [value, self.constant(positions)], tuple(shape), attributes={"axis": int(axis)})
