"""Timing calls: warm-up outside the timed runs, repetition by time, every raw time kept."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass

from edgefuse.bench.summary import FEW_RUNS, Summary, summarize
from edgefuse.wording import counted

__all__ = ["Budget", "Timing", "time_calls", "warnings_of"]

# A first run this much slower than the median is worth a line: allocation, autotuning, lazily loaded kernels.
_SLOW_FIRST_RUN = 2.0
# Halves of one series that differ by more than this were not measured in one state of the machine.
_DRIFT = 0.05


@dataclass(frozen=True)
class Budget:
    """How long to measure.

    Attributes:
        seconds: Time to spend on timed runs.
        warmup_seconds: Time to spend on runs before them, the very first one included.
        min_runs: Timed runs to take even when they need longer than ``seconds``...
        max_seconds: ...but not longer than this, once there are as many as ``least_runs``...
        least_runs: ...which are taken however long they need, but for the last of them where the others took twice as
            long.
        max_runs: Timed runs to stop at.
    """

    seconds: float = 3.0
    warmup_seconds: float = 0.5
    min_runs: int = 10
    max_seconds: float = 30.0
    least_runs: int = 3
    max_runs: int = 2000

    def is_spent(self, runs: int, elapsed_seconds: float) -> bool:
        """Whether to stop after so many timed runs."""
        if runs >= self.max_runs:
            return True
        if runs >= self.min_runs:
            return elapsed_seconds >= self.seconds
        least = min(self.least_runs, self.min_runs)
        if elapsed_seconds >= 2 * self.max_seconds:
            least = max(1, least - 1)
        return runs >= least and elapsed_seconds >= self.max_seconds


@dataclass(frozen=True)
class Timing:
    """One series of timings.

    Attributes:
        first_ms: The very first run, before any warm-up.
        warmup_runs: Untimed runs right before the timed ones.
        times_ms: The timed runs, in order.
        elapsed_seconds: Time from the start of the first timed run to the end of the last.
    """

    first_ms: float
    warmup_runs: int
    times_ms: tuple[float, ...]
    elapsed_seconds: float

    @property
    def summary(self) -> Summary:
        """Statistics of the timed runs."""
        return summarize(self.times_ms)


def time_calls(call: Callable[[], object], budget: Budget, *, first_ms: float | None = None) -> Timing:
    """Time a call again and again.

    The call must have finished its work when it returns: whoever times a GPU synchronises inside. Garbage collection
    waits until the timed runs are over.

    Args:
        call: What to time.
        budget: How long to measure.
        first_ms: Time of the very first run, where it has been made just now.

    Returns:
        The raw times.
    """
    warmup_runs = 0
    if first_ms is None:
        first_ms, warmup_runs = _time_once(call), 1
    started = time.perf_counter() - first_ms / 1e3
    while time.perf_counter() - started < budget.warmup_seconds:
        call()
        warmup_runs += 1
    times_ms: list[float] = []
    gc.collect()
    was_collecting = gc.isenabled()
    gc.disable()
    try:
        started = time.perf_counter()
        while not budget.is_spent(len(times_ms), time.perf_counter() - started):
            times_ms.append(_time_once(call))
        elapsed_seconds = time.perf_counter() - started
    finally:
        if was_collecting:
            gc.enable()
    return Timing(
        first_ms=first_ms,
        warmup_runs=warmup_runs,
        times_ms=tuple(times_ms),
        elapsed_seconds=elapsed_seconds,
    )


def _time_once(call: Callable[[], object]) -> float:
    start = time.perf_counter_ns()
    call()
    return (time.perf_counter_ns() - start) / 1e6


def warnings_of(timing: Timing) -> list[str]:
    """What a reader of a series should know before trusting it.

    Args:
        timing: The series.

    Returns:
        One line each: few runs, outliers, drift, a slow first run.
    """
    summary = timing.summary
    notes = []
    if summary.runs < FEW_RUNS:
        notes.append(f"{counted(summary.runs, 'run')}: p99 is close to the slowest of them")
    if summary.outliers:
        notes.append(f"{summary.outliers} of {summary.runs} runs are outliers, the slowest {summary.max_ms:.2f} ms")
    if abs(summary.drift - 1.0) > _DRIFT and summary.runs >= 10:
        notes.append(f"the second half of the runs took {summary.drift:.2f} times as long as the first")
    if timing.first_ms > _SLOW_FIRST_RUN * summary.p50_ms:
        notes.append(f"the first run took {timing.first_ms:.1f} ms, {timing.first_ms / summary.p50_ms:.1f} medians")
    return notes
