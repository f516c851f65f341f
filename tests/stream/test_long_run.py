"""The long run on a short leash: what must not grow does not grow."""

from __future__ import annotations

from pathlib import Path

from edgefuse.bench.bench_stream import long_run


def test_nothing_grows_while_a_stream_runs(average_model: Path) -> None:
    """Threads and file descriptors stay, queues are bounded, every visible frame is fused or counted."""
    result = long_run(str(average_model), duration_seconds=6.0, size=(48, 64), rate_hz=20.0)
    first, last = result["held"][1], result["held"][-1]
    assert last["threads"] <= first["threads"] + 1
    assert last["descriptors"] <= first["descriptors"] + 1
    assert max(sample["queued"] for sample in result["held"]) <= 72
    dropped = sum(count for cause, count in result["drops"].items() if cause not in ("ir_unused", "ir_ring_full"))
    waiting = result["cameras"]["vis"]["frames"] - result["frames"] - dropped
    assert 0 <= waiting <= 9
