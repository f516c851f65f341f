"""Tables of a record: Markdown, CSV and LaTeX, and two records compared."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from edgefuse.bench.comparison import compare_records, comparison_dict, comparison_markdown
from edgefuse.bench.formatting import count, markdown_table, megabytes, significant, with_spread
from edgefuse.bench.noise import Noise
from edgefuse.bench.published import published_rows
from edgefuse.bench.record import Record, Row, Series
from edgefuse.bench.views import render


def make_row(model: str = "lite", runtime: str = "ort", *, ms: float = 10.0, **fields: Any) -> Row:
    """A row that took ``ms`` in the median, with a tenth of spread."""
    times = tuple(ms * (0.9 + 0.002 * index) for index in range(101))
    values: dict[str, Any] = {
        "device": "cpu",
        "precision": "fp32",
        "batch": 1,
        "imgsz": (480, 640),
        "threads": 2,
        "parameters": 72_074,
        "macs": 32_000_000_000,
        "flops": 64_400_000_000,
        "size_bytes": 301_536,
        "load_ms": 12.34,
        "inference": Series(first_ms=ms, warmup_runs=1, times_ms=times),
        "peak_host_bytes": 123_456_789,
        **fields,
    }
    return Row(model=model, runtime=runtime, **values)


def make_record(*rows: Row, **machine: Any) -> Record:
    """A record of these rows on some machine."""
    description = {
        "utc": "2026-01-02T03:04:05+00:00",
        "commit": "0123456789abcdef",
        "dirty": False,
        "cpu": {"name": "A CPU"},
        "gpus": [],
        "power_mode": None,
        "versions": {"torch": "2.13.0"},
        **machine,
    }
    overhead = Series(first_ms=0.1, warmup_runs=1, times_ms=(0.0002, 0.0002, 0.0003))
    settings = {"threads": 2, "machine_summary": "A CPU (2 cores)"}
    return Record(machine=description, settings=settings, overhead=overhead, rows=rows)


def cells(markdown: str) -> list[list[str]]:
    """The cells of a Markdown table's rows, headings first, rule left out."""
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    table = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [table[0], *table[2:]]


def test_a_row_says_what_it_measured_in_units() -> None:
    """Parameters, operations, size, median with spread, percentiles, frames a second and memory."""
    headings, row = cells(render(make_record(make_row())))
    said = dict(zip(headings, row, strict=True))
    assert said == {
        "model": "lite",
        "runtime": "ort",
        "image": "640×480",
        "params": "72.07 K",
        "MACs": "32.00 G",
        "FLOPs": "64.40 G",
        "model MB": "0.302",
        "load ms": "12.3",
        "p50 ms": "10.0 ± 0.8",
        "p90 ms": "10.8",
        "p99 ms": "11.0",
        "fps": "100",
        "peak MB": "123",
    }


def test_a_failed_row_says_why_and_the_others_stay() -> None:
    """No number stands in a failed row's timings, and never NaN."""
    text = render(make_record(make_row(), make_row(runtime="ort-cuda", failed="no CUDA", inference=None)))
    _, first, second = cells(text)
    assert "10.0 ± 0.8" in first
    assert "failed: no CUDA" in second
    assert "nan" not in text.lower()


def test_a_long_reason_is_cut_in_the_row_and_told_in_full_below() -> None:
    """The table stays readable and nothing is lost."""
    reason = "the file does not fit: " + "x" * 100
    text = render(make_record(make_row(failed=reason, inference=None)))
    assert "x" * 100 not in cells(text)[1][8]
    assert f"lite on ort at 640×480 failed: {reason}" in text


def test_what_makes_a_row_special_is_in_its_name() -> None:
    """Precision, batch and a numbered device are shown where they are not the default."""
    row = make_row(runtime="torch", device="cuda:1", precision="fp16", batch=4)
    assert "torch cuda:1 fp16 batch 4" in render(make_record(row))


def test_notes_tell_machine_overhead_and_doubts() -> None:
    """Commit, harness overhead, few runs, random weights, noise and missing counts each get their line."""
    row = make_row(
        weights="random, seed 0",
        noise=Noise(other_cores=1.5, stolen_cores=0.0),
        uncounted={"Strange": 2},
        inference=Series(first_ms=1.0, warmup_runs=1, times_ms=(1.0, 1.1)),
    )
    text = render(make_record(row))
    assert "A CPU (2 cores), 2 threads, 2026-01-02, commit 0123456789ab." in text
    assert "0.20 µs a run" in text
    assert "fewer than 100 runs" in text
    assert "Untrained weights, which cost the same: lite" in text
    assert "other processes kept 1.5 cores busy" in text
    assert "the count misses Strange" in text
    assert "≥ 64.40 G" in text
    assert "No counts: onnx is missing." in render(make_record(make_row(flops=None, counts_note="onnx is missing")))


