"""The shapes of every tensor of an ONNX graph, and which of its nodes run at inference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgefuse.errors import ArtifactError, InputError

__all__ = ["GraphShapes", "NodeView", "Shape"]

Shape = tuple[int, ...]

# The result of these is known when the graph is loaded, once the input shapes are.
_SHAPE_OPERATORS = frozenset({"Shape", "Size"})
# Their result is another view of the same bytes.
_VIEWS = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"})


@dataclass(frozen=True)
class NodeView:
    """One node with what is known of its tensors.

    Attributes:
        opset: Version of the standard operators that the graph uses.
        operator: Operator type; operators outside the standard set carry their domain, as in ``"com.microsoft.Gelu"``.
        attributes: Attribute values by name.
        inputs: Shape of every input; None where unknown, an empty tuple for a scalar.
        outputs: Shape of every output.
        constants: Values of the inputs that are constants, by position.
        present: Whether every input is there; optional ones may be left out.
        floating: Whether an input or output holds floating-point numbers.
        quantized: Whether the first input holds 8-bit integers.
        moved_bytes: Bytes read and written if the node runs alone.
    """

    opset: int
    operator: str
    attributes: dict[str, Any]
    inputs: tuple[Shape | None, ...]
    outputs: tuple[Shape | None, ...]
    constants: dict[int, np.ndarray[Any, Any]]
    present: tuple[bool, ...]
    floating: bool
    quantized: bool
    moved_bytes: int

    @property
    def shapes_known(self) -> bool:
        """Whether the shape of every tensor is known."""
        inputs = all(shape is not None for shape, here in zip(self.inputs, self.present, strict=True) if here)
        return inputs and all(shape is not None for shape in self.outputs)

    def input_shape(self, index: int) -> Shape:
        """The shape of an input that is known to be there."""
        shape = self.inputs[index]
        if shape is None:
            raise ArtifactError(f"a {self.operator} node has an input of unknown shape")
        return shape

    def output_shape(self, index: int = 0) -> Shape:
        """The shape of an output that is known to be there."""
        shape = self.outputs[index]
        if shape is None:
            raise ArtifactError(f"a {self.operator} node has an output of unknown shape")
        return shape

    def has_input(self, index: int) -> bool:
        """Whether an optional input is given."""
        return index < len(self.present) and self.present[index]


class GraphShapes:
    """A graph with its inputs fixed to a size and shapes inferred from there.

    Args:
        model: An ``onnx.ModelProto``; not changed.
        shapes: Shapes of inputs, by name, where the graph leaves them open.

    Raises:
        InputError: An input's shape is open and not given, or a given one contradicts the graph.
        ArtifactError: The graph contradicts itself.
    """

    def __init__(self, model: Any, *, shapes: Mapping[str, Shape]) -> None:
        import onnx
        from onnx import inliner, numpy_helper

        fixed = onnx.ModelProto()
        fixed.CopyFrom(inliner.inline_local_functions(model) if model.functions else model)
        graph = fixed.graph
        stored = {item.name for item in graph.initializer}
        self._input_names = tuple(item.name for item in graph.input if item.name not in stored)
        _fix_inputs(graph, self._input_names, shapes)
        try:
            fixed = onnx.shape_inference.infer_shapes(fixed, data_prop=True)
        except Exception as error:  # onnx raises bare RuntimeError subclasses of its own here
            raise ArtifactError(f"the graph's shapes contradict each other ({error})") from error
        self._graph = fixed.graph
        self._opset = next((item.version for item in fixed.opset_import if item.domain in ("", "ai.onnx")), 0)
        self._shapes: dict[str, Shape] = {}
        self._types: dict[str, int] = {}
        for item in (*self._graph.input, *self._graph.value_info, *self._graph.output):
            self._record(item)
        self._constants: dict[str, Any] = {}
        for tensor in self._graph.initializer:
            self._shapes[tensor.name], self._types[tensor.name] = tuple(tensor.dims), tensor.data_type
            self._constants[tensor.name] = tensor
        self._to_array = numpy_helper.to_array
        self._item_bytes = {
            int(kind): int(np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind)).itemsize)
            for kind in onnx.TensorProto.DataType.values()
            if kind not in (onnx.TensorProto.UNDEFINED, onnx.TensorProto.STRING)
        }
        floats = ("FLOAT", "DOUBLE", "FLOAT16", "BFLOAT16")
        self._float_types = {int(onnx.TensorProto.DataType.Value(name)) for name in floats}
        self._byte_types = {int(onnx.TensorProto.INT8), int(onnx.TensorProto.UINT8)}

    def _record(self, item: Any) -> None:
        tensor = item.type.tensor_type
        self._types[item.name] = tensor.elem_type
        sides = [side.dim_value if side.HasField("dim_value") else None for side in tensor.shape.dim]
        if tensor.HasField("shape") and all(side is not None for side in sides):
            self._shapes[item.name] = tuple(int(side) for side in sides if side is not None)

    @property
    def initializer_elements(self) -> int:
        """Number of floating-point numbers stored in the graph."""
        stored = (item for item in self._graph.initializer if item.data_type in self._float_types)
        return sum(int(np.prod(item.dims, dtype=np.int64)) for item in stored)

    @property
    def least_bytes(self) -> int:
        """Bytes of the graph's inputs, outputs and initialisers."""
        names = {*self._input_names, *(item.name for item in self._graph.output)}
        names |= {item.name for item in self._graph.initializer}
        return sum(self._bytes(name) for name in names)

    def _bytes(self, name: str) -> int:
        shape = self._shapes.get(name)
        return 0 if shape is None else int(np.prod(shape, dtype=np.int64)) * self._item_bytes.get(self._types[name], 0)

    def running_nodes(self) -> Iterator[NodeView]:
        """The nodes that run at every inference, in order: those that depend on weights and shapes alone do not.

        Yields:
            Each node, seen with its shapes.
        """
        known = set(self._constants)
        for node in self._graph.node:
            inputs = [name for name in node.input if name]
            is_random = node.op_type.startswith(("Random", "Bernoulli", "Multinomial"))
            if not is_random and (node.op_type in _SHAPE_OPERATORS or all(name in known for name in inputs)):
                known.update(node.output)
                if node.op_type == "Constant":
                    self._keep_constant(node)
                continue
            yield self._view(node)

    def _keep_constant(self, node: Any) -> None:
        for attribute in node.attribute:
            if attribute.name == "value":
                self._constants[node.output[0]] = attribute.t
                self._shapes[node.output[0]] = tuple(attribute.t.dims)
                self._types[node.output[0]] = attribute.t.data_type

    def _view(self, node: Any) -> NodeView:
        from onnx import helper

        names = [name for name in (*node.input, *node.output) if name]
        types = [self._types.get(name, 0) for name in names]
        domain = "" if node.domain in ("", "ai.onnx") else f"{node.domain}."
        return NodeView(
            opset=self._opset,
            operator=domain + node.op_type,
            attributes={item.name: helper.get_attribute_value(item) for item in node.attribute},
            inputs=tuple(self._shapes.get(name) for name in node.input),
            outputs=tuple(self._shapes.get(name) for name in node.output if name),
            constants={
                index: self._to_array(self._constants[name])
                for index, name in enumerate(node.input)
                if name in self._constants and int(np.prod(self._constants[name].dims, dtype=np.int64)) <= 64
            },
            present=tuple(bool(name) for name in node.input),
            # A tensor whose type is unknown is taken for floating point: counting too much shows, too little does not.
            floating=any(kind in self._float_types or kind == 0 for kind in types),
            quantized=self._types.get(node.input[0], 0) in self._byte_types if node.input else False,
            moved_bytes=0 if node.op_type in _VIEWS else sum(self._bytes(name) for name in dict.fromkeys(names)),
        )


