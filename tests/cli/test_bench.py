"""``edgefuse bench`` as a user types it, on a graph that costs next to nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from edgefuse.bench.record import Record
from edgefuse.cli.bench import bench_app
from edgefuse.errors import EdgeFuseError

QUICK = ("--seconds", "0.02", "--warmup", "0", "--threads", "1")

Run = Callable[..., Any]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run the group below a parent, as ``edgefuse`` holds it, with its own cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    app = typer.Typer()
    app.add_typer(bench_app, name="bench")

    def call(*arguments: object) -> Any:
        return CliRunner().invoke(app, ["bench", *(str(argument) for argument in arguments)])

    return call


def error_of(result: Any) -> EdgeFuseError:
    """The deliberate error that ended a command."""
    assert isinstance(result.exception, EdgeFuseError), result.output
    return result.exception


def test_sizes_sweep_into_one_markdown_table(run: Run, average_model: Path) -> None:
    """Any number of heights and widths follow one --imgsz; numbers come in a table with the machine under it."""
    result = run("--onnx", average_model, "--imgsz", 32, 48, 16, 16, "--runtime", "torch,ort", *QUICK)
    assert result.exit_code == 0, result.output
    assert "48×32" in result.stdout
    assert "16×16" in result.stdout
    assert result.stdout.count("| average.onnx |") == 2
    assert "Measured on" in result.stdout


def test_json_is_the_record_and_can_be_compared_with(run: Run, average_model: Path, tmp_path: Path) -> None:
    """What --json prints and --output saves can be read back; --compare shows ratios with their spread."""
    saved = tmp_path / "record.json"
    arguments = ("--onnx", average_model, "--imgsz", 16, 16, "--runtime", "ort", *QUICK)
    result = run(*arguments, "--output", saved, "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert (document["schema_version"], document["command"]) == (1, "bench")
    assert document["machine"]["versions"]["numpy"]
    printed = tmp_path / "printed.json"
    printed.write_text(result.stdout)
    assert Record.load(printed) == Record.load(saved)
    compared = run(*arguments, "--compare", saved)
    assert compared.exit_code == 0, compared.output
    assert "old / new" in compared.stdout
    document = json.loads(run(*arguments, "--compare", saved, "--json").stdout)
    assert document["comparison"][0]["ratio"] > 0


def test_a_row_that_fails_ends_in_exit_code_1_with_the_others_shown(run: Run, average_model: Path) -> None:
    """The model of this graph has no other precision: that row says so, the other is measured."""
    result = run("--onnx", average_model, "--imgsz", 16, 16, "--precision", "fp32,fp16", "--runtime", "ort", *QUICK)
    assert result.exit_code == 1
    assert "failed: average.onnx is fp32, and a file is measured as it is" in result.stdout
    assert "±" in result.stdout


def test_other_tables_and_the_papers_rows(run: Run, average_model: Path) -> None:
    """CSV for spreadsheets, with what the papers published marked as such."""
    result = run("run", "--onnx", average_model, "--imgsz", 16, 16, "--format", "csv", "--with-published", *QUICK)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("model,runtime,")
    assert "AngularFuse,published,RTX 3090" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("no-such-model",), "unknown model 'no-such-model': known are"),
        (("lite", "--imgsz", 480), "--imgsz takes pairs of height and width, and 1 numbers are given"),
        (("lite", "--imgsz", "wide"), "--imgsz takes whole numbers, not wide"),
        (("lite", "--batch", "many"), "--batch takes whole numbers, not many"),
        (("lite", "--runtime", "tflite"), "--runtime must be of torch"),
        (("lite", "--format", "html"), "--format must be one of markdown, csv, latex"),
        (("--model", "lite"), "write it as module:Class"),
        (("lite", "rpfnet", "--config", "a=1"), "--weights and --config are for one model, and 2 are given"),
        (("lite", "--config", "a"), "--config a: write it as KEY=VALUE"),
        (("lite", "--seconds", "0"), "--seconds and --timeout must be above 0"),
        (("lite", "--output", "no/such/folder.json"), "its folder does not exist"),
    ],
)
def test_wrong_usage_says_what_to_do(run: Run, arguments: tuple[object, ...], message: str) -> None:
    """Nothing is measured, and the exit code of the error is that of wrong usage."""
    error = error_of(run(*arguments))
    assert message in str(error)
    assert error.exit_code == 2


def test_a_record_to_compare_with_is_read_before_anything_is_measured(run: Run, tmp_path: Path) -> None:
    """A missing file does not cost the minutes of a sweep first."""
    assert "missing.json: cannot read" in str(error_of(run("lite", "--compare", tmp_path / "missing.json")))


def test_help_reads_well(run: Run) -> None:
    """The group's help is the measuring command's."""
    result = run("--help")
    assert result.exit_code == 0
    for word in ("--runtime", "--imgsz", "--with-published", "fresh process"):
        assert word in result.stdout
