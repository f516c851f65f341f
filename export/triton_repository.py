"""A model repository for Triton Inference Server: for those who have outgrown one machine."""

from __future__ import annotations

import re
from pathlib import Path

import onnx

from edgefuse.errors import InputError, UsageError
from edgefuse.export.artifact import Artifact, write_artifact
from edgefuse.manifest import Manifest, write_atomically

__all__ = ["write_repository"]

_VERSION = "1"


def write_repository(folder: Path, graph: bytes, manifest: Manifest, *, overwrite: bool) -> Artifact:
    """Write ``folder/MODEL/config.pbtxt`` and ``folder/MODEL/1/model.onnx`` with its manifest.

    Args:
        folder: The repository; other models in it stay.
        graph: Serialised ONNX graph.
        manifest: What is known of it.
        overwrite: Replace the model if it is there.

    Returns:
        The graph in the repository.

    Raises:
        InputError: It exists and may not be replaced, or the folder cannot be written.
        UsageError: The graph's batch is fixed to more than one pair.
    """
    name = re.sub(r"\W+", "_", manifest.model.rpartition(":")[2]).strip("_") or "model"
    if manifest.batch is not None and manifest.batch > 1:
        raise UsageError("the server makes batches itself: export with --batch 1")
    place = folder / name
    try:
        (place / _VERSION).mkdir(parents=True, exist_ok=True)
        artifact = write_artifact(place / _VERSION / "model.onnx", graph, manifest, overwrite=overwrite)
        configuration = _configuration(name, onnx.load_model_from_string(graph))
        write_atomically(place / "config.pbtxt", configuration.encode())
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror or error})") from error
    return artifact


def _configuration(name: str, graph: onnx.ModelProto) -> str:
    """The server's description of the model; ``max_batch_size: 0`` means that shapes hold the batch themselves."""
    stored = {tensor.name for tensor in graph.graph.initializer}
    inputs = ",\n".join(_tensor(value) for value in graph.graph.input if value.name not in stored)
    outputs = ",\n".join(map(_tensor, graph.graph.output))
    return f'name: "{name}"\nbackend: "onnxruntime"\nmax_batch_size: 0\ninput [\n{inputs}\n]\noutput [\n{outputs}\n]\n'


def _tensor(value: onnx.ValueInfoProto) -> str:
    sizes = [str(dim.dim_value) if dim.HasField("dim_value") else "-1" for dim in value.type.tensor_type.shape.dim]
    name, dims = value.name, f"[ {', '.join(sizes)} ]"
    return f'  {{\n    name: "{name}"\n    data_type: TYPE_FP32\n    dims: {dims}\n  }}'
