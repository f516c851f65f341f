"""NVIDIA's management library through ctypes: it comes with the driver, and without one the list of GPUs is empty."""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

__all__ = ["Gpu", "GpuCounters", "list_gpus", "open_gpu"]

_SUCCESS = 0
_CLOCK_SM, _CLOCK_MEMORY = 1, 2  # nvmlClockType_t
_TEMPERATURE_GPU = 0  # nvmlTemperatureSensors_t


@dataclass(frozen=True)
class Gpu:
    """One NVIDIA GPU and the settings that decide its speed; None where the driver does not tell."""

    name: str
    driver: str
    cuda_driver: str | None = None
    compute_capability: str | None = None
    memory_bytes: int | None = None
    power_limit_watts: float | None = None
    sm_clock_mhz: int | None = None
    sm_clock_max_mhz: int | None = None
    memory_clock_mhz: int | None = None
    temperature_celsius: int | None = None
    persistence: bool | None = None


class _Memory(ctypes.Structure):
    """Layout of nvmlMemory_t."""

    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


class GpuCounters:
    """Running counters of one GPU; a counter that the device lacks reads None."""

    def __init__(self, library: Any, handle: ctypes.c_void_p) -> None:
        self._library = library
        self._handle = handle

    def energy_joules(self) -> float | None:
        """Energy since the driver was loaded (Volta and newer; not on Jetson)."""
        millijoules = self._read("nvmlDeviceGetTotalEnergyConsumption", ctypes.c_ulonglong())
        return None if millijoules is None else millijoules / 1e3

    def used_bytes(self) -> int | None:
        """Memory in use on the device, by every process."""
        memory = _Memory()
        if self._call("nvmlDeviceGetMemoryInfo", ctypes.byref(memory)):
            return int(memory.used)
        return None

    def describe(self, *, driver: str, cuda_driver: str | None) -> Gpu:
        """The GPU's name and its settings at this moment."""
        name = ctypes.create_string_buffer(96)
        self._call("nvmlDeviceGetName", name, ctypes.c_uint(len(name)))
        memory = _Memory()
        has_memory = self._call("nvmlDeviceGetMemoryInfo", ctypes.byref(memory))
        limit_milliwatts = self._read("nvmlDeviceGetEnforcedPowerLimit", ctypes.c_uint())
        persistence = self._read("nvmlDeviceGetPersistenceMode", ctypes.c_uint())
        return Gpu(
            name=name.value.decode(errors="replace"),
            driver=driver,
            cuda_driver=cuda_driver,
            compute_capability=self._compute_capability(),
            memory_bytes=int(memory.total) if has_memory else None,
            power_limit_watts=None if limit_milliwatts is None else limit_milliwatts / 1e3,
            sm_clock_mhz=self._read("nvmlDeviceGetClockInfo", ctypes.c_uint(), ctypes.c_uint(_CLOCK_SM)),
            sm_clock_max_mhz=self._read("nvmlDeviceGetMaxClockInfo", ctypes.c_uint(), ctypes.c_uint(_CLOCK_SM)),
            memory_clock_mhz=self._read("nvmlDeviceGetClockInfo", ctypes.c_uint(), ctypes.c_uint(_CLOCK_MEMORY)),
            temperature_celsius=self._read(
                "nvmlDeviceGetTemperature", ctypes.c_uint(), ctypes.c_uint(_TEMPERATURE_GPU)
            ),
            persistence=None if persistence is None else bool(persistence),
        )

    def _compute_capability(self) -> str | None:
        major, minor = ctypes.c_int(), ctypes.c_int()
        if self._call("nvmlDeviceGetCudaComputeCapability", ctypes.byref(major), ctypes.byref(minor)):
            return f"{major.value}.{minor.value}"
        return None

    def _call(self, function: str, *arguments: Any) -> bool:
        return _succeeds(self._library, function, self._handle, *arguments)

    def _read(self, function: str, value: Any, *arguments: Any) -> int | None:
        return int(value.value) if self._call(function, *arguments, ctypes.byref(value)) else None


@contextmanager
def open_gpu(index: int) -> Iterator[GpuCounters | None]:
    """Open the counters of one GPU.

    Args:
        index: Number of the device, in the driver's order.

    Yields:
        The counters, or None where there is no such GPU or no driver.
    """
    with _library() as library:
        yield None if library is None else _device(library, index)


def list_gpus() -> list[Gpu]:
    """Describe every NVIDIA GPU of this machine.

    Returns:
        The GPUs in the driver's order; empty without a driver.
    """
    with _library() as library:
        if library is None:
            return []
        count = ctypes.c_uint()
        if not _succeeds(library, "nvmlDeviceGetCount_v2", ctypes.byref(count)):
            return []
        driver = ctypes.create_string_buffer(96)
        _succeeds(library, "nvmlSystemGetDriverVersion", driver, ctypes.c_uint(len(driver)))
        cuda = ctypes.c_int()
        has_cuda = _succeeds(library, "nvmlSystemGetCudaDriverVersion_v2", ctypes.byref(cuda))
        cuda_driver = f"{cuda.value // 1000}.{cuda.value % 1000 // 10}" if has_cuda else None
        devices = (_device(library, index) for index in range(count.value))
        return [
            device.describe(driver=driver.value.decode(errors="replace"), cuda_driver=cuda_driver)
            for device in devices
            if device is not None
        ]


def _device(library: Any, index: int) -> GpuCounters | None:
    handle = ctypes.c_void_p()
    found = _succeeds(library, "nvmlDeviceGetHandleByIndex_v2", ctypes.c_uint(index), ctypes.byref(handle))
    return GpuCounters(library, handle) if found else None


@contextmanager
def _library() -> Iterator[Any]:
    try:
        library = ctypes.CDLL(ctypes.util.find_library("nvidia-ml") or "libnvidia-ml.so.1")
    except OSError:
        yield None
        return
    if not _succeeds(library, "nvmlInit_v2"):
        yield None
        return
    try:
        yield library
    finally:
        library.nvmlShutdown()


def _succeeds(library: Any, function: str, *arguments: Any) -> bool:
    """Whether a call returned success; functions that an older driver lacks count as failed."""
    try:
        return bool(getattr(library, function)(*arguments) == _SUCCESS)
    except AttributeError:
        return False
