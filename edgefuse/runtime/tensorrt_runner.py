"""TensorRT and TensorRT-RTX engines as runners."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgefuse.errors import ArtifactError, EdgeFuseError, UsageError
from edgefuse.runtime.device_memory import CapturedWork, Device, StagedTensor, find_gpu, open_device
from edgefuse.runtime.engine_file import EngineFile, read_engine
from edgefuse.runtime.engine_library import ENGINE_KINDS, EngineKind, import_library
from edgefuse.runtime.runner import Runner
from edgefuse.runtime.tensorrt_engine import LoadedEngine, refuse_other_gpu

__all__ = ["TensorRtRunner"]

_log = logging.getLogger(__name__)


class TensorRtRunner(Runner):
    """A fusion network in a ``.plan`` or ``.rtx`` engine.

    All memory is allocated when it is activated, for the largest size that the engine takes. The first frame of a size
    is enqueued call by call; TensorRT's are then captured with both copies as one CUDA graph, which every further frame
    launches, and TensorRT-RTX captures its own part by itself. What :meth:`infer` returns is copied out of the pinned
    buffer, since the caller may keep it: that is the one array made per frame.

    Args:
        path: The engine; its manifest must match unless it is trusted.
        kind: Which library runs it.
        trust_engine: Run an engine without a matching manifest.

    Attributes:
        captured: Whether frames of the present size are launched as one CUDA graph of ours.

    Raises:
        ArtifactError: The file is missing, or another library's engine.
        TrustError: It has no manifest, or is not the one that its manifest describes.
        UsageError: The kind is unknown.
    """

    def __init__(self, path: str | os.PathLike[str], *, kind: EngineKind, trust_engine: bool = False) -> None:
        if kind not in ENGINE_KINDS:
            raise UsageError(f"engine kind must be one of {', '.join(ENGINE_KINDS)}, not {kind!r}")
        self.path = Path(path)
        self.name = f"{kind}-cuda"
        self._kind, self._trust = kind, trust_engine
        # Kept until it is activated, so that what was checked is what is loaded.
        self._file: EngineFile | None = self._read()
        self.manifest = self._file.manifest
        if self.manifest is not None:
            self.imgsz = self.manifest.imgsz
            self.size_multiple = self.manifest.size_multiple
            self.min_size = self.manifest.min_size
        self.captured = False
        self._device: Device | None = None
        self._frame: _Frame | None = None

    def _read(self) -> EngineFile:
        return read_engine(self.path, self._kind, trust=self._trust)

    def activate(self) -> None:
        """Load the engine and allocate its memory.

        Raises:
            MissingDependencyError: The library, pycuda, a GPU or its driver is missing.
            ArtifactError: The engine does not fit this GPU, version or driver; the message holds the rebuild command.
            TrustError: The file was exchanged since the runner was last active.
        """
        if self._frame is not None:
            return
        library = import_library(self._kind, purpose="run")
        file = self._file or self._read()
        refuse_other_gpu(file, self._kind, find_gpu())
        device = open_device()
        with device:
            engine = LoadedEngine(library, self._kind, file, device.gpu)
            self._frame = _Frame(engine, device, can_capture=self._kind == "tensorrt")
        self._device, self._file = device, None
        self.inputs = (engine.inputs[0].name, engine.inputs[1].name)
        if -1 not in engine.inputs[0].shape:
            self.imgsz = engine.inputs[0].shape[2:]  # type: ignore[assignment]  # four dimensions, as was checked

    def infer(self, ir: NDArray[np.float32], vis: NDArray[np.float32]) -> NDArray[np.float32]:
        """Fuse a batch; see :meth:`Runner.infer`."""
        if self._frame is None or self._device is None:
            raise ArtifactError(
                f"{self.path}: the runner is not active; use it as a context manager or call activate()"
            )
        with self._device:
            fused = self._frame.run(ir, vis)
        self.captured = self._frame.captured
        return fused

    def deactivate(self) -> None:
        """Free the engine and its memory."""
        if self._frame is None or self._device is None:
            return
        with self._device:
            self._frame.close()
            self._frame = None
        self._device = None
        self.captured = False


class _Frame:
    """The work of one frame: copies, inference, copy back, on buffers that stay where they are."""

    def __init__(self, engine: LoadedEngine, device: Device, *, can_capture: bool) -> None:
        self._engine, self._can_capture = engine, can_capture
        self._stream = device.stream()
        self._inputs = [device.tensor(one.most_elements, one.dtype) for one in engine.inputs]
        # The fused image has the inputs' shape, whatever type it has.
        self._output = device.tensor(engine.inputs[0].most_elements, engine.outputs[0].dtype)
        for tensor, described in zip(self._tensors(), (*engine.inputs, *engine.outputs), strict=True):
            engine.bind(described.name, tensor.address)
        self._shape: tuple[int, ...] | None = None
        self._graph: CapturedWork | None = None

    def _tensors(self) -> list[StagedTensor]:
        return [*self._inputs, self._output]

    @property
    def captured(self) -> bool:
        return self._graph is not None

    def run(self, ir: NDArray[np.float32], vis: NDArray[np.float32]) -> NDArray[np.float32]:
        is_new = ir.shape != self._shape
        if is_new:
            self._resize(ir.shape)
        for tensor, image in zip(self._inputs, (ir, vis), strict=True):
            np.copyto(tensor.host, image, casting="same_kind")
        if self._graph is not None:
            self._graph.launch()
        else:
            self._enqueue()
        self._stream.synchronize()
        if is_new and self._can_capture:
            self._capture()  # after a run of this size, since TensorRT settles its shapes in the first
        return np.array(self._output.host, dtype=np.float32)

    def _resize(self, shape: tuple[int, ...]) -> None:
        self._drop_graph()
        self._shape = None  # stays so if the engine refuses
        self._engine.set_shape(shape, self._stream)
        for tensor in self._tensors():
            tensor.reshape(shape)
        self._shape = shape

    def _enqueue(self) -> None:
        for tensor in self._inputs:
            tensor.upload(self._stream)
        self._engine.enqueue(self._stream)
        self._output.download(self._stream)

    def _capture(self) -> None:
        try:
            self._graph = CapturedWork(self._stream, self._enqueue)
        except EdgeFuseError as error:
            self._can_capture = False
            _log.warning("no CUDA graph (%s): frames are enqueued call by call", error)

    def _drop_graph(self) -> None:
        if self._graph is not None:
            self._graph.close()
        self._graph = None

    def close(self) -> None:
        self._drop_graph()
        self._stream.synchronize()
        for tensor in self._tensors():
            tensor.free()
