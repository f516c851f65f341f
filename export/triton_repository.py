"""A model repository for Triton Inference Server: for those who have outgrown one machine."""

from __future__ import annotations

import re
from pathlib import Path

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
        write_atomically(place / "config.pbtxt", _configuration(name, manifest).encode())
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror or error})") from error
    return artifact


def _configuration(name: str, manifest: Manifest) -> str:
    """The server's description of the model; ``max_batch_size: 0`` means that shapes hold the batch themselves."""
    height, width = manifest.imgsz or (-1, -1)
    dims = f"[ {manifest.batch or -1}, 1, {height}, {width} ]"
    inputs = ",\n".join(_tensor(one, dims) for one in manifest.inputs)
    return (
        f'name: "{name}"\nbackend: "onnxruntime"\nmax_batch_size: 0\n'
        f"input [\n{inputs}\n]\noutput [\n{_tensor(manifest.output, dims)}\n]\n"
    )


def _tensor(name: str, dims: str) -> str:
    return f'  {{\n    name: "{name}"\n    data_type: TYPE_FP32\n    dims: {dims}\n  }}'
