"""A graph's weights in half the bytes, where they are exact in fp16, with the same result to the bit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx

__all__ = ["compact_graph"]

_SMALLEST_BYTES = 4096
"""Smaller tensors stay: a node for each costs more than it saves."""


def compact_graph(content: bytes) -> bytes:
    """Store fp32 weights as fp16 with a cast behind, where no value changes; a runtime undoes it when it loads.

    Weights that were rounded to fp16 before the export are such; what the exporter folded into others is not.

    Args:
        content: The graph.

    Returns:
        The smaller graph, or the one given where nothing can be stored so.
    """
    import onnx

    model = onnx.load_from_string(content)
    casts = [node for tensor in model.graph.initializer if (node := _halve(tensor)) is not None]
    if not casts:
        return content
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    smaller: bytes = model.SerializeToString(deterministic=True)
    return smaller


def _halve(tensor: onnx.TensorProto) -> onnx.NodeProto | None:
    """Store one tensor in fp16 under a new name; the cast that gives it back under its own."""
    import onnx
    from onnx import helper, numpy_helper

    if tensor.data_type != onnx.TensorProto.FLOAT:
        return None
    values = numpy_helper.to_array(tensor)
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    if values.nbytes < _SMALLEST_BYTES or not np.array_equal(half.astype(np.float32), values):
        return None
    name = tensor.name
    tensor.CopyFrom(numpy_helper.from_array(half, f"{name}.fp16"))
    return helper.make_node("Cast", [tensor.name], [name], name=f"{name}.fp32", to=onnx.TensorProto.FLOAT)
