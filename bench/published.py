"""The cost tables of the papers, to be shown beside measured rows and never mixed with them."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["PublishedRow", "published_rows"]

_FILE = Path(__file__).with_name("published.toml")


@dataclass(frozen=True)
class PublishedRow:
    """One line of a paper's cost table; None where the paper has no value.

    Attributes:
        method: Name of the method.
        source: Paper and table.
        hardware: What it was measured on, as far as the paper says.
        imgsz: Height and width in pixels, if stated.
        load_ms: Loading the model.
        latency_ms: Mean inference time.
        flops: Operations of one inference, by a counter that the paper does not name.
        parameters: Learned numbers.
        size_bytes: Size of the model.
        peak_device_bytes: Peak GPU memory.
    """

    method: str
    source: str
    hardware: str
    imgsz: tuple[int, int] | None
    load_ms: float | None
    latency_ms: float | None
    flops: float | None
    parameters: float | None
    size_bytes: float | None
    peak_device_bytes: float | None


def published_rows() -> list[PublishedRow]:
    """The rows of AngularFuse's Table V and SSPFusion's Table 5.

    Returns:
        The rows in the order of the papers.
    """
    tables = tomllib.loads(_FILE.read_text(encoding="utf-8"))["tables"]
    return [_row(table, row) for table in tables for row in table["rows"]]


def _row(table: dict[str, Any], row: dict[str, Any]) -> PublishedRow:
    imgsz = table.get("imgsz")
    return PublishedRow(
        method=row["method"],
        source=f"{table['paper']}, {table['table']}" + (f" ({table['note']})" if "note" in table else ""),
        hardware=table["hardware"],
        imgsz=None if imgsz is None else (imgsz[0], imgsz[1]),
        load_ms=row.get("load_ms"),
        latency_ms=row.get("latency_ms"),
        flops=_scaled(row, "flops_g", 1e9),
        parameters=_scaled(row, "parameters", table["parameters_unit"]),
        size_bytes=_scaled(row, "size_mb", 1e6),
        peak_device_bytes=_scaled(row, "memory_mb", 1e6),
    )


def _scaled(row: dict[str, Any], name: str, unit: float) -> float | None:
    return row[name] * unit if name in row else None
