"""How large the values of a graph become on given inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

__all__ = ["largest_values"]


def largest_values(model: onnx.ModelProto, feeds: Sequence[Mapping[str, NDArray[np.float32]]]) -> dict[str, float]:
    """Run a graph and find the largest magnitude of every fp32 value that a node computes.

    Args:
        model: The graph.
        feeds: Inputs by name, for each run.

    Returns:
        Largest magnitude by name; infinite or NaN where a value is.
    """
    import onnxruntime

    inferred = onnx.shape_inference.infer_shapes(model)
    known = {
        value.name: value.type.tensor_type.elem_type for value in (*inferred.graph.value_info, *inferred.graph.output)
    }
    names = [one for node in inferred.graph.node for one in node.output if known.get(one) == TensorProto.FLOAT]
    probe = onnx.ModelProto()
    probe.CopyFrom(inferred)
    del probe.graph.output[:]
    # Reduced inside the graph: all values at once would not fit into memory.
    for i, name in enumerate(names):
        probe.graph.node.append(helper.make_node("Abs", [name], [f"probe_{i}.abs"]))
        probe.graph.node.append(helper.make_node("ReduceMax", [f"probe_{i}.abs"], [f"probe_{i}"], keepdims=0))
        probe.graph.output.append(helper.make_tensor_value_info(f"probe_{i}", TensorProto.FLOAT, []))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(probe.SerializeToString(), options, providers=["CPUExecutionProvider"])
    largest: NDArray[np.float64] = np.zeros(len(names))
    for feed in feeds:
        largest = np.maximum(largest, [float(value) for value in session.run(None, dict(feed))])
    return dict(zip(names, largest.tolist(), strict=True))
