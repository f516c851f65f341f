"""The papers' cost tables, held against the papers' text."""

from __future__ import annotations

import re
from pathlib import Path

from edgefuse.bench.published import PublishedRow, published_rows


def numbers_in(line: str) -> list[float]:
    """The numbers of a printed table row; a k or K behind one is a thousand."""
    found = re.findall(r"(?<![\w.\[-])(\d+(?:\.\d+)?)([kK]?)(?![\w\]])", line)
    return [float(number) * (1000.0 if thousand else 1.0) for number, thousand in found]


def printed(row: PublishedRow, *, parameters_unit: float) -> list[float]:
    """The numbers of a row as its paper prints them, in the paper's order of columns."""
    time_first = (row.load_ms, row.latency_ms, row.flops and row.flops / 1e9, row.parameters and row.parameters / 1e3)
    memory = (row.size_bytes and row.size_bytes / 1e6, row.peak_device_bytes and row.peak_device_bytes / 1e6)
    if parameters_unit == 1e6:
        values: tuple[float | None, ...] = (row.parameters and row.parameters / 1e6, row.latency_ms)
    else:
        values = (*time_first, *memory)
    return [value for value in values if value is not None]


def test_every_row_stands_in_its_paper(shared: Path) -> None:
    """Method and numbers of each row are on one line of the paper's table, and no line of it is missing."""
    tables = {
        "AngularFuse": ("angularfuse.txt", "Params (M)", 9, 1e6),
        "SSPFusion": ("sspfusion.txt", "Load Time (ms)", 20, 1e3),
    }
    for paper, (file, heading, length, unit) in tables.items():
        text = (shared / "papers" / file).read_text()
        lines = text[text.index(heading) :].splitlines()[1:length]
        ours = [row for row in published_rows() if row.source.startswith(paper)]
        assert len(lines) == len(ours)
        for line, row in zip(lines, ours, strict=True):
            name = "Ours" if row.method == paper else row.method
            assert name in line
            assert [round(value, 6) for value in numbers_in(line)] == [
                round(value, 6) for value in printed(row, parameters_unit=unit)
            ], line


def test_rows_state_hardware_and_source() -> None:
    """What is not said in the paper is not made up: AngularFuse gives no image size."""
    rows = published_rows()
    assert all(row.hardware and row.source for row in rows)
    assert {row.imgsz for row in rows if row.source.startswith("AngularFuse")} == {None}
    assert {row.imgsz for row in rows if row.source.startswith("SSPFusion")} == {(480, 640), (256, 256)}
