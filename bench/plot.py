"""Pictures of a record: rows under the machine's roofs, and latency against quality."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgefuse.bench.record import Record, Row
from edgefuse.errors import InputError, MissingDependencyError

__all__ = ["RooflinePoint", "plot_quality", "plot_roofline", "read_scores", "roofline_points"]

_FIGURE_INCHES = (8.0, 5.0)


@dataclass(frozen=True)
class RooflinePoint:
    """One row under the roofs.

    Attributes:
        model: Label of its network.
        runtime: What ran it.
        label: What it is called in the legend.
        intensity: Operations a byte that its graph moves when nothing is fused.
        flops_per_second: Operations over the median inference.
    """

    model: str
    runtime: str
    label: str
    intensity: float
    flops_per_second: float


def roofline_points(record: Record) -> list[RooflinePoint]:
    """Where the rows on the CPU stand under its roofs.

    Args:
        record: The record; rows without counts or numbers, and rows on a GPU, are left out.

    Returns:
        One point a row.
    """
    return [
        RooflinePoint(
            model=row.model,
            runtime=row.runtime,
            label=f"{row.model}, {row.runtime}, {row.imgsz[1]}×{row.imgsz[0]}",
            intensity=row.flops / row.moved_bytes,
            flops_per_second=row.flops / (row.inference.summary.p50_ms / 1e3),
        )
        for row in record.rows
        if row.device == "cpu" and row.inference is not None and row.flops and row.moved_bytes
    ]


def plot_roofline(record: Record, path: Path) -> None:
    """Draw the rows on the CPU under its roofs.

    Args:
        record: The record, measured with its roofs.
        path: Picture to write; its suffix chooses the format.

    Raises:
        InputError: The record has no roofs, or no row can be drawn.
        MissingDependencyError: matplotlib is not installed.
    """
    roofs = record.settings.get("roofs")
    points = roofline_points(record)
    if roofs is None or not points:
        raise InputError("nothing to draw: no row on the CPU has both operations and a latency")
    figure, axes = _figure()
    peak, bandwidth = roofs["flops_per_second"], roofs["bytes_per_second"]
    ridge = peak / bandwidth
    lowest = min(ridge, *(point.intensity for point in points)) / 4
    highest = max(ridge, *(point.intensity for point in points)) * 4
    axes.plot([lowest, ridge, highest], [lowest * bandwidth / 1e9, peak / 1e9, peak / 1e9], color="black")
    above = {"textcoords": "offset points", "xytext": (4, 6)}
    axes.annotate(f"{bandwidth / 1e9:.0f} GB/s copying", (lowest, lowest * bandwidth / 1e9), **above, ha="left")
    axes.annotate(f"{peak / 1e9:.0f} GFLOP/s in matrix products", (highest, peak / 1e9), **above, ha="right")
    style = _Styles()
    for point in points:
        axes.plot(
            point.intensity, point.flops_per_second / 1e9, **style.of(point.model, point.runtime), label=point.label
        )
    axes.set(xscale="log", yscale="log", xlabel="FLOPs a byte moved, nothing fused", ylabel="GFLOP/s")
    axes.set_title(record.settings["machine_summary"], fontsize="medium")
    axes.legend(fontsize="small")
    _save(figure, path)


def read_scores(path: Path, metric: str) -> dict[str, float]:
    """Mean scores of methods from what ``edgefuse eval`` wrote.

    Args:
        path: Its ``study.json``, or what its ``--json`` printed.
        metric: Name of a metric in it.

    Returns:
        The score of each method that has one.

    Raises:
        InputError: The file is no such result, or has not the metric.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        means = {item["name"]: item["means"] for item in document["methods"]}
    except OSError as error:
        raise InputError(f"{path}: cannot read the scores ({error.strerror})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a result of edgefuse eval") from error
    scores = {name: values[metric] for name, values in means.items() if values.get(metric) is not None}
    if not scores:
        known = sorted({name for values in means.values() for name in values})
        raise InputError(f"{path}: no {metric} in it; it has {', '.join(known)}")
    return scores


def plot_quality(record: Record, quality: Mapping[str, float], path: Path, *, metric: str) -> None:
    """Draw latency against quality, one point a row.

    Args:
        record: The record.
        quality: A score of each model, by its label; rows of other models are left out.
        path: Picture to write; its suffix chooses the format.
        metric: Name of the score.

    Raises:
        InputError: No row has both a latency and a score.
        MissingDependencyError: matplotlib is not installed.
    """
    rows = [row for row in record.rows if row.inference is not None and row.model in quality]
    if not rows:
        raise InputError(
            f"nothing to draw: no measured model has a {metric}; scores are there for {', '.join(quality)}"
        )
    figure, axes = _figure()
    style = _Styles()
    for row in rows:
        _draw_latency(axes, row, quality[row.model], style)
    axes.set(xscale="log", xlabel="ms an inference (median, 10th to 90th percentile)", ylabel=metric)
    axes.set_title(record.settings["machine_summary"], fontsize="medium")
    axes.legend(fontsize="small")
    _save(figure, path)


class _Styles:
    """One colour a model and one marker a runtime."""

    def __init__(self) -> None:
        self._models: list[str] = []
        self._runtimes: list[str] = []

    def of(self, model: str, runtime: str) -> dict[str, str]:
        """Colour and marker of a row."""
        for name, seen in ((model, self._models), (runtime, self._runtimes)):
            if name not in seen:
                seen.append(name)
        marker = "osD^vPX*"[self._runtimes.index(runtime) % 8]
        return {"color": f"C{self._models.index(model) % 10}", "marker": marker, "linestyle": "none"}


def _draw_latency(axes: Any, row: Row, score: float, style: _Styles) -> None:
    if row.inference is None:
        return
    summary = row.inference.summary
    label = f"{row.model}, {row.runtime}, {row.imgsz[1]}×{row.imgsz[0]}"
    axes.errorbar(summary.p50_ms, score, xerr=summary.spread_ms, **style.of(row.model, row.runtime), label=label)


def _figure() -> tuple[Any, Any]:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError.for_package("matplotlib", extra="train", purpose="draw pictures") from error
    figure = Figure(figsize=_FIGURE_INCHES, layout="constrained")
    return figure, figure.subplots()


def _save(figure: Any, path: Path) -> None:
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot write the picture {path}: {error}") from error
