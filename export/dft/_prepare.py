"""What a model goes through before its DFT nodes are looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import onnx
import onnx_ir as ir
import onnxscript.optimizer
from numpy.typing import NDArray

from edgefuse.errors import ArtifactError
from edgefuse.export.dft._shapes import settle_shapes
from edgefuse.export.graph_editing import array_of, is_op, only_consumer
from edgefuse.export.trusted_graph import opset_of

__all__ = ["prepare"]

Floats: TypeAlias = NDArray[np.float64]


def prepare(model: onnx.ModelProto) -> onnx.ModelProto:
    """Inline functions, fold constants and infer shapes, so that lengths and axes stand in the graph.

    Args:
        model: Any model.

    Returns:
        An equal model, its normalisations by stored statistics folded into the convolutions before them.

    Raises:
        ArtifactError: The model is no valid ONNX, or older than the DFT operator.
    """
    if opset_of(model) < 17:
        raise ArtifactError(f"the model declares opset {opset_of(model)}, but DFT exists from opset 17 on")
    try:
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
        onnx.checker.check_model(inferred)
        folded = onnxscript.optimizer.optimize(ir.from_proto(inferred))
        _fold_batch_norms(folded.graph)
        onnxscript.optimizer.remove_unused_nodes(folded)
        inferred = onnx.shape_inference.infer_shapes(ir.to_proto(folded), data_prop=True)
        return settle_shapes(inferred, opset_of(model))
    except (onnx.shape_inference.InferenceError, onnx.checker.ValidationError, ValueError, RuntimeError) as error:
        raise ArtifactError(f"the model is not valid ONNX: {str(error).splitlines()[0]}") from error


def _fold_batch_norms(graph: Any) -> None:
    """Fold BatchNormalization into the Conv before it, also where several Conv nodes share their weights.

    The optimiser leaves shared weights alone, as a network has that passes through one block several times. What was
    shared stays shared.
    """
    known: dict[tuple[Any, ...], list[Any]] = {}
    for node in list(graph):
        if not is_op(node, "Conv") or not is_op(norm := only_consumer(node.outputs[0]), "BatchNormalization"):
            continue
        training = "training_mode" in norm.attributes and norm.attributes["training_mode"].value
        arrays = [array_of(value) for value in (node.inputs[1], *norm.inputs[1:5])]
        bias = array_of(node.inputs[2]) if len(node.inputs) > 2 else np.zeros(1)
        if training or bias is None or any(array is None for array in arrays):
            continue
        epsilon = float(norm.attributes["epsilon"].value) if "epsilon" in norm.attributes else 1e-5
        same = (*node.inputs[1:], *norm.inputs[1:5], epsilon)
        if same not in known:
            weights, *statistics = (np.asarray(array, dtype=np.float64) for array in (*arrays, bias))
            folded = _folded(weights, statistics, epsilon, node.inputs[1].dtype.numpy())
            names = [f"{norm.outputs[0].name}.{part}" for part in ("weight", "bias")]
            known[same] = [
                ir.val(name, const_value=ir.tensor(array)) for name, array in zip(names, folded, strict=True)
            ]
            for value in known[same]:
                graph.register_initializer(value)
        conv = ir.node("Conv", [node.inputs[0], *known[same]], name=f"{norm.name}.conv", attributes=node.attributes)
        output, old = conv.outputs[0], norm.outputs[0]
        output.dtype, output.shape = old.dtype, old.shape
        graph.insert_before(norm, conv)
        name, old.name = old.name, f"{old.name}.folded"
        output.name = name
        old.replace_all_uses_with(output, replace_graph_outputs=True)


def _folded(weights: Floats, statistics: Sequence[Floats], epsilon: float, dtype: Any) -> tuple[NDArray[Any], ...]:
    """Weights and bias of the one convolution that does both."""
    scale, shift, mean, variance, bias = statistics
    factor = scale / np.sqrt(variance + epsilon)
    together = weights * factor.reshape(-1, *(1,) * (weights.ndim - 1)), (bias - mean) * factor + shift
    return tuple(array.astype(dtype) for array in together)
