"""Rewriting of ``DFT`` nodes as matrix products: runtimes without the operator load the model, others run it faster."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import onnx
import onnx_ir as ir
import onnxscript.optimizer
from onnx_ir.passes.common import CommonSubexpressionEliminationPass

from edgefuse.errors import UsageError
from edgefuse.export.dft import _channels, _normalisation, _pointwise, _reductions, _structure
from edgefuse.export.dft._chains import Form, emit_chain
from edgefuse.export.dft._cost import Cost, Target
from edgefuse.export.dft._extents import Extents
from edgefuse.export.dft._layout import Emitter, Laid
from edgefuse.export.dft._nodes import Chain, find_chain, scalar_factor
from edgefuse.export.dft._prepare import prepare
from edgefuse.export.graph_editing import array_of, is_op, static_shape
from edgefuse.export.trusted_graph import opset_of

__all__ = ["LowerMethod", "Target", "count_dft", "lower_dft"]

LowerMethod = Literal["auto", "dense", "radix", "keep"]


def lower_dft(model: onnx.ModelProto, *, method: LowerMethod = "auto", target: Target = "cpu") -> onnx.ModelProto:
    """Rewrite every ``DFT`` node of an ONNX model as matrix products and reshapes.

    Forward and inverse, one-sided, real and complex transforms over any axis are rewritten, with their factors folded
    into the matrices. Where a length is known at run time only, nodes of the graph make the matrix from it. Between
    transforms of fixed length, what acts on each frequency alone between a forward and an inverse transform
    (1x1 convolutions, normalisation, activations, products with constants, shifts of the spectrum) is computed in
    whatever order the products leave the spectrum in, so that nothing is permuted.

    Args:
        model: Any ONNX model of opset 17 or later. It is not modified.
        method: "dense": one product an axis. "radix": two smaller ones wherever a fixed length has a factor. "auto":
            whichever costs least, by a model of the target. "keep": no change.
        target: "cpu", or "tensor-core" for GPUs that multiply matrices much faster than they move them.

    Returns:
        The rewritten model, which passes the ONNX checker and holds no ``DFT`` node (unless the method is "keep").

    Raises:
        UsageError: The method or target is unknown.
        ArtifactError: A transform's axis, or the rank of its input, is not known before run time, or the model is not
            valid ONNX.

    Example:
        >>> lowered = lower_dft(onnx.load("model.onnx"))  # doctest: +SKIP
    """
    if method not in get_args(LowerMethod):
        raise UsageError(f"method must be one of {', '.join(get_args(LowerMethod))}, not {method!r}")
    if target not in get_args(Target):
        raise UsageError(f"target must be one of {', '.join(get_args(Target))}, not {target!r}")
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    if method == "keep" or not count_dft(model):
        return copy
    prepared = prepare(copy)
    plans: list[tuple[Form, bool]] = [("dense", False)] if method == "dense" else [("radix", True)]
    if method == "auto":
        plans = [("dense", False), ("radix", False)]
    results = [_lower(prepared, form, force=force, target=target) for form, force in plans]
    lowered, _ = min(results, key=lambda result: result[1].total)
    onnx.checker.check_model(lowered)
    return lowered


def count_dft(model: onnx.ModelProto) -> int:
    """How many ``DFT`` nodes a model holds, in its functions and subgraphs too."""

    def count(nodes: Any) -> int:
        total = 0
        for node in nodes:
            total += node.op_type == "DFT" and node.domain in ("", "ai.onnx")
            for attribute in node.attribute:
                total += count(attribute.g.node)
                total += sum(count(graph.node) for graph in attribute.graphs)
        return total

    return count(model.graph.node) + sum(count(function.node) for function in model.functions)


def _lower(prepared: onnx.ModelProto, form: Form, *, force: bool, target: Target) -> tuple[onnx.ModelProto, Cost]:
    model = ir.from_proto(prepared)
    cost = Cost(target)
    constants: dict[tuple[Any, ...], Any] = {}
    numbers = itertools.count()
    for graph in [model.graph, *model.graph.subgraphs()]:
        _Rewriter(
            graph,
            opset_of(prepared),
            Emitter(graph, cost, numbers=numbers, constants=constants),
            form=form,
            force=force,
        ).run()
    onnxscript.optimizer.remove_unused_nodes(model)
    CommonSubexpressionEliminationPass()(model)  # transforms of one length share one matrix
    return onnx.shape_inference.infer_shapes(ir.to_proto(model)), cost


class _Rewriter:
    """One pass over a graph in topological order, which knows the values that are laid."""

    def __init__(self, graph: Any, opset: int, emitter: Emitter, *, form: Form, force: bool) -> None:
        self._graph = graph
        self._opset = opset
        self._emitter = emitter
        self._form = form
        self._force = force
        self._laid: dict[Any, Laid] = {}
        self._extents = Extents(emitter, opset, self._plain_or_same)
        self._materialised: dict[Any, Any] = {}

    def run(self) -> None:
        """Rewrite the graph in place."""
        absorbed: set[Any] = set()
        waiting: dict[Any, Chain] = {}  # by their last node: all that enters is computed by then
        for node in list(self._graph):
            self._emitter.anchor = node
            if is_op(node, "DFT") and node not in absorbed:
                chain = find_chain(node, self._opset, known=self._laid)
                absorbed.update(chain.nodes)
                waiting[chain.nodes[-1]] = chain
            if node in waiting:
                self._lower(waiting.pop(node))
            elif node not in absorbed and not self._is_left_to_dft(node) and not self._follow(node):
                self._read_plainly(node)
        self._return_plainly()

    def _lower(self, chain: Chain) -> None:
        chain = chain.read_by(self._plain_or_same, self._extents.of_number)
        source = self._laid.get(chain.source) or self._identity(chain.source, free=chain.free)
        target = self._emitter.cost.target
        self._laid[chain.result] = emit_chain(
            self._emitter, chain, source, form=self._form, target=target, force=self._force
        )

    def _is_left_to_dft(self, node: Any) -> bool:
        """Whether a node only scales a laid value for the transforms that follow, which fold the factor."""
        if not any(value in self._laid and scalar_factor(node, value) is not None for value in node.inputs):
            return False
        value = node.outputs[0]
        readers = [use.node for use in value.uses()]
        return not value.is_graph_output() and all(is_op(one, "DFT") and one.inputs[0] is value for one in readers)

    def _identity(self, value: Any, *, free: bool) -> Laid:
        """A value of the graph as it is, its last dimension left out where it holds real parts only.

        What a free chain reads is taken from before a transposition: there is no cheaper order that is known.
        """
        node = value.producer()
        if free and is_op(node, "Transpose") and (static_shape(value) or (1,))[-1] != 1:
            return _structure.transpose(node, self._identity(node.inputs[0], free=False))
        axes = self._emitter.axes_of(value, self._extents.of)
        kept = axes[:-1] if axes[-1].length == 1 else axes
        dims = tuple((axis,) if axis in kept else () for axis in axes)
        return Laid(value, kept, dims)

    def _follow(self, node: Any) -> bool:
        """Compute a node on laid values, if there is a rule for it."""
        inputs = [self._laid.get(value) if value is not None else None for value in node.inputs]
        if not any(inputs) or node.domain not in ("", "ai.onnx"):
            return False
        if node.op_type not in _FOLLOWING_FREE and any(laid is not None and laid.free for laid in inputs):
            return False
        results = self._apply(node, inputs)
        if results is None or any(result is None for result in results):
            return False
        self._laid.update((value, laid) for value, laid in zip(node.outputs, results, strict=True) if laid is not None)
        return True

    def _apply(self, node: Any, inputs: list[Laid | None]) -> Sequence[Laid | None] | None:
        op_type, first = node.op_type, inputs[0]
        if op_type in _pointwise.ELEMENTWISE or op_type == "BatchNormalization":
            return [self._combine(node, inputs)]
        if op_type == "Concat":
            parts = [one for one in inputs if one is not None]
            return [_structure.concat(self._emitter, node, parts)] if len(parts) == len(inputs) else None
        if first is None:
            return None
        if op_type == "Split":
            return _structure.split(node, first)
        if op_type in _RENAMING:
            return [_RENAMING[op_type](node, first)]
        rule = _pointwise.unary if op_type in _pointwise.UNARY else _COMPUTING.get(op_type)
        return None if rule is None else [rule(self._emitter, node, first)]

    def _combine(self, node: Any, inputs: list[Laid | None]) -> Laid | None:
        """An operator over several values, each laid or constant."""
        pairs = zip(inputs, node.inputs, strict=True)
        operands = [laid if laid is not None else array_of(value) for laid, value in pairs]
        if node.op_type == "BatchNormalization":
            return _normalisation.batch_norm(self._emitter, node, operands)
        known = [one for one in operands if one is not None]
        if len(known) != len(operands):
            return None
        return _pointwise.elementwise(self._emitter, node.op_type, known, dtype=node.outputs[0].dtype)

    def _plain(self, value: Any) -> Any:
        """A laid value as the graph sees it, emitted once."""
        if value not in self._materialised:
            plain = self._emitter.materialise(self._laid[value])
            self._extents.stand_for(plain, value)
            self._materialised[value] = plain
        return self._materialised[value]

    def _plain_or_same(self, value: Any) -> Any:
        return self._plain(value) if value in self._laid else value

    def _read_plainly(self, node: Any) -> None:
        for index, value in enumerate(node.inputs):
            if value is not None and value in self._laid:
                node.replace_input_with(index, self._plain(value))
        for attribute in node.attributes.values():
            for graph in _graphs_of(attribute):
                for inner in graph.all_nodes():
                    for index, value in enumerate(inner.inputs):
                        if value is not None and value in self._laid:
                            inner.replace_input_with(index, self._plain(value))

    def _return_plainly(self) -> None:
        """Give the graph's outputs their plain values under their own names."""
        for index, value in enumerate(self._graph.outputs):
            if value not in self._laid:
                continue
            end = ir.node("Identity", [value], name=f"lower_dft.output_{index}")
            self._graph.append(end)
            self._emitter.anchor = end
            output = self._plain(value)
            if output.producer() is None or output.is_graph_output():
                end.replace_input_with(0, output)
                output = end.outputs[0]
            else:
                end.replace_input_with(0, None)
                self._graph.remove(end)
            name, value.name = value.name, f"{value.name}.laid"
            output.name, output.dtype, output.shape = name, value.dtype, value.shape
            self._graph.outputs[index] = output


def _graphs_of(attribute: Any) -> list[Any]:
    if attribute.type == ir.AttributeType.GRAPH:
        return [attribute.value]
    return list(attribute.value) if attribute.type == ir.AttributeType.GRAPHS else []


_RENAMING: dict[str, Callable[[Any, Laid], Laid | None]] = {
    "Identity": lambda _, laid: laid,
    "Gather": _structure.gather,
    "Reshape": _structure.reshape,
    "Slice": _structure.slice_,
    "Squeeze": _structure.squeeze,
    "Transpose": _structure.transpose,
    "Unsqueeze": _structure.unsqueeze,
}
# Rules that need no length: of two free axes it is not known that they are equal, nor how a reshape cuts them.
_FOLLOWING_FREE = _pointwise.UNARY | {"Gather", "Identity", "Slice", "Squeeze", "Transpose", "Unsqueeze"}
_COMPUTING: dict[str, Callable[[Emitter, Any, Laid], Laid | None]] = {
    "Conv": _channels.conv_1x1,
    "InstanceNormalization": _normalisation.instance_norm,
    "MatMul": _channels.matmul,
    **dict.fromkeys(_reductions.REDUCTIONS, _reductions.reduce_),
}
