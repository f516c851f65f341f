"""Choice among a few launch configurations of a kernel by timing them once a device and size."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager
from typing import Generic, TypeVar

import torch

__all__ = ["Tuner", "on_device"]

Config = TypeVar("Config")

_RUNS = 10  # of each configuration; the fastest counts, since what slows a run down is never the kernel


def on_device(device: torch.device) -> AbstractContextManager[object]:
    """Return a context in which kernels are launched on a device; none is needed where it is the current one."""
    if device.type != "cuda" or device.index == torch.cuda.current_device():
        return contextlib.nullcontext()
    return torch.cuda.device(device)


class Tuner(Generic[Config]):
    """Remembers the fastest of a fixed list of configurations for each device and key.

    Configurations must give the same result, or one equal within rounding. ``EDGEFUSE_AUTOTUNE=0`` turns timing off; it
    is also left out while a CUDA graph is being captured, when nothing may be timed.

    Args:
        configs: The configurations, the one to use without timing first.
    """

    def __init__(self, configs: Sequence[Config]) -> None:
        self.configs = tuple(configs)
        self._chosen: dict[Hashable, Config] = {}

    def pick(self, key: Hashable, device: torch.device, run: Callable[[Config], object]) -> Config:
        """Return the configuration for a key, timing all of them when it is new.

        Args:
            key: What the choice depends on beside the device, sizes rounded to classes.
            device: Where the kernel runs.
            run: Launches the kernel with a configuration.

        Returns:
            The fastest configuration, or the first where nothing can be timed.
        """
        if device.type != "cuda" or os.environ.get("EDGEFUSE_AUTOTUNE") == "0":
            return self.configs[0]
        full_key = (torch.cuda.get_device_name(device), key)
        if full_key not in self._chosen:
            with on_device(device):  # whose stream the events are recorded on
                if torch.cuda.is_current_stream_capturing():
                    return self.configs[0]
                self._chosen[full_key] = min(self.configs, key=lambda config: _fastest_ms(run, config))
        return self._chosen[full_key]


def _fastest_ms(run: Callable[[Config], object], config: Config) -> float:
    """Shortest of several runs, the first two discarded."""
    for _ in range(2):
        run(config)
    times: list[float] = []
    for _ in range(_RUNS):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        start.record()
        run(config)
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end))
    return min(times)
