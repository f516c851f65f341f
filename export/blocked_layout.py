"""Sums of a convolution and a matrix product in the layout of ONNX Runtime's convolutions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from edgefuse.export.graph_editing import NodeEmitter, is_op, only_consumer, static_shape

__all__ = ["add_in_blocked_layout"]

# What fits a CPU's caches costs little to lay out anew.
_LARGE_BYTES = 16 << 20
# Channels of a block are as many as a vector register holds numbers: 4 to 16.
_BLOCK = 16
_KEPT_BLOCKED = ("Relu", "LeakyRelu", "Sigmoid", "Tanh", "HardSigmoid", "Clip", "BatchNormalization")


def add_in_blocked_layout(model: onnx.ModelProto, *, at_least_bytes: int = _LARGE_BYTES) -> onnx.ModelProto:
    """Let large sums of a convolution's output and a matrix product's be taken as convolutions store their tensors.

    ONNX Runtime keeps what lies between convolutions in blocks of channels. A sum with a tensor from elsewhere leaves
    that layout, and so does all that works element by element after it, until the next convolution. A depthwise 1x1
    convolution with weights of one brings the tensor in once, and the sum costs nothing, since ONNX Runtime adds while
    it convolves. Every number stays the same to the bit.

    Args:
        model: Any model; it is not modified.
        at_least_bytes: Smaller sums, and those of dynamic sizes, stay.

    Returns:
        An equal model.
    """
    converted = ir.from_proto(onnx.shape_inference.infer_shapes(model, data_prop=True))
    graph = converted.graph
    emitter = NodeEmitter(graph, prefix="blocked_layout")
    for node in list(graph):
        shape = static_shape(node.outputs[0]) if is_op(node, "Add") else None
        if shape is None or not _is_worth_it(node, shape, at_least_bytes):
            continue
        for index, (one, other) in enumerate((node.inputs, node.inputs[::-1])):
            if _is_moved(one) and _is_convolved(other):
                emitter.anchor = node
                channels = shape[1] or 0
                ones = emitter.constant(np.ones((channels, 1, 1, 1), dtype=np.float32))
                attributes = {"group": channels, "kernel_shape": [1, 1]}
                node.replace_input_with(index, emitter.emit("Conv", [one, ones], shape, attributes=attributes))
    rewritten: onnx.ModelProto = ir.to_proto(converted)
    return rewritten


def _is_worth_it(add: Any, shape: tuple[int | None, ...], at_least_bytes: int) -> bool:
    """Whether a sum is one of equally shaped large float32 pictures whose channels fill whole blocks."""
    if len(shape) != 4 or None in shape or add.inputs[0].dtype != ir.DataType.FLOAT:
        return False
    equal = all(static_shape(value) == shape for value in add.inputs)
    return equal and (shape[1] or 0) % _BLOCK == 0 and 4 * math.prod(size or 0 for size in shape) >= at_least_bytes


def _is_moved(value: Any) -> bool:
    """Whether a matrix product's output reaches a sum, and nothing else, through changes of its shape alone."""
    if only_consumer(value) is None:
        return False
    node = value.producer()
    while is_op(node, "Reshape", "Transpose", "Squeeze", "Unsqueeze"):
        node = node.inputs[0].producer()
    return is_op(node, "MatMul", "Gemm")


def _is_convolved(value: Any) -> bool:
    """Whether a value comes from a convolution, through element-wise steps that ONNX Runtime fuses with it."""
    node = value.producer()
    while is_op(node, *_KEPT_BLOCKED):
        node = node.inputs[0].producer()
    return is_op(node, "Conv")
