"""A record as CSV: every field of every row, in base units."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from edgefuse.bench.published import PublishedRow
from edgefuse.bench.record import Record, Row

__all__ = ["csv_text"]

_FIELDS = (
    "model",
    "runtime",
    "device",
    "precision",
    "batch",
    "height",
    "width",
    "threads",
    "status",
    "weights",
    "parameters",
    "macs",
    "flops",
    "size_bytes",
    "import_ms",
    "load_ms",
    "first_ms",
    "runs",
    "p50_ms",
    "p90_ms",
    "p99_ms",
    "mean_ms",
    "stdev_ms",
    "spread_ms",
    "min_ms",
    "max_ms",
    "resident_p50_ms",
    "frame_p50_ms",
    "frame_p90_ms",
    "frame_p99_ms",
    "frames_per_second",
    "peak_host_bytes",
    "baseline_host_bytes",
    "peak_device_bytes",
    "joules_per_frame",
    "max_abs_error",
    "other_cores",
)


def csv_text(record: Record, published: Sequence[PublishedRow]) -> str:
    """Write a record as CSV.

    Args:
        record: The record.
        published: Rows of papers to add; their status says so.

    Returns:
        The text; a cell is empty where there is no number.
    """
    stream = io.StringIO()
    writer = csv.DictWriter(stream, _FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_csv_row(row) for row in record.rows)
    for row in published:
        height, width = row.imgsz or (None, None)
        values = {
            "model": row.method,
            "runtime": "published",
            "device": row.hardware,
            "height": height,
            "width": width,
            "status": f"published in {row.source}",
            "parameters": row.parameters,
            "flops": row.flops,
            "size_bytes": row.size_bytes,
            "load_ms": row.load_ms,
            "mean_ms": row.latency_ms,
            "peak_device_bytes": row.peak_device_bytes,
        }
        writer.writerow(values)
    return stream.getvalue()


def _csv_row(row: Row) -> dict[str, object]:
    values: dict[str, object] = {name: getattr(row, name) for name in _FIELDS if name in Row.__dataclass_fields__}
    values.update(
        height=row.imgsz[0], width=row.imgsz[1], status="ok" if row.failed is None else f"failed: {row.failed}"
    )
    if row.inference is not None:
        summary = row.inference.summary
        values.update({name: getattr(summary, name) for name in _FIELDS if hasattr(summary, name)})
        values.update(first_ms=row.inference.first_ms, frames_per_second=row.frames_per_second)
    if row.resident is not None:
        values["resident_p50_ms"] = row.resident.summary.p50_ms
    if row.frame is not None:
        values.update({f"frame_{name}": getattr(row.frame.summary, name) for name in ("p50_ms", "p90_ms", "p99_ms")})
    values["joules_per_frame"] = sum(row.energy_joules.values()) or None
    values["max_abs_error"] = None if row.deviation is None else row.deviation.max_abs
    values["other_cores"] = None if row.noise is None else row.noise.other_cores
    return values
