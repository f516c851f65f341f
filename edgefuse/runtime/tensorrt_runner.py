"""TensorRT and TensorRT-RTX engines as runners."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgefuse.errors import ArtifactError, UsageError
from edgefuse.runtime.device_memory import Device, find_gpu, open_device
from edgefuse.runtime.device_pairs import DevicePairs, describe_path, device_pairs_problem
from edgefuse.runtime.engine_file import EngineFile, read_engine
from edgefuse.runtime.engine_library import ENGINE_KINDS, EngineKind, import_library
from edgefuse.runtime.engine_work import EngineWork
from edgefuse.runtime.runner import Runner
from edgefuse.runtime.tensorrt_engine import LoadedEngine, refuse_other_gpu

__all__ = ["TensorRtRunner"]


class TensorRtRunner(Runner):
    """A fusion network in a ``.plan`` or ``.rtx`` engine.

    All memory is allocated when it is activated, for the largest size that the engine takes. The first frame of a size
    is enqueued call by call; TensorRT's are then captured with both copies as one CUDA graph, which every further frame
    launches, and TensorRT-RTX captures its own part by itself. What :meth:`infer` returns is copied out of the pinned
    buffer, since the caller may keep it: that is the one array made per frame.

    Where the CUDA library serves, ``pairs`` takes whole frames; they are registered and coloured on the GPU then.

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
        self._work: EngineWork | None = None

    def _read(self) -> EngineFile:
        return read_engine(self.path, self._kind, trust=self._trust)

    def activate(self) -> None:
        """Load the engine and allocate its memory.

        Raises:
            MissingDependencyError: The library, pycuda, a GPU or its driver is missing.
            ArtifactError: The engine does not fit this GPU, version or driver; the message holds the rebuild command.
            TrustError: The file was exchanged since the runner was last active.
        """
        if self._work is not None:
            return
        library = import_library(self._kind, purpose="run")
        file = self._file or self._read()
        refuse_other_gpu(file, self._kind, find_gpu())
        device = open_device()
        with device:
            engine = LoadedEngine(library, self._kind, file, device.gpu)
            self._work = EngineWork(engine, device, can_capture=self._kind == "tensorrt")
            problem = device_pairs_problem(engine)
        self._device, self._file = device, None
        self.pairs = DevicePairs(self._work, device) if problem is None else None
        self.frame_path = describe_path(problem)
        self.inputs = (engine.inputs[0].name, engine.inputs[1].name)
        if -1 not in engine.inputs[0].shape:
            self.imgsz = engine.inputs[0].shape[2:]  # type: ignore[assignment]  # four dimensions, as was checked

    def infer(self, ir: NDArray[np.float32], vis: NDArray[np.float32]) -> NDArray[np.float32]:
        """Fuse a batch; see :meth:`Runner.infer`."""
        if self._work is None or self._device is None:
            raise ArtifactError(
                f"{self.path}: the runner is not active; use it as a context manager or call activate()"
            )
        with self._device:
            fused = self._work.run(ir, vis)
        self.captured = self._work.captured
        return fused

    def deactivate(self) -> None:
        """Free the engine and its memory."""
        work, device, pairs = self._work, self._device, self.pairs
        if work is None or device is None:
            return
        self._work = self._device = self.pairs = self.frame_path = None
        self.captured = False
        with device:
            if pairs is not None:
                pairs.close()
            work.close()
