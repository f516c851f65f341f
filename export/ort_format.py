"""ONNX Runtime's own file format, which its minimal builds for small devices read."""

from __future__ import annotations

import tempfile
from pathlib import Path

from edgefuse.errors import ArtifactError, MissingDependencyError

__all__ = ["to_ort_format"]


def to_ort_format(graph: bytes) -> bytes:
    """Convert a graph, with those optimisations that do not depend on the processor.

    Args:
        graph: Serialised ONNX graph.

    Returns:
        Content of the ``.ort`` file.

    Raises:
        ArtifactError: ONNX Runtime cannot load the graph.
        MissingDependencyError: ONNX Runtime is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError("ONNX Runtime is needed to write .ort files: pip install onnxruntime") from error
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.ort"
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(path)
        options.add_session_config_entry("session.save_model_format", "ORT")
        try:
            onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's exceptions share no base but Exception
            raise ArtifactError(f"ONNX Runtime cannot load the graph: {str(error).splitlines()[0]}") from error
        return path.read_bytes()
