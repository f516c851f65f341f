"""Pairs of frames fused on the GPU from end to end: uploaded as they came, downloaded as the fused picture."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgefuse.arrays import Image
from edgefuse.errors import ArtifactError, EdgeFuseError
from edgefuse.kernels.warp import PairWarp
from edgefuse.kernels.warp.warp_cuda import CudaPairWarp, FrameAddresses, gain_values
from edgefuse.runtime.device_memory import Device, StagedTensor
from edgefuse.runtime.engine_work import EngineWork
from edgefuse.runtime.tensorrt_engine import LoadedEngine

__all__ = ["DevicePairs", "describe_path", "device_pairs_problem"]


def device_pairs_problem(engine: LoadedEngine) -> str | None:
    """Why frames cannot stay on the GPU around an engine, in one line; the GPU's context must be current.

    Args:
        engine: The engine.

    Returns:
        The reason, or None where :class:`DevicePairs` serves.
    """
    if any(tensor.dtype is not np.float32 for tensor in (*engine.inputs, *engine.outputs)):
        return "the inputs and the output of the engine are not all float32"
    try:
        CudaPairWarp.check_device()
    except EdgeFuseError as error:
        return str(error)
    return None


def describe_path(problem: str | None) -> str:
    """Say in one line where frames become inputs and the fused picture.

    Args:
        problem: Why not on the GPU, or None.
    """
    if problem is None:
        return "frames are registered and coloured on the GPU, with the engine"
    return f"frames are registered and coloured on the CPU: {problem}"


class DevicePairs:
    """What fuses whole frames with an engine: the three steps of a frame, in order, each to be timed by itself.

    Frames go into pinned memory and are uploaded as they are; kernels of the CUDA library write both inputs of the
    engine and, from its output, the fused frame, all on the engine's stream and, where the engine allows it, in one
    CUDA graph. Memory is allocated once for a geometry; what :meth:`finish` returns is the one array made per frame.
    It serves one thread at a time, until the runner is deactivated.

    Args:
        work: The engine, with its stream and tensors.
        device: Its GPU.

    Example:
        >>> def fuse(pairs, warp, ir, vis):
        ...     pairs.register(warp, ir, vis, low=20000.0, high=24000.0, size=(480, 640))
        ...     pairs.infer()
        ...     return pairs.finish()
    """

    def __init__(self, work: EngineWork, device: Device) -> None:
        self._work, self._device = work, device
        self._memory: _PairMemory | None = None
        self._size = (0, 0)
        self._closed = False
        self._repeated = work.repeated(self._enqueue)

    @property
    def captured(self) -> bool:
        """Whether the next frame of this geometry is launched as one CUDA graph of ours."""
        return self._repeated.captured

    def register(
        self,
        warp: PairWarp,
        ir: Image,
        vis: NDArray[np.uint8],
        *,
        low: float,
        high: float,
        size: tuple[int, int],
    ) -> None:
        """Take a pair; the GPU registers it in :meth:`infer`.

        Args:
            warp: The geometry; the same object for the frames of one, or memory is allocated anew.
            ir: Infrared frame: uint8, uint16 or float32.  # [h, w]
            vis: Visible frame, gray or BGR uint8.  # [H, W] or [H, W, 3]
            low: Infrared value that becomes 0.
            high: Infrared value that becomes 1.
            size: Height and width of the inputs.

        Raises:
            InputError: The frames are not of this geometry, or the engine does not take the size.
            UsageError: ``low`` is not below ``high``.
            ArtifactError: No memory on the GPU, or the runner was deactivated.
        """
        if self._closed:
            raise ArtifactError("the runner of these frames is not active any more; activate it and take its new pairs")
        self._size = warp.check(ir, vis, low=low, high=high, size=size)
        with self._device:
            self._work.fit((1, 1, *self._size))
            memory = self._memory_for(warp, ir, vis)
        np.copyto(memory.ir.host, ir)
        np.copyto(memory.vis.host, vis)
        np.copyto(memory.gain.host, gain_values(low, high))

    def infer(self) -> None:
        """Register, infer and colour on the GPU, and wait until the fused frame is here.

        Raises:
            EdgeFuseError: The library or CUDA refuses the work.
        """
        with self._device:
            self._repeated.run()

    def finish(self) -> NDArray[np.uint8]:
        """Return the fused frame, which belongs to the caller, in the shape of the visible one."""
        assert self._memory is not None, "register and infer come before finish"
        return np.array(self._memory.fused.host, np.uint8)

    def _memory_for(self, warp: PairWarp, ir: Image, vis: NDArray[np.uint8]) -> _PairMemory:
        if self._memory is None or not self._memory.fits(warp, ir, vis):
            self._free()
            self._memory = _PairMemory(self._device, self._work, warp, ir, vis)
        return self._memory

    def _enqueue(self) -> None:
        memory, stream = self._memory, self._work.stream
        assert memory is not None
        for tensor in (memory.ir, memory.vis, memory.gain):
            tensor.upload(stream)
        memory.warp.enqueue_inputs(memory.addresses, size=self._size, stream=stream.handle)
        self._work.enqueue()
        memory.warp.enqueue_colour(
            memory.addresses,
            self._work.output.address,
            memory.fused.address,
            fused_width=self._size[1],
            stream=stream.handle,
        )
        memory.fused.download(stream)

    def _free(self) -> None:
        self._repeated.forget()
        if self._memory is not None:
            self._memory.free()
        self._memory = None

    def close(self) -> None:
        """Free its memory and serve no more; the engine stays. Closing twice does nothing."""
        self._closed = True
        with self._device:
            self._free()


class _PairMemory:
    """Pinned and device memory of the frames of one geometry."""

    def __init__(self, device: Device, work: EngineWork, warp: PairWarp, ir: Image, vis: NDArray[np.uint8]) -> None:
        self._device, self._stream, self._of = device, work.stream, warp
        self._held: list[StagedTensor] = []
        try:
            self.ir = self._tensor(ir.shape, ir.dtype)
            self.vis = self._tensor(vis.shape, vis.dtype)
            self.fused = self._tensor(vis.shape, vis.dtype)
            self.gain = self._tensor((2,), np.dtype(np.float32))
            self.warp = CudaPairWarp(warp, self._table)
        except Exception:
            self.free()
            raise
        ir_input, vis_input = work.inputs
        self.addresses = FrameAddresses(
            ir=self.ir.address,
            ir_bytes=ir.itemsize,
            vis=self.vis.address,
            channels=1 if vis.ndim == 2 else 3,
            gain=self.gain.address,
            ir_input=ir_input.address,
            vis_input=vis_input.address,
        )

    def fits(self, warp: PairWarp, ir: Image, vis: NDArray[np.uint8]) -> bool:
        """Whether frames go into this memory; their sizes are those of the geometry."""
        return self._of is warp and self.ir.host.dtype == ir.dtype and self.vis.host.shape == vis.shape

    def _tensor(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> StagedTensor:
        tensor = self._device.tensor(int(np.prod(shape)), dtype)
        self._held.append(tensor)
        tensor.reshape(shape)
        return tensor

    def _table(self, table: NDArray[Any]) -> int:
        self._held.append(self._device.upload(table, self._stream))
        return self._held[-1].address

    def free(self) -> None:
        """Give all of it back, at once."""
        for tensor in self._held:
            tensor.free()
