"""Running ONNX graphs and PyTorch networks on the CPU, to compare them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edgefuse.errors import ArtifactError, MissingDependencyError
from edgefuse.export.parity import Floats, Infer

if TYPE_CHECKING:
    from torch import nn

__all__ = ["graph_inference", "network_inference", "runtime_name"]

_TYPES: dict[str, Any] = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


def runtime_name() -> str:
    """Name and version of what runs graphs here."""
    return f"onnxruntime {_import_onnxruntime().__version__} (CPU)"


def graph_inference(graph: bytes, *, threads: int | None = None, optimise: bool = True) -> Infer:
    """Load a graph into ONNX Runtime.

    Args:
        graph: Serialised ONNX graph.
        threads: CPU threads; None leaves the choice to ONNX Runtime.
        optimise: Let ONNX Runtime fuse operators. Version 1.31 crashes on some fp16 graphs when it does.

    Returns:
        A function from inputs to the first output.

    Raises:
        ArtifactError: ONNX Runtime cannot load the graph.
        MissingDependencyError: ONNX Runtime is not installed.
    """
    runtime = _import_onnxruntime()
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    if not optimise:
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = runtime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions share no base but Exception
        raise ArtifactError(f"ONNX Runtime cannot load the graph: {str(error).splitlines()[0]}") from error
    inputs = session.get_inputs()

    def infer(images: Sequence[Floats]) -> Floats:
        feed = {
            one.name: image.astype(_TYPES.get(one.type, np.float32)) for one, image in zip(inputs, images, strict=True)
        }
        return np.asarray(session.run(None, feed)[0], dtype=np.float32)

    return infer


def _import_onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError("ONNX Runtime is needed to check exports: pip install onnxruntime") from error
    return onnxruntime


def network_inference(network: nn.Module) -> Infer:
    """Run a network in PyTorch, in fp32 on the CPU.

    Args:
        network: The network, in evaluation mode.

    Returns:
        A function from inputs to the output.
    """
    import torch

    def infer(images: Sequence[Floats]) -> Floats:
        with torch.inference_mode():
            output = network(*(torch.from_numpy(image) for image in images))
        return np.asarray(output.numpy(), dtype=np.float32)

    return infer
