"""Timing of implementations: by the clock on the CPU, by device events on a GPU, with CUDA graphs and without."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch.autograd import DeviceType  # type: ignore[attr-defined]  # exported, but not named in __all__

from edgefuse.bench.measure import Budget, Timing, time_calls

__all__ = ["count_launches", "peak_bytes", "stored_bytes", "time_function", "time_graph"]

_FLUSH_BYTES = 256 << 20
"""Written before each timed run, as triton.testing.do_bench does: more than any GPU's L2 cache (B200: 126 MB)."""

_RUNS_IN_A_ROW = 20
"""Runs that are queued before the device is waited for."""


def time_function(function: Callable[[], object], device: torch.device, budget: Budget) -> Timing:
    """Time a function, again and again.

    On a GPU each run is timed between two events on the stream, after the L2 cache was written over: what a training
    step finds there was written by other kernels. The events resolve 0.5 microseconds. Launching goes on while the
    cache is written: only what takes longer to launch than that is timed with its launching.

    Args:
        function: What to time.
        device: Where it runs.
        budget: How long to measure.

    Returns:
        The raw times.
    """
    if device.type != "cuda":
        return time_calls(function, budget)
    flush = _l2_flush(device)
    start = time.perf_counter()
    (first_ms,) = _events_ms(function, flush, 1)
    warmup_runs = 1
    while time.perf_counter() - start < budget.warmup_seconds:
        function()
        warmup_runs += 1
    torch.cuda.synchronize(device)
    times: list[float] = []
    start = time.perf_counter()
    while not budget.is_spent(len(times), time.perf_counter() - start):
        times += _events_ms(function, flush, _RUNS_IN_A_ROW)
    return Timing(first_ms, warmup_runs, tuple(times), time.perf_counter() - start)


def _l2_flush(device: torch.device) -> Callable[[], object]:
    """What leaves nothing of the operands in the GPU's cache."""
    return torch.empty(_FLUSH_BYTES, dtype=torch.uint8, device=device).zero_


def _events_ms(function: Callable[[], object], flush: Callable[[], object], runs: int) -> list[float]:
    """Milliseconds of device time of some runs, each with a cold cache."""
    events = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(runs)]  # type: ignore[no-untyped-call]
    for before, after in events:
        flush()
        before.record()
        function()
        after.record()
    events[-1][1].synchronize()
    return [float(before.elapsed_time(after)) for before, after in events]


def time_graph(function: Callable[[], object], device: torch.device, budget: Budget) -> Timing:
    """Time a function as a captured CUDA graph, where launching costs next to nothing.

    Args:
        function: What to capture.
        device: The GPU.
        budget: How long to measure.

    Returns:
        The raw times of replays.
    """
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        for _ in range(3):
            function()
    torch.cuda.synchronize(device)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        function()
    return time_function(graph.replay, device, budget)


def count_launches(function: Callable[[], object], device: torch.device) -> int:
    """Count the kernels that a function launches on a GPU.

    Args:
        function: What to run.
        device: The GPU.

    Returns:
        Kernels; copies and fills by the copy engine are not counted.
    """
    function()
    torch.cuda.synchronize(device)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        function()
        torch.cuda.synchronize(device)
    names = [event.name for event in profile.events() if event.device_type == DeviceType.CUDA]
    return sum(not name.startswith(("Memcpy", "Memset")) for name in names)


def peak_bytes(function: Callable[[], object], device: torch.device) -> int:
    """Device memory that a function needs on top of what is allocated before it.

    Args:
        function: What to run.
        device: The GPU.

    Returns:
        The difference between the peak and the start.
    """
    torch.cuda.synchronize(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    function()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


def stored_bytes(function: Callable[[], object]) -> int:
    """Memory that a forward pass keeps for its backward pass, shared storage counted once.

    Args:
        function: Runs the forward pass.

    Returns:
        The bytes of all saved tensors.
    """
    storages: dict[int, int] = {}
    kept = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        kept.append(tensor)  # a freed storage's address could be given to the next
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        function()
    return sum(storages.values())
