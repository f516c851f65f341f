"""The work of one frame on an engine: buffers that stay where they are, and a CUDA graph that repeats the work."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgefuse.errors import ArtifactError, EdgeFuseError
from edgefuse.runtime.device_memory import CapturedWork, Device, StagedTensor
from edgefuse.runtime.tensorrt_engine import LoadedEngine

__all__ = ["EngineWork", "RepeatedWork"]

_log = logging.getLogger(__name__)


class RepeatedWork:
    """Work that is the same for every frame: enqueued call by call at first, launched as one CUDA graph from then on.

    Args:
        stream: A stream of :meth:`Device.stream`.
        enqueue: Enqueues the work on it.
        can_capture: Whether to make a graph of it; where the driver refuses, that is said once.
    """

    def __init__(self, stream: Any, enqueue: Callable[[], None], *, can_capture: bool) -> None:
        self._stream, self._enqueue, self._can_capture = stream, enqueue, can_capture
        self._graph: CapturedWork | None = None

    @property
    def captured(self) -> bool:
        """Whether the next run launches a graph."""
        return self._graph is not None

    def run(self) -> None:
        """Do it and wait for its end."""
        if self._graph is not None:
            self._graph.launch()
            self._stream.synchronize()
            return
        self._enqueue()
        self._stream.synchronize()
        if self._can_capture:
            self._capture()  # after a run of these sizes, since TensorRT settles its shapes in the first

    def _capture(self) -> None:
        try:
            self._graph = CapturedWork(self._stream, self._enqueue)
        except EdgeFuseError as error:
            self._can_capture = False
            _log.warning("no CUDA graph (%s): frames are enqueued call by call", error)

    def forget(self) -> None:
        """Drop the graph, which holds sizes and addresses: they change."""
        graph, self._graph = self._graph, None
        if graph is not None:
            graph.close()

    def close(self) -> None:
        """Drop the graph and the work: it can be run no more, and holds nothing that the GPU's memory hangs on."""
        self.forget()
        self._enqueue, self._stream = _refuse, None


def _refuse() -> None:
    raise ArtifactError("the runner of these frames is not active any more; activate it and take its new pairs")


class EngineWork:
    """An engine, its stream and its tensors, allocated once for the largest size that it takes.

    A context must be current in every call. It serves one thread at a time.

    Args:
        engine: The engine.
        device: Its GPU.
        can_capture: Whether work on it may become a CUDA graph of ours.

    Attributes:
        stream: Where its work is enqueued.
        inputs: Infrared and visible luminance.  # [B, 1, H, W] each
        output: Fused luminance.  # [B, 1, H, W]
    """

    def __init__(self, engine: LoadedEngine, device: Device, *, can_capture: bool) -> None:
        self._engine, self._can_capture = engine, can_capture
        self.stream = device.stream()
        self.inputs = [device.tensor(one.most_elements, one.dtype) for one in engine.inputs]
        # The fused image has the inputs' shape, whatever type it has.
        self.output = device.tensor(engine.inputs[0].most_elements, engine.outputs[0].dtype)
        for tensor, described in zip(self._tensors(), (*engine.inputs, *engine.outputs), strict=True):
            engine.bind(described.name, tensor.address)
        self._shape: tuple[int, ...] | None = None
        self._repeated: list[RepeatedWork] = []
        self._whole = self.repeated(self._enqueue_whole)

    def _tensors(self) -> list[StagedTensor]:
        return [*self.inputs, self.output]

    @property
    def captured(self) -> bool:
        """Whether :meth:`run` launches a graph at the present size."""
        return self._whole.captured

    def repeated(self, enqueue: Callable[[], None]) -> RepeatedWork:
        """Work with this engine in it; its graph is dropped whenever the size changes.

        Args:
            enqueue: Enqueues the work on ``stream``, and calls :meth:`enqueue` in it.
        """
        self._repeated.append(RepeatedWork(self.stream, enqueue, can_capture=self._can_capture))
        return self._repeated[-1]

    def fit(self, shape: tuple[int, ...]) -> None:
        """Prepare for inputs of a shape.

        Args:
            shape: Batch, 1, height, width.

        Raises:
            InputError: The engine does not take it.
        """
        if shape == self._shape:
            return
        for work in self._repeated:
            work.forget()
        self._shape = None  # stays so if the engine refuses
        self._engine.set_shape(shape, self.stream)
        for tensor in self._tensors():
            tensor.reshape(shape)
        self._shape = shape

    def enqueue(self) -> None:
        """Enqueue one inference, from the inputs on the GPU to the output there."""
        self._engine.enqueue(self.stream)

    def run(self, ir: NDArray[np.float32], vis: NDArray[np.float32]) -> NDArray[np.float32]:
        """Fuse a batch; see :meth:`Runner.infer`."""
        self.fit(ir.shape)
        for tensor, image in zip(self.inputs, (ir, vis), strict=True):
            np.copyto(tensor.host, image, casting="same_kind")
        self._whole.run()
        return np.array(self.output.host, dtype=np.float32)

    def _enqueue_whole(self) -> None:
        for tensor in self.inputs:
            tensor.upload(self.stream)
        self.enqueue()
        self.output.download(self.stream)

    def close(self) -> None:
        """Wait for what is under way, then free it all. Nothing can be done with it afterwards."""
        with contextlib.suppress(Exception):  # a GPU that failed has said so, and its memory is freed all the same
            self.stream.synchronize()
        for work in self._repeated:
            work.close()
        for tensor in self._tensors():
            tensor.free()
        self._engine.close()
        del self.stream  # here, where the context is current
