"""Pixel shuffles to one channel as transpositions, which ONNX Runtime does faster on a CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from edgefuse.export.graph_editing import NodeEmitter, is_op, static_shape, supplant

__all__ = ["shuffle_by_transposing"]


def shuffle_by_transposing(model: onnx.ModelProto) -> onnx.ModelProto:
    """Rewrite DepthToSpace where it makes one channel of b*b.

    ONNX Runtime moves one number after the other for it. Of the two transpositions that do the same, one is that of a
    matrix, for which it has a kernel in vector registers, and the other moves whole rows.

    Args:
        model: Any model, of static or dynamic sizes; it is not modified.

    Returns:
        An equal model.
    """
    converted = ir.from_proto(onnx.shape_inference.infer_shapes(model, data_prop=True))
    graph = converted.graph
    emitter = NodeEmitter(graph, prefix="pixel_shuffle")
    for node in list(graph):
        shape = static_shape(node.inputs[0]) if is_op(node, "DepthToSpace") else None
        # With one channel left, both orders of its channels are the same.
        if shape is not None and len(shape) == 4 and shape[1] == node.attributes["blocksize"].value ** 2:
            emitter.anchor = node
            supplant(graph, node, _shuffled(emitter, node, shape))
    rewritten: onnx.ModelProto = ir.to_proto(converted)
    return rewritten


def _shuffled(emitter: NodeEmitter, node: Any, shape: tuple[int | None, ...]) -> Any:
    """(B, b*b, h, w) as (B, 1, b*h, b*w)."""
    batch, _, height, width = shape
    block = node.attributes["blocksize"].value
    tall, wide = (None if side is None else block * side for side in (height, width))

    def reshaped(value: Any, lengths: list[int], to: tuple[int | None, ...]) -> Any:
        # A 0 keeps the length at its place: so one graph does for any size.
        return emitter.emit("Reshape", [value, emitter.constant(np.array(lengths, dtype=np.int64))], to)

    axis = emitter.constant(np.array([1], dtype=np.int64))
    apart = emitter.emit("Unsqueeze", [node.inputs[0], axis], (batch, 1, block * block, height, width))
    apart = reshaped(apart, [0, block, block, 0, 0], (batch, block, block, height, width))
    rows = reshaped(emitter.transpose(apart, (0, 1, 3, 4, 2)), [0, 0, 0, -1], (batch, block, height, wide))
    return reshaped(emitter.transpose(rows, (0, 2, 1, 3)), [0, 1, -1, 0], (batch, 1, tall, wide))
