"""The GPU under TensorRT engines: its context, pinned and device memory, a stream, and captured graphs of work.

Memory and streams are pycuda's. Its wrapper has no stream capture (looked up in 2026.1), so capture calls the driver
library itself, on pycuda's stream handle. Nothing here serves more than one thread at a time.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from edgefuse.errors import ArtifactError, EdgeFuseError, MissingDependencyError
from edgefuse.wording import counted

__all__ = ["CapturedWork", "CudaError", "Device", "Gpu", "StagedTensor", "find_gpu", "open_device"]

_DRIVER_LIBRARY = "nvcuda.dll" if os.name == "nt" else "libcuda.so.1"
_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING: the legacy default stream would break a capture
_THREAD_LOCAL = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads may go on allocating meanwhile
_COMPUTE_CAPABILITY_MAJOR, _COMPUTE_CAPABILITY_MINOR = 75, 76  # CUdevice_attribute


@dataclass(frozen=True)
class Gpu:
    """What the driver says of a GPU.

    Attributes:
        name: As NVIDIA calls it.
        target: Its compute capability, as in ``"sm_86"``.
        cuda: Newest CUDA version that the driver runs, as in ``"13.0"``.
    """

    name: str
    target: str
    cuda: str


class CudaError(EdgeFuseError):
    """A call that the driver refused; the text is the driver's."""


def find_gpu(index: int = 0) -> Gpu:
    """Ask the driver for a GPU, without pycuda and without a context.

    Args:
        index: Which one, counted as CUDA does.

    Returns:
        The GPU.

    Raises:
        MissingDependencyError: There is no driver, or no such GPU.
    """
    driver, count = _driver(), ctypes.c_int()
    try:
        _check(driver, driver.cuInit(0))
        _check(driver, driver.cuDeviceGetCount(ctypes.byref(count)))
    except CudaError as error:
        raise MissingDependencyError(f"the NVIDIA driver finds no GPU ({error}): engines run on a GPU only") from error
    if index >= count.value:
        raise MissingDependencyError(f"the NVIDIA driver finds {counted(count.value, 'GPU')}: there is no GPU {index}")
    device, version = ctypes.c_int(), ctypes.c_int()
    _check(driver, driver.cuDeviceGet(ctypes.byref(device), index))
    _check(driver, driver.cuDriverGetVersion(ctypes.byref(version)))
    name = ctypes.create_string_buffer(256)
    _check(driver, driver.cuDeviceGetName(name, len(name), device))
    capability = []
    for attribute in (_COMPUTE_CAPABILITY_MAJOR, _COMPUTE_CAPABILITY_MINOR):
        value = ctypes.c_int()
        _check(driver, driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, device))
        capability.append(str(value.value))
    cuda = f"{version.value // 1000}.{version.value % 1000 // 10}"
    return Gpu(name.value.decode(errors="replace"), f"sm_{''.join(capability)}", cuda)


class Device:
    """A GPU with its primary context, which TensorRT and PyTorch use too; as a context manager it is current.

    Args:
        pycuda: The module ``pycuda.driver``.
        gpu: The GPU.
        index: Its number.
    """

    def __init__(self, pycuda: Any, gpu: Gpu, index: int) -> None:
        self.gpu = gpu
        self._pycuda = pycuda
        self._context = pycuda.Device(index).retain_primary_context()
        # A primary context that pycuda's destructor frees is detached in the wrong way, with a warning.
        atexit.register(self._context.detach)

    def __enter__(self) -> Device:
        self._context.push()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._context.pop()
        if isinstance(error, self._pycuda.Error):
            raise ArtifactError(f"{self.gpu.name}: {str(error).splitlines()[0]}") from error

    def stream(self) -> Any:
        """A stream of its own; ``handle`` is what the CUDA libraries take, ``synchronize()`` waits for its work."""
        return self._pycuda.Stream(_NON_BLOCKING)

    def tensor(self, elements: int, dtype: DTypeLike) -> StagedTensor:
        """Allocate a tensor in pinned host memory and on the GPU.

        Args:
            elements: The largest number of elements that it will hold.
            dtype: Their type.
        """
        host = self._pycuda.pagelocked_empty(elements, dtype)
        return StagedTensor(self._pycuda, host, self._pycuda.mem_alloc(host.nbytes))

    def upload(self, array: NDArray[Any], stream: Any) -> StagedTensor:
        """Copy an array to the GPU and wait for it; what stays is there alone.

        Args:
            array: The elements.
            stream: A stream of :meth:`stream`.
        """
        tensor = self.tensor(array.size, array.dtype)
        np.copyto(tensor.host, array.reshape(-1))
        tensor.upload(stream)
        stream.synchronize()
        tensor.drop_host()
        return tensor