def _fix_inputs(graph: Any, names: tuple[str, ...], shapes: Mapping[str, Shape]) -> None:
    """Give every input a full shape, and forget inferred shapes where that changes anything."""
    changed = False
    for item in graph.input:
        if item.name not in names:
            continue
        sides = item.type.tensor_type.shape.dim
        found = tuple(int(side.dim_value) if side.HasField("dim_value") else None for side in sides)
        wanted = _settle_shape(item.name, found, shapes.get(item.name))
        changed = changed or wanted != found
        for side, length in zip(sides, wanted, strict=True):
            side.dim_value = length
    if changed:
        del graph.value_info[:]
        for item in graph.output:
            item.type.tensor_type.ClearField("shape")


def _settle_shape(name: str, found: tuple[int | None, ...], given: Shape | None) -> Shape:
    """Settle an input's shape from the graph's own and the given one.

    Args:
        name: Name of the input.
        found: Shape in the graph, None where a dimension is open.
        given: Shape asked for, if any.

    Returns:
        The shape, every dimension known.

    Raises:
        InputError: A dimension is open and not given, or the two disagree.
    """
    if given is None:
        if any(side is None for side in found):
            raise InputError(f"input {name!r} has an open shape {list(found)}: give its size")
        return tuple(side for side in found if side is not None)
    if len(given) != len(found) or any(own not in (None, side) for own, side in zip(found, given, strict=False)):
        raise InputError(f"input {name!r} has shape {list(found)} in the graph, which {list(given)} does not fit")
    return given
