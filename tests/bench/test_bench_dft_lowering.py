"""The benchmark of DFT lowering: it checks before it measures, and its record holds what its table shows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from edgefuse.bench import bench_dft_lowering as bench
from edgefuse.bench.gate import GateError

SMALL = ["--size", "24", "32", "--channels", "4", "--rounds", "2"]


def test_record_and_table_hold_all_forms(tmp_path: Path, capsys: pytest.CaptureFixture[str], inverse_dft: None) -> None:
    """Raw times, errors and ratios of both subjects."""
    bench.main([*SMALL, "--output", str(tmp_path / "record.json")])
    shown = capsys.readouterr().out
    record = json.loads((tmp_path / "record.json").read_text())
    assert [(row["subject"], row["form"]) for row in record["rows"]] == [
        (subject, form) for subject in ("spectral block", "rpfnet") for form in bench.FORMS
    ]
    for row in record["rows"]:
        assert len(row["cpu_ms"]) == len(row["wall_ms"]) == 2
        assert row["relative_error"] <= 1e-4
        assert (row["default_is_faster"] is None) == (row["form"] == "default")
        assert row["subject"] in shown
    assert all(form in shown for form in bench.FORMS)
    assert record["machine"]["cpu"]["name"]


def test_json_is_the_record(capsys: pytest.CaptureFixture[str], inverse_dft: None) -> None:
    """One document, with the same content."""
    document = bench.main([*SMALL, "--subjects", "block", "--json"])
    assert json.loads(capsys.readouterr().out) == document


def test_no_number_is_printed_when_an_output_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], inverse_dft: None
) -> None:
    """The gate comes first."""
    monkeypatch.setattr(bench, "_TOLERANCE", dict.fromkeys(bench.FORMS, 0.0))
    with pytest.raises(GateError, match="nothing was measured"):
        bench.main([*SMALL, "--subjects", "block"])
    assert not capsys.readouterr().out
