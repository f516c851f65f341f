"""The status of a stream in the text format of Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["prometheus"]

_HELP = {
    "edgefuse_frames_total": ("counter", "Fused pictures."),
    "edgefuse_held_frames_total": ("counter", "Fused pictures with a held infrared frame."),
    "edgefuse_uptime_seconds": ("gauge", "Time since the start."),
    "edgefuse_healthy": ("gauge", "1 where pictures come and every camera and output works."),
    "edgefuse_dropped_total": ("counter", "Dropped frames by cause."),
    "edgefuse_camera_frames_total": ("counter", "Captured frames by camera."),
    "edgefuse_camera_up": ("gauge", "1 where a camera runs or is held by its shutter."),
    "edgefuse_camera_restarts_total": ("counter", "Restarts by camera and cause."),
    "edgefuse_queue_frames": ("gauge", "Waiting frames by camera."),
    "edgefuse_ir_age_seconds": ("gauge", "Age of the infrared picture that was fused last."),
    "edgefuse_stage_milliseconds": (
        "summary",
        "Duration of the stages; total is from capture to the finished picture.",
    ),
    "edgefuse_output_frames_total": ("counter", "Written pictures by output."),
    "edgefuse_output_failed": ("gauge", "1 where an output stopped with an error."),
}

Sample = tuple[str, dict[str, str], float]


def prometheus(status: dict[str, Any], *, healthy: bool) -> str:
    """Write a status as Prometheus reads it.

    Args:
        status: What ``Session.status`` gives.
        healthy: ``Session.healthy``.

    Returns:
        The exposition, version 0.0.4.
    """
    lines: list[str] = []
    named: set[str] = set()
    for name, labels, value in sorted(
        _samples(status, healthy), key=lambda sample: list(_HELP).index(_family(sample[0]))
    ):
        family = _family(name)
        if family not in named:
            named.add(family)
            kind, text = _HELP[family]
            lines += [f"# HELP {family} {text}", f"# TYPE {family} {kind}"]
        inside = ",".join(f'{key}="{_escape(text)}"' for key, text in labels.items())
        lines.append(f"{name}{{{inside}}} {value:g}" if inside else f"{name} {value:g}")
    return "\n".join(lines) + "\n"


def _family(name: str) -> str:
    return name.removesuffix("_count") if name.startswith("edgefuse_stage") else name


def _samples(status: dict[str, Any], healthy: bool) -> Iterator[Sample]:
    yield "edgefuse_frames_total", {}, status["frames"]
    yield "edgefuse_held_frames_total", {}, status["held_frames"]
    yield "edgefuse_uptime_seconds", {}, status["seconds"]
    yield "edgefuse_healthy", {}, float(healthy)
    for cause, count in status["drops"].items():
        yield "edgefuse_dropped_total", {"cause": cause}, count
    for role, camera in status["cameras"].items():
        yield "edgefuse_camera_frames_total", {"camera": role}, camera["frames"]
        yield "edgefuse_camera_up", {"camera": role}, float(camera["state"] in ("running", "held"))
        for cause, count in camera["restarts"].items():
            yield "edgefuse_camera_restarts_total", {"camera": role, "cause": cause}, count
    for role, count in status["queued"].items():
        yield "edgefuse_queue_frames", {"camera": role}, count
    if status["ir_age_ms"] is not None:
        yield "edgefuse_ir_age_seconds", {}, status["ir_age_ms"] / 1e3
    for stage, numbers in status["stages"].items():
        if not numbers["count"]:
            continue
        for quantile, key in (("0.5", "p50_ms"), ("0.9", "p90_ms"), ("0.99", "p99_ms")):
            yield "edgefuse_stage_milliseconds", {"stage": stage, "quantile": quantile}, numbers[key]
        yield "edgefuse_stage_milliseconds_count", {"stage": stage}, numbers["count"]
    for output in status["outputs"]:
        yield "edgefuse_output_frames_total", {"output": output["name"]}, output["written"]
        yield "edgefuse_output_failed", {"output": output["name"]}, float(output["error"] is not None)


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
