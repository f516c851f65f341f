"""Tables of a record: Markdown for people, CSV for spreadsheets, LaTeX for papers. The record itself is the JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from edgefuse.bench.csv_view import csv_text
from edgefuse.bench.formatting import (
    NOTHING,
    TEXT_COLUMNS,
    count,
    markdown_table,
    megabytes,
    milliseconds,
    significant,
    with_spread,
)
from edgefuse.bench.published import PublishedRow
from edgefuse.bench.record import Record, Row, Series
from edgefuse.bench.summary import FEW_RUNS
from edgefuse.wording import counted

__all__ = ["FORMATS", "Format", "render"]

Format = Literal["markdown", "csv", "latex"]
FORMATS: tuple[Format, ...] = get_args(Format)


# A longer reason is cut in its row and told in full under the table.
_LONGEST_CELL = 60


@dataclass(frozen=True)
class _Column:
    """One column: its heading and what it says of a measured or a published row."""

    heading: str
    measured: Callable[[Row], str]
    published: Callable[[PublishedRow], str] = lambda _row: NOTHING


def render(record: Record, view: Format = "markdown", *, published: Sequence[PublishedRow] = ()) -> str:
    """Write a record as a table.

    Args:
        record: The record.
        view: Kind of table.
        published: Rows of papers to add, marked as such.

    Returns:
        The text, ending in a newline.
    """
    if view == "csv":
        return csv_text(record, published)
    columns = _columns(record.rows, published)
    headings = [column.heading for column in columns]
    cells = [[column.measured(row) for column in columns] for row in record.rows]
    cells += [[column.published(row) for column in columns] for row in published]
    if view == "latex":
        return _latex(headings, cells, record)
    return "\n".join([markdown_table(headings, cells), *_notes(record, published)]) + "\n"


def _columns(rows: Sequence[Row], published: Sequence[PublishedRow]) -> list[_Column]:
    """The columns that have something to say about these rows."""
    columns = [
        _Column("model", lambda row: row.model, lambda row: row.method),
        _Column("runtime", _runtime, lambda row: f"published: {row.hardware}"),
        _Column("image", lambda row: _size(row.imgsz), lambda row: _size(row.imgsz)),
        _Column("params", lambda row: count(row.parameters), lambda row: count(row.parameters)),
        _Column("MACs", lambda row: _operations(row, row.macs)),
        _Column("FLOPs", lambda row: _operations(row, row.flops), lambda row: count(row.flops)),
        _Column("model MB", lambda row: megabytes(row.size_bytes), lambda row: megabytes(row.size_bytes)),
        _Column("load ms", lambda row: milliseconds(row.load_ms), lambda row: milliseconds(row.load_ms)),
        _Column(
            "p50 ms",
            _median,
            lambda row: NOTHING if row.latency_ms is None else f"{milliseconds(row.latency_ms)} (mean)",
        ),
        _Column("p90 ms", lambda row: _statistic(row.inference, "p90_ms")),
        _Column("p99 ms", _p99),
        _Column("no transfers, p50 ms", lambda row: _statistic(row.resident, "p50_ms")),
        _Column("frame p50 ms", lambda row: _statistic(row.frame, "p50_ms")),
        _Column("fps", lambda row: significant(row.frames_per_second)),
        _Column("peak MB", lambda row: megabytes(row.peak_host_bytes)),
        _Column(
            "GPU peak MB",
            lambda row: megabytes(row.peak_device_bytes),
            lambda row: megabytes(row.peak_device_bytes),
        ),
        _Column("J a frame", _energy),
    ]
    optional = {"no transfers, p50 ms", "GPU peak MB", "J a frame", "frame p50 ms"}

    def says_something(column: _Column) -> bool:
        texts = [column.measured(row) for row in rows] + [column.published(row) for row in published]
        return column.heading not in optional or any(text != NOTHING for text in texts)

    return [column for column in columns if says_something(column)]


def _runtime(row: Row) -> str:
    parts = [row.runtime]
    if row.device not in ("cpu", "cuda") or (row.device == "cuda" and row.runtime.startswith("torch")):
        parts.append(row.device)
    if row.precision != "fp32":
        parts.append(row.precision)
    if row.batch != 1:
        parts.append(f"batch {row.batch}")
    return " ".join(parts)


def _median(row: Row) -> str:
    if row.failed is not None:
        reason = row.failed if len(row.failed) <= _LONGEST_CELL else row.failed[: _LONGEST_CELL - 1].rstrip() + "…"
        return f"failed: {reason}"
    if row.inference is None:
        return NOTHING
    summary = row.inference.summary
    return with_spread(summary.p50_ms, summary.spread_ms)


def _p99(row: Row) -> str:
    text = _statistic(row.inference, "p99_ms")
    few = row.inference is not None and row.inference.summary.runs < FEW_RUNS
    return f"{text} *" if few else text


def _statistic(series: Series | None, name: str) -> str:
    return NOTHING if series is None else milliseconds(getattr(series.summary, name))


def _operations(row: Row, operations: int | None) -> str:
    """A count that misses operators is a lower bound."""
    text = count(operations)
    return f"≥ {text}" if operations is not None and row.uncounted else text


def _energy(row: Row) -> str:
    return ", ".join(f"{significant(joules)} ({source})" for source, joules in row.energy_joules.items()) or NOTHING


def _size(imgsz: tuple[int, int] | None) -> str:
    return NOTHING if imgsz is None else f"{imgsz[1]}×{imgsz[0]}"


def _notes(record: Record, published: Sequence[PublishedRow]) -> list[str]:
    """What the numbers were measured on and how to read them."""
    machine, settings = record.machine, record.settings
    lines = [
        "",
        f"Measured on {settings['machine_summary']}, {counted(settings['threads'], 'thread')}, {machine['utc'][:10]}",
    ]
    commit = machine.get("commit")
    if commit:
        lines[-1] += f", commit {commit[:12]}{' with changes' if machine.get('dirty') else ''}"
    lines[-1] += "."
    lines.append(
        "p50 ± half the distance from the 10th to the 90th percentile, of network input to network output; "
        "frame: two 8-bit images to the fused one. peak MB: memory of the row's own process."
    )
    if record.overhead is not None:
        lines.append(f"The harness itself takes {record.overhead.summary.p50_ms * 1e3:.2f} µs a run (no-op model).")
    if any(row.inference is not None and row.inference.summary.runs < FEW_RUNS for row in record.rows):
        lines.append(f"\\* fewer than {FEW_RUNS} runs: close to the slowest of them.")
    lines += [
        f"{row.model} on {_runtime(row)} at {_size(row.imgsz)} failed: {row.failed}"
        for row in record.rows
        if row.failed is not None and len(row.failed) > _LONGEST_CELL
    ]
    random = sorted({row.model for row in record.rows if (row.weights or "").startswith("random")})
    if random:
        lines.append(f"Untrained weights, which cost the same: {', '.join(random)}.")
    noisy = [(row, row.noise.cause) for row in record.rows if row.noise is not None and row.noise.cause is not None]
    if noisy:
        row, cause = noisy[-1]
        where = f"{row.model} on {row.runtime}"
        lines.append(
            f"Beware, a noisy machine: {len(noisy)} of {len(record.rows)} rows had company ({where}: {cause})."
        )
    missed = sorted({operator for row in record.rows for operator in row.uncounted})
    if missed:
        lines.append(f"≥: the count misses {', '.join(missed)}.")
    lines += sorted({f"No counts: {row.counts_note}." for row in record.rows if row.counts_note is not None})
    sources = sorted({row.source for row in published})
    if sources:
        lines.append(f"published: as printed, not measured here: {'; '.join(sources)}.")
    return lines


def _latex(headings: Sequence[str], rows: Sequence[Sequence[str]], record: Record) -> str:
    """A booktabs table."""
    columns = "".join("l" if heading in TEXT_COLUMNS else "r" for heading in headings)
    body = [" & ".join(_escape_latex(cell) for cell in row) + r" \\" for row in rows]
    return "\n".join(
        [
            f"% {record.settings['machine_summary']}, {record.machine['utc']}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            " & ".join(_escape_latex(heading) for heading in headings) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def _escape_latex(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    special.update({char: "\\" + char for char in "&%$#_{}"})
    special.update({"±": r"$\pm$", "×": r"$\times$", "≥": r"$\geq$", "–": "--", "µ": r"$\mu$"})
    return "".join(special.get(char, char) for char in text)
