"""fp32 matrix products as 1x1 convolutions: TensorRT-RTX compiles the latter for Turing (sm_75), and not the former."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxscript.optimizer

from edgefuse.export.graph_editing import NodeEmitter, array_of, is_op, static_shape, supplant

__all__ = ["products_as_convolutions"]


def products_as_convolutions(model: onnx.ModelProto) -> onnx.ModelProto:
    """Rewrite fp32 products with a constant matrix as 1x1 convolutions.

    Products of two computed values, as attention has, stay as they are: Turing runs those in fp16 only.

    Args:
        model: Any model; it is not modified.

    Returns:
        An equal model.
    """
    converted = ir.from_proto(onnx.shape_inference.infer_shapes(model, data_prop=True))
    graph = converted.graph
    emitter = NodeEmitter(graph, prefix="turing")
    for node in list(graph):
        emitter.anchor = node
        output = _rewrite(emitter, node) if is_op(node, "MatMul", "Gemm") else None
        if output is not None:
            supplant(graph, node, output)
    onnxscript.optimizer.remove_unused_nodes(converted)
    rewritten: onnx.ModelProto = ir.to_proto(converted)
    return rewritten


def _rewrite(emitter: NodeEmitter, node: Any) -> Any:
    if node.op_type == "Gemm":
        return _gemm(emitter, node)
    left, right = array_of(node.inputs[0]), array_of(node.inputs[1])
    if right is not None and right.ndim == 2:
        return _from_the_right(emitter, node.inputs[0], right, None)
    return _from_the_left(emitter, left, node.inputs[1]) if left is not None else None


def _gemm(emitter: NodeEmitter, node: Any) -> Any:
    matrix = array_of(node.inputs[1])
    bias = array_of(node.inputs[2]) if len(node.inputs) > 2 else None
    given = {key: attribute.value for key, attribute in node.attributes.items()}
    plain = given.get("alpha", 1.0) == 1.0 and given.get("beta", 1.0) == 1.0 and not given.get("transA", 0)
    if matrix is None or not plain or (bias is None and len(node.inputs) > 2):
        return None
    matrix = matrix.T if given.get("transB", 0) else matrix
    bias = None if bias is None else np.broadcast_to(bias, (1, matrix.shape[1])).reshape(-1)
    return _from_the_right(emitter, node.inputs[0], matrix, bias)


def _from_the_right(emitter: NodeEmitter, value: Any, matrix: Any, bias: Any) -> Any:
    """[..., K] times (K, N): the rows become pixels, and K their channels."""
    shape = static_shape(value)
    if matrix.dtype != np.float32 or shape is None or shape[:-1].count(None) > 1:
        return None
    rows = None if None in shape[:-1] else math.prod(size or 1 for size in shape[:-1])
    pixels = emitter.transpose(emitter.view(value, (rows, shape[-1])), (1, 0))
    image = emitter.view(pixels, (1, shape[-1], rows, 1))
    output = _convolve(emitter, image, matrix.T[:, :, None, None], bias)
    flat = emitter.transpose(emitter.view(output, (matrix.shape[1], rows)), (1, 0))
    return emitter.view(flat, (*shape[:-1], matrix.shape[1]))


def _from_the_left(emitter: NodeEmitter, matrix: Any, value: Any) -> Any:
    """(.., M, K) times [..., K, N]: K becomes channels, in as many groups as there are matrices."""
    shape = static_shape(value)
    groups = matrix.shape[:-2]
    if matrix.dtype != np.float32 or shape is None or len(shape) < 2 + len(groups):
        return None
    outer = shape[: len(shape) - 2 - len(groups)]
    inner = shape[len(outer) : -2]
    if groups != inner or shape[-1] is None or outer.count(None) > 1:
        return None
    count, (rows, columns) = math.prod(groups), matrix.shape[-2:]
    batch = None if None in outer else math.prod(size or 1 for size in outer)
    image = emitter.view(value, (batch, count * columns, shape[-1], 1))
    output = _convolve(emitter, image, matrix.reshape(count * rows, columns, 1, 1), None, group=count)
    return emitter.view(output, (*outer, *inner, rows, shape[-1]))


def _convolve(emitter: NodeEmitter, image: Any, weights: Any, bias: Any, *, group: int = 1) -> Any:
    inputs = [image, emitter.constant(weights)] + ([] if bias is None else [emitter.constant(bias)])
    batch, _, height, width = emitter.shape_of(image)
    return emitter.emit("Conv", inputs, (batch, weights.shape[0], height, width), attributes={"group": group})
