"""ONNX graphs on ONNX Runtime, on the CPU or on CUDA."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from edgefuse.errors import ArtifactError, MissingDependencyError, UsageError
from edgefuse.external_data import check_external_data
from edgefuse.manifest import Manifest, manifest_path, verify
from edgefuse.runtime.io_binding import TENSOR_TYPES, BoundSession
from edgefuse.runtime.runner import Runner

if TYPE_CHECKING:
    import onnxruntime

__all__ = ["INSTALL_GPU", "OnnxRuntimeRunner"]

Device = Literal["cpu", "cuda"]

_PROVIDERS: dict[str, str] = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
INSTALL_GPU = (
    "pip install 'edgefuse[gpu]' && pip uninstall -y onnxruntime && "
    "pip install --force-reinstall --no-deps onnxruntime-gpu"
)
"""How to get CUDA; installed side by side, the two packages overwrite each other's files."""


class OnnxRuntimeRunner(Runner):
    """A fusion network in an ``.onnx`` file, or in ONNX Runtime's own ``.ort``.

    A manifest beside the file is checked before the graph is read. A file without one is loaded too, since a graph is
    data and not code: its size limits are then read from its input shapes.

    On the CPU a graph that takes any size is also prepared for that of the first images, which a camera keeps: ONNX
    Runtime then lays out what it otherwise would for every frame. Images of other sizes run as they would without.

    Args:
        path: The file.
        device: Where it runs.
        threads: Threads of one operation; None leaves the choice to ONNX Runtime (the number of physical cores).

    Raises:
        ArtifactError: The file or its manifest is missing, damaged, or no two-input fusion graph.
        TrustError: The file is not the one that its manifest describes; once active, it takes weights from elsewhere.
        UsageError: The device is unknown.
    """

    def __init__(self, path: str | os.PathLike[str], *, device: Device = "cpu", threads: int | None = None) -> None:
        if device not in _PROVIDERS:
            raise UsageError(f"device must be one of {', '.join(_PROVIDERS)}, not {device!r}")
        self.path = Path(path)
        if not self.path.is_file():
            raise ArtifactError(f"{self.path}: no such model file")
        self.manifest: Manifest | None = verify(self.path) if manifest_path(self.path).exists() else None
        if self.manifest is not None:
            self.imgsz = self.manifest.imgsz
            self.size_multiple = self.manifest.size_multiple
            self.min_size = self.manifest.min_size
        self.name = f"onnxruntime-{device}"
        self._device = device
        self._threads = threads
        self._session: onnxruntime.InferenceSession | None = None
        self._version: tuple[int, int, int] | None = None
        self._for_size: tuple[tuple[int, ...], onnxruntime.InferenceSession] | None = None
        self._bound: BoundSession | None = None
        self._dtype: type[np.float32] | type[np.float16] = np.float32

    def activate(self) -> None:
        """Load the graph and read its input shapes."""
        if self._session is not None:
            return
        ort = _import_onnxruntime()
        provider = _PROVIDERS[self._device]
        if provider not in ort.get_available_providers():
            raise MissingDependencyError(f"this ONNX Runtime has no CUDA: {INSTALL_GPU}")
        if self._device == "cuda":
            _load_cuda_libraries(ort)
        check_external_data(self.path)
        self._version = self._version_on_disk()
        try:
            session = self._load(ort)
        except Exception as error:  # ONNX Runtime's own exception classes share no base but Exception
            reason = f"{self.path}: ONNX Runtime cannot load it ({_first_line(error)})"
            raise ArtifactError(reason + self._way_out(ort.__version__)) from error
        # ONNX Runtime goes on without a provider whose libraries do not load; a GPU that was asked for is not the CPU.
        if provider not in session.get_providers():
            raise MissingDependencyError(
                f"ONNX Runtime {ort.__version__} cannot start CUDA: it needs a GPU with its driver, the CUDA libraries "
                "and cuDNN 9 (pip install 'onnxruntime-gpu[cuda,cudnn]'), or take --device cpu"
            )
        self._read_signature(session)
        self._session = session
        if self._device == "cuda":
            self._bound = BoundSession(session, self.inputs, self._dtype)

    def _load(self, ort: ModuleType, lengths: Mapping[str, int] | None = None) -> onnxruntime.InferenceSession:
        """Load the graph, with what it leaves open set to these lengths."""
        options = ort.SessionOptions()
        options.log_severity_level = 3
        if self._threads is not None:
            options.intra_op_num_threads = self._threads
        for name, length in (lengths or {}).items():
            options.add_free_dimension_override_by_name(name, length)
        provider = _PROVIDERS[self._device]
        return ort.InferenceSession(str(self.path), options, providers=[(provider, self._provider_options())])

    def _provider_options(self) -> dict[str, Any]:
        """Options of the provider.

        One size is worth ONNX Runtime's trying of every convolution; where each image may have another, it would try
        for each of them.
        """
        if self._device == "cpu":
            return {}
        free = self.manifest is None or self.manifest.imgsz is None
        return {
            "device_id": 0,
            "cudnn_conv_algo_search": "HEURISTIC" if free else "EXHAUSTIVE",
            # Doubling the arena wastes memory that a Jetson shares with its CPU.
            "arena_extend_strategy": "kSameAsRequested",
        }

    def _way_out(self, version: str) -> str:
        """What to do about a graph that does not load, where that is known."""
        if self.manifest is None or self.manifest.dft_lowering != "keep":
            return ""
        # Up to 1.24 there is no one-sided inverse; 1.23 is the last for Python 3.10.
        return (
            f"; it keeps ONNX's DFT operator (--lower-dft keep), which ONNX Runtime {version} may not have in full: "
            f"make one without, on any machine: edgefuse export {self.manifest.model}"
        )

    def _read_signature(self, session: onnxruntime.InferenceSession) -> None:
        inputs = session.get_inputs()
        if len(inputs) != 2 or any(len(item.shape) != 4 for item in inputs):
            found = ", ".join(f"{item.name}{item.shape}" for item in inputs)
            raise ArtifactError(f"{self.path}: needs two inputs of shape [B, 1, H, W], has {found}")
        if {item.name for item in inputs} == {"ir", "vis"}:
            self.inputs = ("ir", "vis")
        else:
            self.inputs = tuple(item.name for item in inputs)
        if inputs[0].type not in TENSOR_TYPES:
            raise ArtifactError(f"{self.path}: inputs are {inputs[0].type}, which is not supported")
        self._dtype = TENSOR_TYPES[inputs[0].type]
        height, width = inputs[0].shape[2:]
        if isinstance(height, int) and isinstance(width, int):
            self.imgsz = (height, width)

    def infer(self, ir: NDArray[np.float32], vis: NDArray[np.float32]) -> NDArray[np.float32]:
        """Fuse a batch; see :meth:`Runner.infer`."""
        if self._session is None:
            raise ArtifactError(
                f"{self.path}: the runner is not active; use it as a context manager or call activate()"
            )
        images = [image.astype(self._dtype, copy=False) for image in (ir, vis)]
        try:
            if self._bound is not None:
                return self._bound.run(images)
            fused = self._session_for(ir.shape).run(None, dict(zip(self.inputs, images, strict=True)))[0]
        except Exception as error:
            raise ArtifactError(f"{self.path}: inference failed at {ir.shape} ({_first_line(error)})") from error
        return np.asarray(fused, dtype=np.float32)

    def _session_for(self, shape: tuple[int, ...]) -> onnxruntime.InferenceSession:
        """The session of the first images' size for theirs, the one of any size for others."""
        assert self._session is not None
        if self._for_size is None:
            self._for_size = (shape, self._prepared(shape))
        first, session = self._for_size
        return session if shape == first else self._session

    def _prepared(self, shape: tuple[int, ...]) -> onnxruntime.InferenceSession:
        """A session for images of one size; the one there is where that gains nothing."""
        assert self._session is not None
        open_lengths = {
            name: length
            for one in self._session.get_inputs()
            for name, length in zip(one.shape, shape, strict=True)
            if isinstance(name, str)
        }
        # An .ort file was laid out when it was made.
        if not open_lengths or self.path.suffix == ".ort":
            return self._session
        try:
            session = self._load(_import_onnxruntime(), open_lengths)
            # One runner is one network, also where another one was exported to its path meanwhile.
            return session if self._version_on_disk() == self._version else self._session
        except Exception:  # the graph does not take this size, which running it says in a better place
            return self._session

    def _version_on_disk(self) -> tuple[int, int, int]:
        """What tells one file at the path from another."""
        found = self.path.stat()
        return found.st_ino, found.st_size, found.st_mtime_ns

    def deactivate(self) -> None:
        """Free the session."""
        self._bound = None
        self._for_size = None
        self._session = None


def _import_onnxruntime() -> ModuleType:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError("ONNX Runtime is not installed: pip install onnxruntime") from error
    return cast(ModuleType, onnxruntime)


def _load_cuda_libraries(ort: ModuleType) -> None:
    """Load the CUDA libraries that pip installed; ONNX Runtime knows how from 1.21 on, and prints its troubles."""
    preload = getattr(ort, "preload_dlls", None)
    if preload is not None:
        with contextlib.redirect_stdout(io.StringIO()):
            preload()


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
