"""Timing calls: what is timed, how often, and what is told about it. No test asserts a speed."""

from __future__ import annotations

import gc
import subprocess
import sys
import time

import pytest

from edgefuse.bench.measure import Budget, Timing, time_calls, warnings_of
from edgefuse.bench.noise import Noise, NoiseMeter


def make_timing(times_ms: list[float], *, first_ms: float = 1.0) -> Timing:
    """A series as it would have been measured."""
    return Timing(first_ms=first_ms, warmup_runs=1, times_ms=tuple(times_ms), elapsed_seconds=1.0)


def test_every_call_is_either_warm_up_or_timed() -> None:
    """The calls that were made are those that are reported."""
    calls = []
    timing = time_calls(lambda: calls.append(1), Budget(seconds=0.0, warmup_seconds=0.0, min_runs=7))
    assert timing.warmup_runs == 1
    assert len(timing.times_ms) == 7
    assert len(calls) == timing.warmup_runs + len(timing.times_ms)


def test_a_first_run_that_was_made_counts_as_warm_up() -> None:
    """Half a second of first run needs no more warm-up, and is reported as the first."""
    calls = []
    budget = Budget(seconds=0.0, warmup_seconds=0.5, min_runs=2)
    timing = time_calls(lambda: calls.append(1), budget, first_ms=500.0)
    assert (timing.first_ms, timing.warmup_runs, len(calls)) == (500.0, 0, 2)


def test_a_time_covers_the_whole_call() -> None:
    """A call that sleeps 2 ms cannot be timed as less."""
    timing = time_calls(lambda: time.sleep(0.002), Budget(seconds=0.0, warmup_seconds=0.0, min_runs=3))
    assert min(timing.times_ms) >= 2.0
    assert timing.elapsed_seconds * 1e3 >= sum(timing.times_ms)


@pytest.mark.parametrize(
    ("runs", "elapsed_seconds", "spent"),
    [
        pytest.param(10, 3.1, True, id="enough of both"),
        pytest.param(10, 2.9, False, id="time left"),
        pytest.param(9, 3.1, False, id="too few runs"),
        pytest.param(3, 31.0, True, id="three runs of a very slow model"),
        pytest.param(2, 31.0, False, id="no fewer than three"),
        pytest.param(2, 61.0, True, id="but two where they took twice as long"),
        pytest.param(1, 61.0, False, id="never one"),
        pytest.param(2000, 0.1, True, id="enough raw times"),
    ],
)
def test_the_budget_goes_by_time_and_runs(runs: int, elapsed_seconds: float, spent: bool) -> None:
    """Three seconds and ten runs, less of either only for very slow or very fast calls."""
    assert Budget().is_spent(runs, elapsed_seconds) is spent


def test_garbage_collection_waits_and_comes_back() -> None:
    """It is off while runs are timed, and back on after, also when the call fails."""
    states: list[bool] = []
    time_calls(lambda: states.append(gc.isenabled()), Budget(seconds=0.0, warmup_seconds=0.0, min_runs=2))
    assert states == [True, False, False]
    assert gc.isenabled()

    def fail_when_timed() -> None:
        if not gc.isenabled():
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        time_calls(fail_when_timed, Budget(seconds=0.0, warmup_seconds=0.0))
    assert gc.isenabled()


def test_a_quiet_long_series_has_no_warnings() -> None:
    """A hundred equal runs need no remark."""
    assert warnings_of(make_timing([1.0, 1.01] * 50)) == []


@pytest.mark.parametrize(
    ("timing", "expected"),
    [
        (make_timing([1.0, 1.01] * 5), "10 runs"),
        (make_timing([1.0, 1.01] * 50 + [9.0]), "1 of 101 runs are outliers"),
        (make_timing([1.0, 1.01] * 50 + [1.5, 1.51] * 50), "1.50 times as long"),
        (make_timing([1.0, 1.01] * 50, first_ms=40.0), "first run took 40.0 ms"),
    ],
)
def test_what_a_reader_should_know_is_said(timing: Timing, expected: str) -> None:
    """Few runs, outliers, drift and a slow first run each give their line."""
    (warning,) = warnings_of(timing)
    assert expected in warning


def test_another_busy_process_is_noticed() -> None:
    """A process that spins for half a second shows as a busy core of others."""
    spinner = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        with NoiseMeter() as meter:
            time.sleep(0.5)
    finally:
        spinner.kill()
        spinner.wait()
    if meter.noise.other_cores is None:
        pytest.skip("this system does not count processor time")
    assert meter.noise.other_cores > 0.1
    assert meter.noise.cause is not None


@pytest.mark.parametrize(
    ("noise", "expected"),
    [
        (Noise(0.8, 0.0), "other processes kept 0.8 cores busy"),
        (Noise(0.0, 0.2), "the host took 0.20 cores away"),
        (Noise(0.02, 0.0), None),
        (Noise(None, None), None),
    ],
)
def test_loud_neighbours_are_reported(noise: Noise, expected: str | None) -> None:
    """More than a tenth of a core of others, or a hundredth stolen, is worth a line."""
    assert noise.cause == expected
