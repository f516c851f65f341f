"""An ONNX graph that takes one image."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgefuse.errors import ArtifactError, MissingDependencyError, UsageError
from edgefuse.external_data import check_external_data

__all__ = ["ImageGraph"]


class ImageGraph:
    """A detector or segmenter on ONNX Runtime: one input of shape (1, 3, H, W), any outputs.

    Args:
        path: The ``.onnx`` file.
        device: ``"cpu"`` or ``"cuda"``.

    Attributes:
        imgsz: Height and width that the graph fixes; None where it takes any.
        names: Class names that the exporter left in the file, by index; empty where there are none.

    Raises:
        ArtifactError: The file is missing, damaged, or takes something else than one RGB image.
        TrustError: It takes weights from outside its folder.
        MissingDependencyError: ONNX Runtime, or its CUDA part, is not installed.
        UsageError: The device is unknown.
    """

    def __init__(self, path: str | os.PathLike[str], *, device: str = "cpu") -> None:
        providers = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
        if device not in providers:
            raise UsageError(f"device must be one of {', '.join(providers)}, not {device!r}")
        self.path = Path(path)
        if not self.path.is_file():
            raise ArtifactError(f"{self.path}: no such model file")
        try:
            import onnxruntime as ort
        except ImportError as error:
            raise MissingDependencyError("onnxruntime is needed to run a graph: pip install edgefuse") from error
        if providers[device] not in ort.get_available_providers():
            raise MissingDependencyError("this ONNX Runtime has no CUDA: pip install 'edgefuse[gpu]' in its place")
        options = ort.SessionOptions()
        options.log_severity_level = 3
        check_external_data(self.path)
        try:
            self._session = ort.InferenceSession(str(self.path), options, providers=[providers[device]])
        except Exception as error:  # ONNX Runtime's own exception classes share no base but Exception
            reason = (str(error).splitlines() or [""])[0]
            raise ArtifactError(f"{self.path}: ONNX Runtime cannot load it ({reason})") from error
        inputs = self._session.get_inputs()
        shape = inputs[0].shape if inputs else []
        # A channel dimension that is free is a name, not a number.
        if len(inputs) != 1 or len(shape) != 4 or (isinstance(shape[1], int) and shape[1] != 3):
            found = ", ".join(f"{item.name}{item.shape}" for item in inputs)
            raise ArtifactError(f"{self.path}: needs one input of shape [1, 3, H, W], has {found or 'none'}")
        if inputs[0].type not in ("tensor(float)", "tensor(float16)"):
            raise ArtifactError(f"{self.path}: the input is {inputs[0].type}; float and float16 are supported")
        self._input = inputs[0].name
        self._dtype = np.float16 if inputs[0].type == "tensor(float16)" else np.float32
        is_fixed = isinstance(shape[2], int) and isinstance(shape[3], int)
        self.imgsz: tuple[int, int] | None = (shape[2], shape[3]) if is_fixed else None
        self.names = _names(self._session.get_modelmeta().custom_metadata_map)

    def infer(self, image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Run the graph.

        Args:
            image: RGB.  # [1, 3, H, W]

        Returns:
            Its outputs, integers as they are and floats as float32.

        Raises:
            ArtifactError: The graph does not take this size.
        """
        try:
            outputs = self._session.run(None, {self._input: image.astype(self._dtype, copy=False)})
        except Exception as error:
            reason = (str(error).splitlines() or [""])[0]
            raise ArtifactError(f"{self.path}: inference failed at {image.shape} ({reason})") from error
        return [item.astype(np.float32) if np.issubdtype(item.dtype, np.floating) else item for item in outputs]


def _names(metadata: dict[str, str]) -> dict[int, str]:
    """Class names as the Ultralytics exporter writes them: a Python dict as text."""
    try:
        found = ast.literal_eval(metadata.get("names", "{}"))
    except (ValueError, SyntaxError):
        return {}
    items = found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, (list, tuple)) else ()
    return {int(index): str(name) for index, name in items if str(index).isdigit()}
