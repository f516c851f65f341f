"""Tables between markers: written from the saved records, and the project's own agree with theirs."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgefuse.bench.__main__ import main
from edgefuse.bench.readme import fill_tables, stale_tables, table_of
from edgefuse.bench.record import Record, Row, Series
from edgefuse.errors import ArtifactError

DOCUMENT = """# Title

<!-- bench:cpu -->
old
<!-- /bench -->

Text between.

<!-- bench:cpu -->
<!-- /bench -->
End.
"""


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A folder with one record, ``cpu.json``."""
    row = Row("lite", "ort", "cpu", "fp32", 1, (480, 640), 2, inference=Series(1.0, 1, (1.0, 1.1)))
    machine = {"utc": "2026-01-02T03:04:05+00:00", "commit": None, "dirty": None}
    settings = {"threads": 2, "machine_summary": "A CPU (2 cores)"}
    Record(machine=machine, settings=settings, overhead=None, rows=(row,)).save(tmp_path / "cpu.json")
    return tmp_path


def test_every_marked_table_is_written_and_the_rest_is_kept(results: Path) -> None:
    """The text around the markers stays to the byte, and filling again changes nothing."""
    filled = fill_tables(DOCUMENT, results)
    table = table_of(results / "cpu.json")
    assert filled.count(table) == 2
    assert filled.replace(table, "") == DOCUMENT.replace("old\n", "")
    assert fill_tables(filled, results) == filled


def test_a_table_that_differs_from_its_record_is_stale(results: Path) -> None:
    """One changed digit is noticed."""
    filled = fill_tables(DOCUMENT, results)
    assert stale_tables(DOCUMENT, results) == ["cpu", "cpu"]
    assert stale_tables(filled, results) == []
    assert stale_tables(filled.replace("1.05", "1.04", 1), results) == ["cpu"]


def test_a_marker_without_an_end_or_a_record_is_an_error(results: Path) -> None:
    """Neither is passed over in silence."""
    with pytest.raises(ArtifactError, match=r"1 of 2 .* have no"):
        fill_tables(DOCUMENT.replace("<!-- /bench -->\nEnd", "End"), results)
    with pytest.raises(ArtifactError, match=r"gpu\.json: cannot read"):
        fill_tables("<!-- bench:gpu -->\n<!-- /bench -->", results)
    (results / "other.json").write_text('{"command": "fuse"}')
    with pytest.raises(ArtifactError, match="'fuse', of which there is no table"):
        table_of(results / "other.json")


def test_the_command_writes_and_checks(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``--check`` fails on a stale document and changes nothing; without it the document is written."""
    path = results / "README.md"
    path.write_text(DOCUMENT)
    assert main(["readme", str(path), "--results", str(results), "--check"]) == 1
    assert "cpu" in capsys.readouterr().err
    assert path.read_text() == DOCUMENT
    assert main(["readme", str(path), "--results", str(results)]) == 0
    assert main(["readme", str(path), "--results", str(results), "--check"]) == 0


def test_the_command_says_what_is_wrong(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing record is one line and exit code 1."""
    path = results / "README.md"
    path.write_text("<!-- bench:gpu -->\n<!-- /bench -->\n")
    assert main(["readme", str(path), "--results", str(results)]) == 1
    assert capsys.readouterr().err.startswith("error: ")


def test_the_projects_tables_agree_with_their_records(repository: Path) -> None:
    """README.md and docs/bench.md show what bench/results holds, to the digit."""
    for name in ("README.md", "docs/bench.md"):
        assert stale_tables((repository / name).read_text(encoding="utf-8"), repository / "bench" / "results") == []
