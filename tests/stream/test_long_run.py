"""The long run on a short leash: what must not grow does not grow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgefuse.bench.bench_stream import checks, long_run


def test_nothing_grows_while_a_stream_runs(average_model: Path) -> None:
    """Threads and file descriptors stay, queues are bounded, every visible frame is fused or counted."""
    result = long_run(str(average_model), duration_seconds=6.0, size=(48, 64), rate_hz=20.0)
    first, last = result["held"][1], result["held"][-1]
    assert last["threads"] <= first["threads"] + 1
    assert last["descriptors"] <= first["descriptors"] + 1
    assert max(sample["queued"] for sample in result["held"]) <= 72
    dropped = sum(count for cause, count in result["drops"].items() if cause not in ("ir_unused", "ir_ring_full"))
    assert result["stages"]["total"]["count"] <= result["frames"]
    waiting = result["cameras"]["vis"]["frames"] - result["frames"] - dropped
    assert 0 <= waiting <= 9


@pytest.mark.parametrize(
    ("change", "failing"),
    [
        ({}, None),
        ({"queued": 1}, "no growing queue"),
        ({"rss_kib": 2000}, "memory flat"),
        ({"camera_rss_kib": 2000}, "memory flat"),
        ({"descriptors": 1}, "threads and descriptors flat"),
    ],
)
def test_what_grows_by_a_little_each_time_is_found(change: dict[str, int], failing: str | None) -> None:
    """And nothing else is blamed for it."""
    keys = ("queued", "rss_kib", "camera_rss_kib", "threads", "descriptors")
    samples = [{key: 1000 + change.get(key, 0) * number for key in keys} for number in range(40)]
    run: dict[str, Any] = {"held": samples, "drops_after_warmup": {"ir_unused": 3}, "cameras": {"ir": {"restarts": {}}}}
    assert [name for name, fine in checks(run).items() if not fine] == ([] if failing is None else [failing])


def test_a_dropped_frame_and_a_restarted_camera_are_found() -> None:
    """A drop during warm-up is none."""
    samples = [dict.fromkeys(("queued", "rss_kib", "camera_rss_kib", "threads", "descriptors"), 1)] * 8
    run = {"held": samples, "drops_after_warmup": {"skew": 1}, "cameras": {"ir": {"restarts": {"stalled": 1}}}}
    assert [name for name, fine in checks(run).items() if not fine] == [
        "no visible frame dropped after warm-up",
        "no camera restarted",
    ]