def test_published_rows_are_marked_with_their_hardware() -> None:
    """A paper's row cannot be mistaken for a measured one."""
    published = [row for row in published_rows() if row.method == "AngularFuse"]
    headings, _, row = cells(render(make_record(make_row()), published=published))
    said = dict(zip(headings, row, strict=True))
    assert said["runtime"] == "published: RTX 3090"
    assert said["p50 ms"] == "26.4 (mean)"
    assert said["params"] == "1.623 M"
    assert said["peak MB"] == "–"


def test_csv_has_every_row_in_base_units() -> None:
    """Spreadsheets get plain numbers, failures in words, papers' rows as such."""
    record = make_record(make_row(), make_row(runtime="ort-cuda", failed="no CUDA", inference=None))
    rows = list(csv.DictReader(io.StringIO(render(record, "csv", published=published_rows()))))
    assert [row["status"] for row in rows[:2]] == ["ok", "failed: no CUDA"]
    assert float(rows[0]["p50_ms"]) == pytest.approx(10.0)
    assert int(rows[0]["flops"]) == 64_400_000_000
    assert rows[1]["p50_ms"] == ""
    assert {row["runtime"] for row in rows[2:]} == {"published"}


def test_latex_is_escaped_and_complete() -> None:
    """Special characters of names do not end the table."""
    text = render(make_record(make_row(model="a_b & 50%")), "latex")
    assert r"a\_b \& 50\%" in text
    assert text.count(r"\\") == 2
    assert r"10.0 $\pm$ 0.8" in text
    assert text.index(r"\begin{tabular}{llrr") < text.index(r"\end{tabular}")


def test_a_markdown_table_lines_up() -> None:
    """Every line is as long as the others, and a pipe inside a cell does not split it."""
    table = markdown_table(["model", "x"], [["a|b", "1"], ["longer name", "100"]])
    assert len({len(line) for line in table.splitlines()}) == 1
    assert r"a\|b" in table


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0, "0"), (999, "999"), (72_074, "72.07 K"), (1_623_000, "1.623 M"), (1.332e12, "1332 G")],
)
def test_counts_are_short(value: float | None, text: str) -> None:
    """Four digits and a unit."""
    assert count(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (0.0, "0"), (0.01234, "0.0123"), (1.234, "1.23"), (123.4, "123"), (1234.5, "1234")]
)
def test_numbers_keep_three_digits(value: float | None, text: str) -> None:
    """Small ones in decimals, large ones whole."""
    assert significant(value) == text
    assert megabytes(None if value is None else value * 1e6) == text


@pytest.mark.parametrize(
    ("value", "spread", "text"),
    [
        (10.0, 0.8, "10.0 ± 0.8"),
        (10.0, 0.004, "10.000 ± 0.004"),
        (1234.5, 20.0, "1234 ± 20"),
        (5.0, 0.0, "5.00 ± 0.00"),
    ],
)
def test_a_spread_is_never_rounded_away(value: float, spread: float, text: str) -> None:
    """The number gets as many decimals as its uncertainty needs."""
    assert with_spread(value, spread) == text


def test_a_ratio_is_shown_with_its_spread_and_judged_by_it() -> None:
    """Twice as fast is faster; one per cent inside a tenth of spread is nothing."""
    old = make_record(make_row("a", ms=20.0), make_row("b", ms=10.0), make_row("c", ms=10.0))
    new = make_record(make_row("a", ms=10.0), make_row("b", ms=10.1), make_row("c", ms=30.0))
    verdicts = {pair.new.model: pair.verdict for pair in compare_records(old, new)}
    assert verdicts == {"a": "faster", "b": "same within the spread", "c": "slower"}
    assert "2.00 ± 0.23" in comparison_markdown(old, new)
    assert [row["verdict"] for row in comparison_dict(old, new)] == list(verdicts.values())


def test_a_comparison_tells_what_else_changed() -> None:
    """Another processor, other versions, and rows that only one record has."""
    old = make_record(make_row("a"), make_row("gone"))
    new = make_record(make_row("a"), make_row("added"), cpu={"name": "B CPU"}, versions={"torch": "2.14.0"})
    text = comparison_markdown(old, new)
    assert "Another processor: A CPU, now B CPU." in text
    assert "torch 2.13.0, now 2.14.0" in text
    assert "Only before: gone ort 640×480." in text
    assert "Only now: added ort 640×480." in text


def test_a_failure_has_no_ratio() -> None:
    """A row that fails now, or failed before, is named as such."""
    good, bad = make_record(make_row()), make_record(make_row(failed="broken", inference=None))
    assert [pair.verdict for pair in compare_records(good, bad)] == ["failed"]
    assert [pair.verdict for pair in compare_records(bad, good)] == ["failed before"]
    assert comparison_dict(good, bad)[0]["ratio"] is None
