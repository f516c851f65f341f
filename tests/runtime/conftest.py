"""A machine with a GPU that there is none of: a pretended driver, pycuda on top of it, and a library of engines.

The driver is C, with the types of NVIDIA's header; see ``data/pretend_cuda.c``. pycuda and the library of engines are
as thin as can be, and other tests hold the calls that are made of them against the real modules.
"""

from __future__ import annotations

import ctypes
import importlib.machinery
import importlib.util
import shutil
import subprocess
import sys
import types
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgefuse.kernels.warp import warp_cuda
from edgefuse.manifest import Manifest, manifest_path, sha256_file
from edgefuse.runtime import device_memory

COUNTS = {"device": 0, "host": 1, "live": 2, "launches": 3}


@pytest.fixture(scope="session")
def pretend_driver(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The driver library, compiled; Triton brings the header that its functions are checked against."""
    triton = importlib.util.find_spec("triton")
    if triton is None or triton.origin is None or shutil.which("cc") is None:
        pytest.skip("the pretended driver is compiled with cc and the cuda.h that comes with triton")
    headers = Path(triton.origin).parent / "backends" / "nvidia" / "include"
    library = tmp_path_factory.mktemp("driver") / "libpretend_cuda.so"
    source = Path(__file__).parent / "data" / "pretend_cuda.c"
    flags = ["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", f"-I{headers}"]
    subprocess.run(["cc", *flags, "-o", library, source], check=True)
    return ctypes.CDLL(str(library))


class PretendGpu:
    """The machine, for a test to set up and look at."""

    def __init__(self, driver: ctypes.CDLL) -> None:
        self.driver = driver
        self.engines: dict[bytes, dict[str, Any]] = {}
        self.starts = True
        self.loads: list[bool] = []
        self.outlived: list[str] = []

    def count(self, what: str) -> int:
        """How many allocations or launches there were, or allocations and graphs there are."""
        return int(self.driver.pretend_count(COUNTS[what]))


@pytest.fixture
def gpu(pretend_driver: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[PretendGpu]:
    """A GPU of compute capability 8.6 with pycuda, TensorRT 10.3 and TensorRT-RTX, and without the CUDA library."""
    machine = PretendGpu(pretend_driver)
    # On a machine with a real GPU, the installed library would run there, on memory of this one.
    use_cuda_library(monkeypatch, None)
    monkeypatch.setattr(device_memory, "_driver", lambda: pretend_driver)
    package = types.ModuleType("pycuda")
    package.__spec__ = importlib.machinery.ModuleSpec("pycuda", None)
    package.driver = pycuda_driver(pretend_driver)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pycuda", package)
    monkeypatch.setitem(sys.modules, "pycuda.driver", package.driver)
    monkeypatch.setitem(sys.modules, "tensorrt", tensorrt(machine))
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", tensorrt_rtx(machine))
    monkeypatch.setenv("EDGEFUSE_CACHE", str(tmp_path / "cache"))
    device_memory.open_device.cache_clear()
    depth = pretend_driver.pretend_depth()
    yield machine
    assert pretend_driver.pretend_depth() == depth, "a context was left current"
    pretend_driver.pretend_refuse_capture(0)
    device_memory.open_device.cache_clear()
    warp_cuda._library.cache_clear()


def use_cuda_library(monkeypatch: pytest.MonkeyPatch, path: Path | None) -> None:
    """Take another file, or none, as the CUDA library."""
    monkeypatch.setattr(warp_cuda, "cuda_library_path", lambda: path)
    warp_cuda._library.cache_clear()


@pytest.fixture
def gpu_kernels(gpu: PretendGpu, host_cuda_library: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ctypes.CDLL]:
    """The CUDA library for the pretended GPU: its kernels wait in streams and graphs of the pretended driver."""
    library = ctypes.CDLL(str(host_cuda_library))
    library.edgefuse_host_queue.argtypes = [ctypes.c_void_p]
    library.edgefuse_host_queue(ctypes.cast(gpu.driver.pretend_call, ctypes.c_void_p))
    use_cuda_library(monkeypatch, host_cuda_library)
    yield library
    library.edgefuse_host_image(1)
    library.edgefuse_host_queue(None)


def pycuda_driver(driver: ctypes.CDLL) -> types.ModuleType:
    """The part of ``pycuda.driver`` that is used, on the pretended driver."""
    module = types.ModuleType("pycuda.driver")

    class Error(Exception):
        pass

    def check(status: int) -> None:
        if status:
            raise Error(f"failed: {status}\nmore")

    class Context:
        def push(self) -> None:
            check(driver.cuCtxPushCurrent_v2(None))

        @staticmethod
        def pop() -> None:
            check(driver.cuCtxPopCurrent_v2(ctypes.byref(ctypes.c_void_p())))

        def detach(self) -> None:
            check(driver.cuDevicePrimaryCtxRelease_v2(0))

    class Device:
        def __init__(self, index: int) -> None:
            self.index = index

        def retain_primary_context(self) -> Context:
            return Context()

    class Stream:
        def __init__(self, flags: int = 0) -> None:
            handle = ctypes.c_void_p()
            check(driver.cuStreamCreate(ctypes.byref(handle), flags))
            self.handle = handle.value

        def synchronize(self) -> None:
            check(driver.cuStreamSynchronize(ctypes.c_void_p(self.handle)))

    class DeviceAllocation:
        def __init__(self, size: int) -> None:
            address = ctypes.c_ulonglong()
            check(driver.cuMemAlloc_v2(ctypes.byref(address), ctypes.c_size_t(size)))
            self.address = address.value

        def __int__(self) -> int:
            return self.address

        def free(self) -> None:
            check(driver.cuMemFree_v2(ctypes.c_ulonglong(self.address)))

    class PinnedMemory:
        """Owns what an array lies in, as pycuda's ``PagelockedHostAllocation`` does."""

        def __init__(self, size: int) -> None:
            self.pointer = ctypes.c_void_p()
            check(driver.cuMemHostAlloc(ctypes.byref(self.pointer), ctypes.c_size_t(size), 0))
            array = {"shape": (size,), "typestr": "|u1", "data": (self.pointer.value, False), "version": 3}
            self.__array_interface__ = array

        def __del__(self) -> None:
            driver.cuMemFreeHost(self.pointer)

    def pagelocked_empty(shape: int, dtype: Any) -> np.ndarray:
        return np.asarray(PinnedMemory(shape * np.dtype(dtype).itemsize)).view(dtype)

    def memcpy_htod_async(out: DeviceAllocation, host: np.ndarray, stream: Stream) -> None:
        assert host.flags.c_contiguous
        size, queue = ctypes.c_size_t(host.nbytes), ctypes.c_void_p(stream.handle)
        address = ctypes.c_void_p(host.ctypes.data)
        check(driver.cuMemcpyHtoDAsync_v2(ctypes.c_ulonglong(int(out)), address, size, queue))

    def memcpy_dtoh_async(host: np.ndarray, source: DeviceAllocation, stream: Stream) -> None:
        assert host.flags.c_contiguous
        size, queue = ctypes.c_size_t(host.nbytes), ctypes.c_void_p(stream.handle)
        address = ctypes.c_void_p(host.ctypes.data)
        check(driver.cuMemcpyDtoHAsync_v2(address, ctypes.c_ulonglong(int(source)), size, queue))

    vars(module).update(
        Device=Device,
        Error=Error,
        Stream=Stream,
        init=lambda: check(driver.cuInit(0)),
        mem_alloc=DeviceAllocation,
        memcpy_dtoh_async=memcpy_dtoh_async,
        memcpy_htod_async=memcpy_htod_async,
        pagelocked_empty=pagelocked_empty,
    )
    return module


def tensorrt(machine: PretendGpu) -> types.ModuleType:
    """The part of ``tensorrt`` that running engines uses; its engines average their inputs."""
    module = types.ModuleType("tensorrt")
    module.__spec__ = importlib.machinery.ModuleSpec("tensorrt", None)

    class ILogger:
        Severity = types.SimpleNamespace(ERROR=1)

        def log(self, severity: int, message: str) -> None:
            raise NotImplementedError

    class Context:
        def __init__(self, engine: Engine, config: Any = None) -> None:
            self.engine, self.config = engine, config  # which it keeps, as the bindings have it
            self.addresses: dict[str, int] = {}
            self.shape = engine.inputs
            self.active_optimization_profile = 0

        def __del__(self) -> None:
            if self.config is not None and self.config.cache is not None and self.config.cache() is None:
                machine.outlived.append("a context outlived its runtime cache")

        def set_optimization_profile_async(self, index: int, _stream: int) -> bool:
            if self.engine.description.get("keeps profile"):
                raise RuntimeError("Error in set optimization profile async.")
            self.active_optimization_profile = index
            self.addresses.clear()  # at worst: NVIDIA does not say what becomes of them
            return True

        def set_input_shape(self, _name: str, shape: tuple[int, ...]) -> bool:
            smallest, _, largest = self.engine.profiles[self.active_optimization_profile]
            self.shape = shape
            return all(low <= side <= high for low, side, high in zip(smallest, shape, largest, strict=True))

        def get_tensor_shape(self, _name: str) -> tuple[int, ...]:
            shape: tuple[int, ...] = self.engine.description.get("output", self.shape)
            return shape

        def set_tensor_address(self, name: str, address: int) -> bool:
            self.addresses[name] = address
            return True

        def execute_async_v3(self, stream: int) -> bool:
            if self.engine.description.get("fails"):
                self.engine.logger.log(ILogger.Severity.ERROR, self.engine.description["fails"])
                return False
            if self.config is not None and self.config.cache is not None:
                self.config.cache().kernels.add("x".join(map(str, self.shape)))
            addresses = [ctypes.c_ulonglong(self.addresses[name]) for name in ("ir", "vis", "fused")]
            count = ctypes.c_size_t(int(np.prod(self.shape)))
            return machine.driver.pretend_average(ctypes.c_void_p(stream), *addresses, count) == 0

    class Engine:
        def __init__(self, description: dict[str, Any], logger: ILogger) -> None:
            self.description, self.logger = description, logger
            self.inputs: tuple[int, ...] = description.get("shape", (1, 1, 16, 16))
            self.profiles = description.get("profiles", [(self.inputs,) * 3])
            self.names = description.get("names", ["vis", "ir", "fused"])
            self.num_io_tensors = len(self.names)
            self.num_optimization_profiles = len(self.profiles)

        def get_tensor_name(self, index: int) -> str:
            return str(self.names[index])

        def get_tensor_mode(self, name: str) -> str:
            return "output" if name == "fused" else "input"

        def get_tensor_dtype(self, _name: str) -> str:
            return str(self.description.get("dtype", "float"))

        def get_tensor_shape(self, _name: str) -> tuple[int, ...]:
            return self.inputs

        def get_tensor_vectorized_dim(self, _name: str) -> int:
            return int(self.description.get("vectorized", -1))

        def get_tensor_profile_shape(self, _name: str, index: int) -> list[tuple[int, ...]]:
            return list(self.profiles[index])

        def create_execution_context(self, config: Any = None) -> Context:
            return Context(self, config)

        def create_runtime_config(self) -> Any:
            return module.RuntimeConfig()

    class Runtime:
        def __init__(self, logger: ILogger) -> None:
            if not machine.starts:
                logger.log(ILogger.Severity.ERROR, "CUDA initialization failure with error: 35")
                raise TypeError("pybind11::init(): factory function returned nullptr")
            self.logger = logger

        def deserialize_cuda_engine(self, content: bytes) -> Engine | None:
            if content not in machine.engines:
                self.logger.log(1, "expecting library version 10.3.0.26 got 10.16.1.11\nmore")
                return None
            return Engine(machine.engines[content], self.logger)

    vars(module).update(
        ILogger=ILogger,
        Runtime=Runtime,
        DataType=types.SimpleNamespace(FLOAT="float", HALF="half"),
        TensorIOMode=types.SimpleNamespace(INPUT="input", OUTPUT="output"),
        __version__="10.3.0",
    )
    return module


def tensorrt_rtx(machine: PretendGpu) -> types.ModuleType:
    """The same of ``tensorrt_rtx``, whose contexts compile a kernel for every size that they run at."""
    module = tensorrt(machine)

    class RuntimeCache:
        """Refuses what another GPU, driver or release wrote, and all without a context."""

        def __init__(self) -> None:
            self.kernels: set[str] = set()

        def serialize(self) -> memoryview:
            assert machine.driver.pretend_depth() > 0
            return memoryview(" ".join(["pretended", *sorted(self.kernels)]).encode())

        def deserialize(self, blob: bytes) -> bool:
            assert machine.driver.pretend_depth() > 0
            machine.loads.append(blob.startswith(b"pretended"))
            if machine.loads[-1]:
                self.kernels.update(blob.decode().split()[1:])
            return machine.loads[-1]

    class RuntimeConfig:
        """Holds no reference to the cache: who made it has to."""

        cache: weakref.ref[RuntimeCache] | None = None
        cuda_graph_strategy: str = "disabled"

        def create_runtime_cache(self) -> RuntimeCache:
            return RuntimeCache()

        def set_runtime_cache(self, cache: RuntimeCache) -> bool:
            self.cache = weakref.ref(cache)
            return True

    strategies = types.SimpleNamespace(WHOLE_GRAPH_CAPTURE="whole")
    vars(module).update(RuntimeConfig=RuntimeConfig, CudaGraphStrategy=strategies, __version__="1.7.1")
    return module


@pytest.fixture
def write_engine(tmp_path: Path) -> Any:
    """Write bytes as an engine with a manifest that describes them."""

    def write(content: bytes = b"ftrt engine", *, name: str = "average.plan", **fields: Any) -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        described = {"format": "tensorrt", "model": "average", "imgsz": (16, 16), "targets": ("sm_86",), **fields}
        hashed = {"file": name, "sha256": sha256_file(path), "size_bytes": len(content)}
        Manifest(**{**hashed, **described}).save(manifest_path(path))
        return path

    return write