class StagedTensor:
    """Memory of one input or output, on both sides; made once, and used at any size up to its own.

    Args:
        pycuda: The module ``pycuda.driver``.
        host: Pinned elements.  # [N]
        allocation: As many bytes on the GPU.
    """

    def __init__(self, pycuda: Any, host: NDArray[Any], allocation: Any) -> None:
        self._pycuda, self._whole, self._allocation = pycuda, host, allocation
        self.address = int(allocation)
        self.host = host

    def reshape(self, shape: tuple[int, ...]) -> None:
        """Make ``host`` a view of its first elements in a shape."""
        self.host = self._whole[: int(np.prod(shape))].reshape(shape)

    def upload(self, stream: Any) -> None:
        """Enqueue the copy to the GPU."""
        self._pycuda.memcpy_htod_async(self._allocation, self.host, stream)

    def download(self, stream: Any) -> None:
        """Enqueue the copy to the host."""
        self._pycuda.memcpy_dtoh_async(self.host, self._allocation, stream)

    def drop_host(self) -> None:
        """Do without the pinned memory from now on; it goes with its last view."""
        self.host = self._whole = self._whole[:0].copy()

    def free(self) -> None:
        """Give back the memory of the GPU now, and drop the pinned one."""
        self._allocation.free()
        self.drop_host()


class CapturedWork:
    """What one call enqueues on a stream, captured once, to be launched as a whole.

    Args:
        stream: A stream of :meth:`Device.stream`.
        enqueue: Enqueues the work on it; memory and sizes are fixed by the capture.

    Raises:
        CudaError: The driver, or something that was enqueued, does not allow it. The stream is usable afterwards.
    """

    def __init__(self, stream: Any, enqueue: Callable[[], None]) -> None:
        self._driver, self._stream = _driver(), ctypes.c_void_p(stream.handle)
        self._graph, self._executable = ctypes.c_void_p(), ctypes.c_void_p()
        _check(self._driver, self._driver.cuStreamBeginCapture_v2(self._stream, _THREAD_LOCAL))
        try:
            enqueue()
        except BaseException as error:  # Ctrl-C too must not leave the stream capturing
            self._end_capture()
            self.close()
            if not isinstance(error, Exception):
                raise
            text = (str(error).splitlines() or ["no reason given"])[0]
            raise CudaError(f"{type(error).__name__}: {text}") from error
        try:
            _check(self._driver, self._end_capture())
            created = self._driver.cuGraphInstantiateWithFlags(
                ctypes.byref(self._executable), self._graph, ctypes.c_ulonglong(0)
            )
            _check(self._driver, created)
        except CudaError:
            self.close()
            raise

    def _end_capture(self) -> int:
        return int(self._driver.cuStreamEndCapture(self._stream, ctypes.byref(self._graph)))

    def launch(self) -> None:
        """Enqueue all of it.

        Raises:
            CudaError: The driver refuses.
        """
        _check(self._driver, self._driver.cuGraphLaunch(self._executable, self._stream))

    def close(self) -> None:
        """Free the graph. Closing twice does nothing."""
        if self._executable.value:
            self._driver.cuGraphExecDestroy(self._executable)
        if self._graph.value:
            self._driver.cuGraphDestroy(self._graph)
        self._graph, self._executable = ctypes.c_void_p(), ctypes.c_void_p()


@functools.cache
def open_device(index: int = 0) -> Device:
    """Open a GPU; it stays open until the process ends, as it does under the CUDA runtime.

    Args:
        index: Which one, counted as CUDA does.

    Returns:
        The device.

    Raises:
        MissingDependencyError: There is no driver, GPU or pycuda, or pycuda does not load.
    """
    gpu = find_gpu(index)
    try:
        import pycuda.driver as pycuda
    except ModuleNotFoundError as error:
        raise MissingDependencyError("pycuda is needed to run engines: pip install pycuda") from error
    except ImportError as error:  # mostly of libcurand, which it is linked to
        reason = str(error).splitlines()[0]
        raise MissingDependencyError(
            f"pycuda is installed and does not load ({reason}): it needs the libraries of the CUDA toolkit that it was "
            "compiled with"
        ) from error
    pycuda.init()
    return Device(pycuda, gpu, index)


def _driver() -> Any:
    """The driver library."""
    try:
        return ctypes.CDLL(_DRIVER_LIBRARY)
    except OSError as error:
        raise MissingDependencyError(
            f"there is no NVIDIA driver on this machine ({_DRIVER_LIBRARY}): engines run on an NVIDIA GPU only; "
            "take an .onnx model for the CPU"
        ) from error


def _check(driver: Any, status: int) -> None:
    if status:
        text = ctypes.c_char_p()
        driver.cuGetErrorString(status, ctypes.byref(text))
        raise CudaError((text.value or b"unknown error").decode(errors="replace") + f", CUDA error {status}")
