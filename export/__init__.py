"""From PyTorch to ONNX, and from ONNX to TensorRT engines, each checked against the model that it came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

# A checkout on sys.path would offer this folder as a top-level package of a name that anyone may use.
if __name__ == "export":
    raise ImportError("import edgefuse.export")

if TYPE_CHECKING:
    from edgefuse.export.artifact import Artifact
    from edgefuse.export.dft import lower_dft
    from edgefuse.export.inspection import inspect_file
    from edgefuse.export.pipeline import export

__all__ = ["Artifact", "export", "inspect_file", "lower_dft"]

_HOME = {
    "Artifact": "edgefuse.export.artifact",
    "export": "edgefuse.export.pipeline",
    "inspect_file": "edgefuse.export.inspection",
    "lower_dft": "edgefuse.export.dft",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use: what reads a manifest or an engine needs neither onnx nor torch."""
    if name not in _HOME:
        raise AttributeError(f"module 'edgefuse.export' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME[name]), name)
