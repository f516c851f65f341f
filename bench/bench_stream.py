"""A long run of two simulated cameras: does anything grow, is anything dropped, how late are the pictures?

``python -m edgefuse.bench.bench_stream --duration 600`` runs 640×480 at 30 + 30 frames a second and prints one JSON
document: latencies of every stage, drops after warm-up, and what the process held after each tenth of the time.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

from edgefuse.fuser import load
from edgefuse.stream import CameraConfig, PairConfig, parse_uri
from edgefuse.stream.session import Session, StreamOptions

__all__ = ["held", "long_run", "main"]


def held() -> dict[str, int]:
    """What this process holds now: memory, threads, file descriptors (Linux)."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return {
        "rss_kib": int(fields["VmRSS"].split()[0]),
        "threads": int(fields["Threads"]),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
    }


def long_run(
    model: str, *, duration_seconds: float, size: tuple[int, int] = (480, 640), rate_hz: float = 30.0
) -> dict[str, Any]:
    """Run a stream of two simulated cameras.

    Args:
        model: Bundled model or path of a model file.
        duration_seconds: How long, from the first picture on.
        size: Height and width of both cameras.
        rate_hz: Frames a second of both.

    Returns:
        The summary of the stream, with ``held``: samples over the run, and ``load_before``: the machine's load average.
    """
    source = parse_uri(f"synthetic:?seed=1&size={size[1]}x{size[0]}&rate={rate_hz:g}")
    pair = PairConfig(CameraConfig("ir", source, profile_name="tlinear"), CameraConfig("vis", source))
    load_before = Path("/proc/loadavg").read_text(encoding="utf-8").split()[:3]
    samples: list[dict[str, float]] = []
    with Session(pair, load(model), options=StreamOptions()) as session:
        threading.Thread(target=_stop_after, args=(session, duration_seconds), daemon=True).start()

        def sample(status: dict[str, Any]) -> None:
            if status["frames"] and status["seconds"] >= len(samples) * duration_seconds / 10:
                queued = sum(status["queued"].values())
                samples.append({"seconds": status["seconds"], "queued": queued, **held()})

        summary = session.run(sample)
    return {**summary, "held": samples, "load_before": load_before}


def _stop_after(session: Session, seconds: float) -> None:
    """The cameras draw their scene first: the time counts from the first picture."""
    while session.latest is None:
        time.sleep(0.05)
    time.sleep(seconds)
    session.stop()


def main() -> None:
    """Run from the command line and print the result as JSON."""
    parser = argparse.ArgumentParser(description="Run two simulated cameras for long.")
    parser.add_argument("--model", default="lite")
    parser.add_argument("--duration", type=float, default=600.0, help="seconds")
    arguments = parser.parse_args()
    json.dump(long_run(arguments.model, duration_seconds=arguments.duration), sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
