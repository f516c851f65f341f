"""A long run of two simulated cameras: does anything grow, is anything dropped, how late are the pictures?

``python -m edgefuse.bench.bench_stream --duration 600 --save bench/results/stream.json`` runs 640×480 at 30 + 30 frames
a second on two cores, both camera processes included. It prints latencies of every stage after warm-up, drops by cause,
and what was held at every tenth of the time, and saves them with the machine. It exits with 1 where a queue or the
memory grew or a frame was dropped after warm-up.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgefuse.bench.formatting import markdown_table
from edgefuse.bench.machine import choose_cpus, describe_machine
from edgefuse.bench.noise import NoiseMeter
from edgefuse.bench.record import SCHEMA_VERSION, save_document
from edgefuse.fuser import load
from edgefuse.stream import CameraConfig, PairConfig, parse_uri
from edgefuse.stream.session import Session, StreamOptions
from edgefuse.wording import counted

__all__ = ["STREAM_COMMAND", "checks", "held", "long_run", "main", "stream_markdown", "stream_record"]

STREAM_COMMAND = "bench stream"

_WARMUP_SECONDS = 2.0
_SAMPLES = 40
_QUEUE_SLACK_FRAMES = 2.0
_MEMORY_SLACK_KIB = 8 << 10
"""What the memory of a run that leaks nothing was seen to waver: pages that allocators keep or give back."""

_UNUSED = frozenset({"ir_unused"})
"""No visible frame is lost by these: two free-running cameras drift, and an infrared frame finds no partner."""


def held() -> dict[str, int]:
    """What this process and those below it hold now: memory, threads, file descriptors (Linux)."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return {
        "rss_kib": int(fields["VmRSS"].split()[0]),
        "camera_rss_kib": sum(_rss_kib(child) for child in _children()),
        "threads": int(fields["Threads"]),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
    }


def _children() -> list[int]:
    """Processes that threads of this one started."""
    found = []
    for file in Path("/proc/self/task").glob("*/children"):
        found += [int(child) for child in file.read_text(encoding="utf-8").split()]
    return found


def _rss_kib(process: int) -> int:
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text(encoding="utf-8").split()[1])
    except OSError:  # it ended meanwhile
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") >> 10


def long_run(
    model: str, *, duration_seconds: float, size: tuple[int, int] = (480, 640), rate_hz: float = 30.0
) -> dict[str, Any]:
    """Run a stream of two simulated cameras.

    Args:
        model: Bundled model or path of a model file.
        duration_seconds: How long, from the end of warm-up on.
        size: Height and width of both cameras.
        rate_hz: Frames a second of both.

    Returns:
        The summary of the stream, with ``held``: samples over the run. Stages count from the end of warm-up on.
    """
    source = parse_uri(f"synthetic:?seed=1&size={size[1]}x{size[0]}&rate={rate_hz:g}")
    pair = PairConfig(CameraConfig("ir", source, profile_name="tlinear"), CameraConfig("vis", source))
    samples: list[dict[str, float]] = []
    with Session(pair, load(model), options=StreamOptions()) as session:
        watch = threading.Thread(target=_watch, args=(session, duration_seconds, samples), daemon=True)
        watch.start()
        summary = session.run()
        watch.join()
    return {**summary, "held": samples}


def _watch(session: Session, seconds: float, samples: list[dict[str, float]]) -> None:
    """The cameras draw their scene first: the time counts from the end of warm-up on."""
    while session.latest is None:
        time.sleep(0.05)
    time.sleep(_WARMUP_SECONDS)
    session.clear_stages()
    began = time.monotonic()
    while (elapsed := time.monotonic() - began) < seconds:
        samples.append({"seconds": elapsed, "queued": sum(session.status()["queued"].values()), **held()})
        time.sleep(seconds / _SAMPLES)
    samples.append({"seconds": elapsed, "queued": sum(session.status()["queued"].values()), **held()})
    session.stop()


