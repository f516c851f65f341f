"""Measuring one row, in a process of its own: load, check, time, check again."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgefuse.bench.energy import metered, monitored
from edgefuse.bench.gate import TOLERANCES, Deviation, GateError, check_output
from edgefuse.bench.images import network_inputs, sample_pair
from edgefuse.bench.measure import Budget, Timing, time_calls, warnings_of
from edgefuse.bench.memory import peak_host_bytes
from edgefuse.bench.noise import NoiseMeter
from edgefuse.bench.nvml import open_gpu
from edgefuse.bench.record import Series
from edgefuse.bench.spec import BenchRuntime, RowSpec, Subject
from edgefuse.bench.tegrastats import TegrastatsMonitor
from edgefuse.errors import ArtifactError, MissingDependencyError
from edgefuse.runtime import Runner, create_runner

__all__ = ["RowJob", "measure_row"]

_LIBRARIES: dict[BenchRuntime, tuple[str, str | None]] = {
    "torch": ("torch", "train"),
    "torch-compile": ("torch", "train"),
    "ort": ("onnxruntime", None),
    "ort-cuda": ("onnxruntime", "gpu"),
    "tensorrt": ("tensorrt", "tensorrt"),
    "tensorrt-rtx": ("tensorrt_rtx", "rtx"),
}
"""The module of each runtime and the extra that installs it; None is the base installation."""


@dataclass(frozen=True)
class RowJob:
    """What the process of a row has to know.

    Attributes:
        spec: The row.
        budget: How long to measure.
        network_size: Height and width that the network takes, padded from the images'.
        artifact: File to load, or None where the row builds the PyTorch network.
        reference: File of the reference output, or None where nothing can tell.
        reference_name: What computed it.
    """

    spec: RowSpec
    budget: Budget
    network_size: tuple[int, int]
    artifact: str | None
    reference: str | None
    reference_name: str

    @classmethod
    def from_dict(cls, job: dict[str, Any]) -> RowJob:
        """Read a job that ``asdict`` wrote."""
        spec = dict(job["spec"])
        subject = dict(spec.pop("subject"))
        subject["config"] = tuple((key, value) for key, value in subject["config"])
        spec["imgsz"] = tuple(spec["imgsz"])
        return cls(
            spec=RowSpec(subject=Subject(**subject), **spec),
            budget=Budget(**job["budget"]),
            network_size=(job["network_size"][0], job["network_size"][1]),
            artifact=job["artifact"],
            reference=job["reference"],
            reference_name=job["reference_name"],
        )


def measure_row(document: dict[str, Any]) -> dict[str, Any]:
    """Measure one row.

    Args:
        document: A :class:`RowJob` as JSON.

    Returns:
        Fields of a :class:`~edgefuse.bench.record.Row`, as JSON.

    Raises:
        GateError: The output is not the model's, before, after or around the timed runs.
        EdgeFuseError: The runtime, the file or the device is missing or does not fit.
    """
    job = RowJob.from_dict(document)
    spec = job.spec
    _show_one_gpu(spec.device)
    import_ms = _import_library(spec.runtime)
    _limit_threads(spec)
    baseline_host_bytes = peak_host_bytes()
    with monitored() as monitor, _device_memory(spec, monitor) as device_memory:
        started = time.perf_counter()
        with _open_runner(job) as runner:
            load_ms = (time.perf_counter() - started) * 1e3
            result = _measure_runner(runner, job, monitor)
            device_memory.update()
    return {
        "import_ms": import_ms,
        "load_ms": load_ms,
        "baseline_host_bytes": baseline_host_bytes,
        "peak_host_bytes": peak_host_bytes(),
        "peak_device_bytes": _torch_peak_bytes(spec) or device_memory.grown_bytes,
        **result,
    }


class _DeviceMemory:
    """How much more memory of the device is in use than before the network was loaded."""

    def __init__(self, read: Callable[[], int | None]) -> None:
        self._read = read
        self._before = read()
        self.grown_bytes: int | None = None

    def update(self) -> None:
        """Look again, while the network is still loaded."""
        now = self._read()
        if self._before is not None and now is not None:
            self.grown_bytes = max(0, now - self._before)


@contextmanager
def _device_memory(spec: RowSpec, monitor: TegrastatsMonitor | None) -> Iterator[_DeviceMemory]:
    """Watch the memory of a row's GPU; on a Jetson that is all of the module's memory, which the CPU shares."""
    if spec.device == "cpu":
        yield _DeviceMemory(lambda: None)
    elif monitor is not None:
        first = monitor.wait_for_sample()
        memory = _DeviceMemory(lambda: None if first is None else monitor.peak_ram_bytes())
        yield memory
    else:
        with open_gpu(_gpu_index(spec.device) or 0) as gpu:
            yield _DeviceMemory(lambda: None if gpu is None else gpu.used_bytes())


def _show_one_gpu(device: str) -> None:
    """Let this process see the row's GPU alone, which every runtime then calls its first; numbers are the driver's."""
    index = _gpu_index(device)
    if index is not None:
        os.environ.update(CUDA_DEVICE_ORDER="PCI_BUS_ID", CUDA_VISIBLE_DEVICES=str(index))


def _import_library(runtime: BenchRuntime) -> float:
    """Import what a runtime needs, and tell how many milliseconds that took."""
    module, extra = _LIBRARIES[runtime]
    started = time.perf_counter()
    try:
        importlib.import_module(module)
    except ImportError as error:
        if extra is None:
            raise MissingDependencyError(f"{module} is not installed: pip install {module}") from error
        raise MissingDependencyError.for_package(module, extra=extra, purpose=f"measure on {runtime}") from error
    return (time.perf_counter() - started) * 1e3


def _measure_runner(runner: Runner, job: RowJob, monitor: TegrastatsMonitor | None) -> dict[str, Any]:
    """Check and time an active runner."""
    spec = job.spec
    ir_bytes, vis_bytes = sample_pair(spec.batch, job.network_size)
    ir, vis = network_inputs(ir_bytes, vis_bytes)
    started = time.perf_counter()
    fused = runner.infer(ir, vis)
    first_ms = (time.perf_counter() - started) * 1e3
    check = _Check(job)
    deviation = check(fused)
    latest = _Latest(lambda: runner.infer(ir, vis))
    with NoiseMeter() as noise, metered(gpu_index=_gpu_index(spec.device), monitor=monitor) as energy:
        timing = time_calls(latest, job.budget, first_ms=first_ms)
    check(latest.result)
    frames = spec.batch * (timing.warmup_runs + len(timing.times_ms))
    resident = _time_resident(runner, job, ir, vis)
    frame = _time_frames(runner, job, fused)
    warnings = warnings_of(timing)
    if noise.noise.cause is not None:
        warnings.append(f"noisy machine: {noise.noise.cause}")
    return {
        "inference": asdict(Series.of(timing)),
        "resident": None if resident is None else asdict(Series.of(resident)),
        "frame": None if frame is None else asdict(Series.of(frame)),
        "deviation": None if deviation is None else asdict(deviation),
        "energy_joules": {source: joules / frames for source, joules in energy.joules.items()},
        "energy_note": energy.note,
        "noise": asdict(noise.noise),
        "warnings": warnings,
    }


class _Check:
    """Holds outputs of one row against its reference."""

    def __init__(self, job: RowJob) -> None:
        self._job = job
        self.reference = None if job.reference is None else np.load(job.reference)

    def __call__(self, fused: NDArray[Any]) -> Deviation | None:
        return check_output(
            fused,
            (self._job.spec.batch, 1, *self._job.network_size),
            reference=self.reference,
            reference_name=self._job.reference_name,
            precision=self._job.spec.precision,
        )


def _open_runner(job: RowJob) -> Runner:
    spec = job.spec
    if spec.runtime in ("torch", "torch-compile"):
        from edgefuse.bench.network import build_network, in_precision
        from edgefuse.runtime import TorchRunner

        network, _ = build_network(spec.subject)
        network = in_precision(network, spec.precision)
        return TorchRunner(network, device=_kind(spec), compile=spec.runtime == "torch-compile")
    if job.artifact is None:
        raise ArtifactError(f"{spec.runtime} has no file to load")
    trusted = spec.subject.trusted
    return create_runner(job.artifact, device=_kind(spec), threads=spec.threads, trust_engine=trusted)


def _kind(spec: RowSpec) -> Literal["cpu", "cuda"]:
    return "cpu" if spec.device == "cpu" else "cuda"


def _limit_threads(spec: RowSpec) -> None:
    import cv2

    cv2.setNumThreads(spec.threads)
    if spec.runtime in ("torch", "torch-compile"):
        import torch

        torch.set_num_threads(spec.threads)


def _time_resident(runner: Runner, job: RowJob, ir: NDArray[Any], vis: NDArray[Any]) -> Timing | None:
    """Time a PyTorch network with its tensors on the GPU; a CPU transfers nothing, so there is no such number."""
    from edgefuse.runtime import TorchRunner

    if job.spec.device == "cpu" or not isinstance(runner, TorchRunner):
        return None
    import torch

    network = torch.compile(runner.module) if job.spec.runtime == "torch-compile" else runner.module
    inputs = [torch.from_numpy(image).to(_kind(job.spec)) for image in (ir, vis)]

    def infer() -> None:
        with torch.inference_mode():
            network(*inputs)
        torch.cuda.synchronize()

    return time_calls(infer, job.budget)


def _time_frames(runner: Runner, job: RowJob, fused: NDArray[np.float32]) -> Timing | None:
    """Time whole frames, from 8-bit images to the fused one; they go one by one, so only for a batch of one."""
    if job.spec.batch != 1:
        return None
    from edgefuse.fuser import Fuser

    fuser = Fuser(runner)
    ir, vis = (images[0] for images in sample_pair(1, job.spec.imgsz))
    if job.spec.imgsz != job.network_size:
        fused = runner.infer(*fuser.prepare(ir, vis))
    expected = fuser.finish(fused, vis)
    latest = _Latest(lambda: fuser(ir, vis))
    started = time.perf_counter()
    latest()
    first_ms = (time.perf_counter() - started) * 1e3
    if first_ms > job.budget.seconds * 1e3:
        # The network is warm, and of one that takes seconds a single frame tells enough about what the images add.
        timing = Timing(first_ms=first_ms, warmup_runs=0, times_ms=(first_ms,), elapsed_seconds=first_ms / 1e3)
    else:
        timing = time_calls(latest, replace(job.budget, min_runs=1), first_ms=first_ms)
    # Rounding to 8 bits adds up to one grey level to what the network itself may vary.
    allowed = 255.0 * TOLERANCES[job.spec.precision] + 1.0
    worst = float(np.abs(latest.result.astype(np.int16) - expected).max())
    if worst > allowed:
        raise GateError(f"whole frames differ from the checked inference by up to {worst:.0f} grey levels")
    return timing


class _Latest:
    """A call that keeps what it returned last, so that the timed runs themselves can be checked."""

    def __init__(self, call: Callable[[], NDArray[Any]]) -> None:
        self._call = call
        self.result: NDArray[Any] = np.empty(0)

    def __call__(self) -> None:
        self.result = self._call()


def _gpu_index(device: str) -> int | None:
    kind, _, number = device.partition(":")
    return int(number or 0) if kind == "cuda" else None


def _torch_peak_bytes(spec: RowSpec) -> int | None:
    if spec.runtime not in ("torch", "torch-compile") or spec.device == "cpu":
        return None
    import torch

    return int(torch.cuda.max_memory_allocated())
