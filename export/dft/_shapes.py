"""Shapes behind ``DFT`` nodes whose length is known at run time only, which ONNX's shape inference leaves open."""

from __future__ import annotations

import itertools
from typing import Any

import onnx
import onnx_ir as ir

from edgefuse.export.dft._extents import Extents
from edgefuse.export.dft._nodes import read_stage
from edgefuse.export.graph_editing import NodeEmitter, is_op, static_shape, supplant

__all__ = ["settle_shapes"]


def settle_shapes(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """Give the results of ``DFT`` nodes their ranks, and compute their lengths without them.

    PyTorch writes the factor of an ortho transform as the root of a length that it reads off the transform's result.
    That length is computed from the graph's inputs here, so that the factor can go into the transform's matrix.

    Args:
        model: A model with inferred shapes.
        opset: Version of its default operator set.

    Returns:
        An equal model, with the shapes inferred that follow; the same one where every length is fixed.
    """
    numbers = itertools.count()
    while True:
        changed = ir.from_proto(model)
        graphs = [changed.graph, *changed.graph.subgraphs()]
        settled = [_settle(node, opset) for graph in graphs for node in graph if is_op(node, "DFT")]
        if any(settled):
            model = onnx.shape_inference.infer_shapes(ir.to_proto(changed), data_prop=True)
            continue
        if not any(_is_open(node.outputs[0]) for graph in graphs for node in graph if is_op(node, "DFT")):
            return model
        for graph in graphs:
            _read_lengths_before(graph, NodeEmitter(graph, prefix="lower_dft.shape", numbers=numbers), opset)
        return onnx.shape_inference.infer_shapes(ir.to_proto(changed), data_prop=True)


def _is_open(value: Any) -> bool:
    return None in (static_shape(value) or (None,))


def _settle(node: Any, opset: int) -> bool:
    """Give the result of a transform its shape, if it has none yet and the input's is known."""
    source, result = node.inputs[0], node.outputs[0]
    shape = static_shape(source)
    if shape is None or result.shape is not None:
        return False
    stage = read_stage(node, opset, shape)
    dims = list(source.shape)
    dims[stage.dim], dims[-1] = stage.n_out, 1 + stage.transform.complex_out
    result.shape, result.dtype = ir.Shape(dims), source.dtype
    return True


def _read_lengths_before(graph: Any, emitter: NodeEmitter, opset: int) -> None:
    """Read every length where it comes from."""
    extents = Extents(emitter, opset)
    for node in list(graph):
        if not is_op(node, "Shape") or (shape := static_shape(node.inputs[0])) is None:
            continue
        emitter.anchor = node
        bounds = [node.attributes[name].value if name in node.attributes else None for name in ("start", "end")]
        parts = [extents.of(node.inputs[0], dim) for dim in range(len(shape))[slice(*bounds)]]
        if len(parts) == 1 and not node.outputs[0].is_graph_output():
            node.outputs[0].replace_all_uses_with(parts[0])
            graph.remove(node)
        elif parts:
            supplant(graph, node, emitter.emit("Concat", parts, (len(parts),), attributes={"axis": 0}))
