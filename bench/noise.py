"""How much of the machine others used while something was measured."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Noise", "NoiseMeter"]

_STAT = Path("/proc/stat")
# Busy cores of other processes that a measurement on a few cores starts to feel.
_LOUD_CORES = 0.1
_LOUD_STEAL = 0.01


@dataclass(frozen=True)
class Noise:
    """What ran beside a measurement.

    Attributes:
        other_cores: Cores kept busy by other processes, in the mean; None where the system does not tell.
        stolen_cores: Cores that the hypervisor gave to other machines, in the mean.
    """

    other_cores: float | None
    stolen_cores: float | None

    @property
    def cause(self) -> str | None:
        """Who disturbed the measurement, if it was loud enough to matter."""
        if self.other_cores is not None and self.other_cores > _LOUD_CORES:
            return f"other processes kept {self.other_cores:.1f} cores busy"
        if self.stolen_cores is not None and self.stolen_cores > _LOUD_STEAL:
            return f"the host took {self.stolen_cores:.2f} cores away"
        return None


class NoiseMeter:
    """Compares what all processes used with what this one did; a context manager.

    Attributes:
        noise: The result, once the block has ended.
    """

    def __init__(self) -> None:
        self.noise = Noise(None, None)

    def __enter__(self) -> NoiseMeter:
        self._start = time.monotonic()
        self._system = _system_seconds()
        self._own = _own_seconds()
        return self

    def __exit__(self, *ended: object) -> None:
        system = _system_seconds()
        elapsed = time.monotonic() - self._start
        if system is None or self._system is None or elapsed <= 0:
            return
        own = _own_seconds() - self._own
        busy = system[0] - self._system[0]
        # The kernel counts in ticks of 10 ms, so the difference can fall a little below zero.
        self.noise = Noise(
            other_cores=max(0.0, (busy - own) / elapsed), stolen_cores=(system[1] - self._system[1]) / elapsed
        )


def _own_seconds() -> float:
    times = os.times()
    return times.user + times.system


def _system_seconds() -> tuple[float, float] | None:
    """Seconds of all cores, summed, in which processes ran, and those that the hypervisor took."""
    try:
        fields = _STAT.read_text().splitlines()[0].split()[1:]
    except OSError:
        return None
    user, nice, system, _idle, _iowait, irq, softirq, steal = (int(field) for field in fields[:8])
    ticks = float(os.sysconf("SC_CLK_TCK"))
    return (user + nice + system + irq + softirq) / ticks, steal / ticks
