"""Choosing a launch by timing, without a GPU to time on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from edgefuse.kernels import autotune
from edgefuse.kernels.autotune import Tuner


def test_timing_happens_on_the_device_of_the_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events are recorded on the stream of the current device, whichever device the kernel runs on."""
    entered: list[torch.device] = []

    @contextmanager
    def enter(device: torch.device) -> Iterator[None]:
        entered.append(device)
        yield
        entered.pop()

    def fastest_ms(run: object, config: str) -> float:
        del run
        timed.append((config, *entered))
        return float(len(config))

    timed: list[tuple[str | torch.device, ...]] = []
    monkeypatch.setattr(torch.cuda, "device", enter)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {device}")
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: not entered)
    monkeypatch.setattr(autotune, "_fastest_ms", fastest_ms)
    tuner, second = Tuner(("slow", "fast?", "ok")), torch.device("cuda:1")
    assert [tuner.pick("key", second, lambda _: None) for _ in range(2)] == ["ok", "ok"]
    assert timed == [("slow", second), ("fast?", second), ("ok", second)]
    assert entered == []
