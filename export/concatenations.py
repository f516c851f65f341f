"""1x1 convolutions of concatenated tensors as sums of convolutions: the concatenation is never written."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxscript.optimizer

from edgefuse.export.graph_editing import NodeEmitter, array_of, is_op, static_shape, supplant

__all__ = ["convolve_before_concatenating"]

# What fits a core's own cache costs little to write and read again; one more node costs more.
_LARGE_BYTES = 2 << 20


def convolve_before_concatenating(model: onnx.ModelProto, *, at_least_bytes: int = _LARGE_BYTES) -> onnx.ModelProto:
    """Rewrite 1x1 convolutions of large concatenations over the channels.

    conv(concat(x, y), [V W]) = conv(x, V) + conv(y, W). ONNX Runtime adds while it convolves, so that a CPU is spared
    writing and reading the concatenation; the sums differ by their order alone. Several convolutions may read it.

    Args:
        model: Any model; it is not modified.
        at_least_bytes: Smaller concatenations stay. Those whose size the graph leaves open count as large, as pictures
            are.

    Returns:
        An equal model.
    """
    converted = ir.from_proto(onnx.shape_inference.infer_shapes(model, data_prop=True))
    graph = converted.graph
    emitter = NodeEmitter(graph, prefix="concatenations")
    for node in list(graph):
        if not is_op(node, "Concat") or node.outputs[0].is_graph_output() or not _is_large(node, at_least_bytes):
            continue
        convolutions = [use.node for use in node.outputs[0].uses()]
        if not all(_mixes_channels(convolution, node) for convolution in convolutions):
            continue
        for convolution in convolutions:
            emitter.anchor = convolution
            supplant(graph, convolution, _sum(emitter, node, convolution))
    onnxscript.optimizer.remove_unused_nodes(converted)
    rewritten: onnx.ModelProto = ir.to_proto(converted)
    return rewritten


def _is_large(concat: Any, at_least_bytes: int) -> bool:
    shapes = [static_shape(value) or () for value in concat.inputs]
    # To part the weights the channels of each part must be known.
    if concat.attributes["axis"].value != 1 or any(len(shape) != 4 or shape[1] is None for shape in shapes):
        return False
    if any(None in shape for shape in shapes):
        return True
    itemsize = concat.inputs[0].dtype.itemsize if concat.inputs[0].dtype is not None else 0
    return itemsize * sum(math.prod(size or 1 for size in shape) for shape in shapes) >= at_least_bytes


def _mixes_channels(node: Any, concat: Any) -> bool:
    """Whether a node is a plain 1x1 convolution of the concatenation with constant weights."""
    if not is_op(node, "Conv") or node.inputs[0] is not concat.outputs[0]:
        return False
    weights = array_of(node.inputs[1])
    given = {key: attribute.value for key, attribute in node.attributes.items()}
    moves = any(stride != 1 for stride in given.get("strides", [])) or any(given.get("pads", []))
    plain = given.get("group", 1) == 1 and not moves and given.get("auto_pad", "NOTSET") in ("NOTSET", "VALID")
    return plain and weights is not None and math.prod(weights.shape[2:]) == 1


def _sum(emitter: NodeEmitter, concat: Any, convolution: Any) -> Any:
    weights = array_of(convolution.inputs[1])
    assert weights is not None
    widths = [(static_shape(value) or ())[1] or 0 for value in concat.inputs]
    batch, _, *spatial = static_shape(concat.inputs[0]) or ()
    shape = (batch, weights.shape[0], *spatial)
    total = None
    for part, value in zip(np.split(weights, np.cumsum(widths)[:-1], axis=1), concat.inputs, strict=True):
        bias = convolution.inputs[2:3] if total is None else []
        inputs = [value, emitter.constant(part), *bias]
        one = emitter.emit("Conv", inputs, shape, attributes={"kernel_shape": list(part.shape[2:])})
        total = one if total is None else emitter.emit("Add", [total, one], shape)
    return total