def checks(run: Mapping[str, Any]) -> dict[str, bool]:
    """What the run was to show.

    Args:
        run: Result of :func:`long_run`.

    Returns:
        For each property whether it held.
    """
    samples = run["held"]
    quarter = max(1, len(samples) // 4)

    def growth(key: str) -> float:
        first, last = (
            statistics.median(item[key] for item in part) for part in (samples[:quarter], samples[-quarter:])
        )
        return float(last - first)

    dropped = {cause for cause in run["drops_after_warmup"] or {} if cause not in _UNUSED}
    return {
        "no visible frame dropped after warm-up": not dropped,
        "no growing queue": growth("queued") <= _QUEUE_SLACK_FRAMES,
        "memory flat": growth("rss_kib") + growth("camera_rss_kib") <= _MEMORY_SLACK_KIB,
        "threads and descriptors flat": growth("threads") <= 0 and growth("descriptors") <= 0,
        "no camera restarted": not any(camera["restarts"] for camera in run["cameras"].values()),
    }


def stream_record(
    model: str, *, seconds: float, size: tuple[int, int] = (480, 640), rate_hz: float = 30.0, cores: int = 2
) -> dict[str, Any]:
    """Run a stream on so many cores, the camera processes included, and write down how it went.

    Args:
        model: Bundled model or path of a model file.
        seconds: How long, from the end of warm-up on.
        size: Height and width of both cameras.
        rate_hz: Frames a second of both.
        cores: Cores for everything; this process stays on them.

    Returns:
        The record as JSON, ``checks`` among it.
    """
    chosen = choose_cpus(cores)
    os.sched_setaffinity(0, chosen)
    machine = describe_machine()
    before, began = os.times(), time.monotonic()
    with NoiseMeter() as meter:
        run = long_run(model, duration_seconds=seconds, size=size, rate_hz=rate_hz)
    after, elapsed = os.times(), time.monotonic() - began
    cameras = after.children_user + after.children_system - before.children_user - before.children_system
    other = meter.noise.other_cores
    return {
        "schema_version": SCHEMA_VERSION,
        "command": STREAM_COMMAND,
        "machine": dataclasses.asdict(machine),
        "settings": {
            "model": model,
            "seconds": seconds,
            "size": list(size),
            "rate_hz": rate_hz,
            "cores": len(chosen),
        },
        # The meter takes the cameras for strangers.
        "other_cores_busy": None if other is None else max(0.0, other - cameras / elapsed),
        "cores_used": (after.user + after.system - before.user - before.system + cameras) / elapsed,
        "checks": checks(run),
        "run": {key: value for key, value in run.items() if key != "held"},
        "rows": run["held"],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line.

    Args:
        arguments: Command line without the program's name; by default this process's.

    Returns:
        Exit code: 0 where every check held.
    """
    parser = argparse.ArgumentParser(prog="python -m edgefuse.bench.bench_stream", description=__doc__)
    parser.add_argument("--model", default="lite")
    parser.add_argument("--duration", type=float, default=600.0, help="seconds after warm-up")
    parser.add_argument("--cores", type=int, default=2, help="cores for everything, the cameras included")
    parser.add_argument("--save", type=Path, help="JSON file of the record")
    options = parser.parse_args(arguments)
    document = stream_record(options.model, seconds=options.duration, cores=options.cores)
    if options.save is not None:
        save_document(document, options.save)
    sys.stdout.write(stream_markdown(document))
    return 0 if all(document["checks"].values()) else 1


def stream_markdown(document: Mapping[str, Any]) -> str:
    """Write a record as a table and its notes.

    Args:
        document: What :func:`stream_record` returned, or the same read from JSON.

    Returns:
        Markdown, ending in a newline.
    """
    run, samples, settings = document["run"], document["rows"], document["settings"]
    names = {"total": "capture to fused picture", "pair": "capture to pair", "skew": "skew (absolute)"}
    rows = [
        [
            names.get(name, name),
            *(f"{stage[key]:.1f}" for key in ("p50_ms", "p90_ms", "p99_ms", "max_ms")),
            str(stage["count"]),
        ]
        for name, stage in run["stages"].items()
        if stage["count"]
    ]
    (height, width), rate = settings["size"], f"{settings['rate_hz']:g}"
    machine = document["machine"]
    notes = [
        f"{settings['model']}, {width}×{height} at {rate} + {rate} frames a second for {settings['seconds']:g} s on "
        f"{counted(settings['cores'], 'core')}, cameras included; ms from the end of warm-up on.",
        f"Drops: {_counts(run['drops'])}; after warm-up: {_counts(run['drops_after_warmup'] or {})}.",
        f"Resident memory: {_mib(samples[0])} MiB at the start, {_mib(samples[-1])} MiB at the end, cameras included. "
        f"Waiting frames: at most {max(item['queued'] for item in samples)}.",
        f"Cores busy: {document['cores_used']:.2f} by this, {_cores(document['other_cores_busy'])} by others.",
        "; ".join(f"{name}: {'yes' if held_true else 'NO'}" for name, held_true in document["checks"].items()) + ".",
        f"{machine['cpu']['name']}, {machine['utc'][:10]}, commit {machine['commit']}.",
    ]
    table = markdown_table(("stage", "p50", "p90", "p99", "largest", "frames"), rows)
    return "\n\n".join([table, *notes]) + "\n"


def _cores(busy: float | None) -> str:
    return "an unknown number" if busy is None else f"{busy:.2f}"


def _counts(drops: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {cause}" for cause, count in drops.items()) or "none"


def _mib(sample: Mapping[str, int]) -> int:
    return (sample["rss_kib"] + sample["camera_rss_kib"]) >> 10


if __name__ == "__main__":
    sys.exit(main())
