"""``edgefuse bench`` as a user types it, on a graph that costs next to nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgefuse.bench.readme import table_of
from edgefuse.bench.record import Record

QUICK = ("--seconds", "0.02", "--warmup", "0", "--threads", "1")

Run = Callable[..., Any]


@pytest.fixture
def run(run_cli: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run ``edgefuse bench`` with a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return lambda *arguments: run_cli("bench", *arguments)


def test_sizes_sweep_into_one_markdown_table(run: Run, average_model: Path) -> None:
    """Any number of heights and widths follow one --imgsz; numbers come in a table with the machine under it."""
    result = run("--onnx", average_model, "--imgsz", 32, 48, 16, 16, "--runtime", "torch,ort", *QUICK)
    assert result.code == 0, result.err
    assert "48×32" in result.out
    assert "16×16" in result.out
    assert result.out.count("| average.onnx |") == 2
    assert "Measured on" in result.out


def test_json_is_the_record_and_can_be_compared_with(run: Run, average_model: Path, tmp_path: Path) -> None:
    """What --json prints and --output saves can be read back; --compare shows ratios with their spread."""
    saved = tmp_path / "record.json"
    arguments = ("--onnx", average_model, "--imgsz", 16, 16, "--runtime", "ort", *QUICK)
    result = run(*arguments, "--output", saved, "--json")
    assert result.code == 0, result.err
    document = json.loads(result.out)
    assert (document["schema_version"], document["command"]) == (1, "bench")
    assert document["machine"]["versions"]["numpy"]
    printed = tmp_path / "printed.json"
    printed.write_text(result.out)
    assert Record.load(printed) == Record.load(saved)
    compared = run(*arguments, "--compare", saved)
    assert compared.code == 0, compared.err
    assert "old / new" in compared.out
    document = json.loads(run(*arguments, "--compare", saved, "--json").out)
    assert document["comparison"][0]["ratio"] > 0


def test_a_row_that_fails_ends_in_exit_code_1_with_the_others_shown(run: Run, average_model: Path) -> None:
    """The model of this graph has no other precision: that row says so, the other is measured."""
    result = run("--onnx", average_model, "--imgsz", 16, 16, "--precision", "fp32,fp16", "--runtime", "ort", *QUICK)
    assert result.code == 1
    assert "failed: average.onnx is fp32, and a file is measured as it is" in result.out
    assert "±" in result.out


def test_other_tables_and_the_papers_rows(run: Run, average_model: Path) -> None:
    """CSV for spreadsheets, with what the papers published marked as such."""
    result = run("run", "--onnx", average_model, "--imgsz", 16, 16, "--format", "csv", "--with-published", *QUICK)
    assert result.code == 0, result.err
    assert result.out.startswith("model,runtime,")
    assert "AngularFuse,published,RTX 3090" in result.out


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
        (("lite", "--output", "."), "that is a folder: name a .json file"),
        (("lite", "--threads", 99999), "--threads must be 1 to "),
        (("train", "lite", "--threads", 0), "--threads must be 1 to "),
    ],
)
def test_wrong_usage_says_what_to_do(run: Run, arguments: tuple[object, ...], message: str) -> None:
    """Nothing is measured, and the exit code of the error is that of wrong usage."""
    result = run(*arguments)
    assert result.code == 2
    assert message in result.err
    assert result.out == ""


def test_a_record_to_compare_with_is_read_before_anything_is_measured(run: Run, tmp_path: Path) -> None:
    """A missing file does not cost the minutes of a sweep first."""
    result = run("lite", "--compare", tmp_path / "missing.json")
    assert result.code == 1
    assert "missing.json: cannot read" in result.err


@pytest.mark.parametrize("arguments", [("lite",), ("kernels",), ("train", "lite"), ("stream", "lite")])
def test_a_record_that_cannot_be_saved_is_found_before_anything_is_measured(run: Run, arguments: tuple[str]) -> None:
    """One line, as for every output."""
    result = run(*arguments, "--output", "/proc/record.json")
    assert (result.code, "/proc: cannot write there" in result.err) == (1, True)
    assert len(result.err.strip().splitlines()) == 1


def test_help_reads_well(run: Run) -> None:
    """The group's help is the measuring command's."""
    result = run("--help")
    assert result.code == 0
    for word in ("--runtime", "--imgsz", "--with-published", "fresh process"):
        assert word in result.out


def test_training_is_measured_by_its_own_command(run: Run, tmp_path: Path) -> None:
    """One row of fused kernels, printed as JSON and saved as the same record."""
    pytest.importorskip("accelerate")
    saved = tmp_path / "train.json"
    small = ("--set", "train.batch=2", "--set", "augmentation.crop_px=64", "--seconds", "0.05", "--warmup", "0")
    result = run("train", "lite", "--kernels", "fused", "--threads", 1, *small, "--output", saved, "--json")
    assert result.code == 0, result.err
    document = json.loads(result.out)
    assert document["command"] == "bench train"
    assert document["rows"][0]["steps"]["summary"]["runs"] >= 3
    assert json.loads(saved.read_text()) == document
    assert run("train", "lite", "--kernels", "fast").code == 2
    assert run("train", "lite", "--seconds", "0").code == 2


def test_kernels_are_measured_by_their_own_command(run: Run, tmp_path: Path) -> None:
    """A table of implementations, and a record that the README's tables can be made of."""
    pytest.importorskip("torch")
    saved = tmp_path / "kernels.json"
    small = ("--ops", "ssim", "--sizes", "1x16x16", "--device", "cpu", "--threads", 1, "--seconds", "0.01")
    result = run("kernels", *small, "--output", saved)
    assert result.code == 0, result.err
    assert "speed-up" in result.out
    assert json.loads(saved.read_text())["command"] == "bench kernels"
    assert table_of(saved).splitlines()[0] == result.out.splitlines()[0]
    assert run("kernels", "--ops", "no-such-op").code == 2
    assert run("kernels", "--seconds", "0").code == 2


def test_streams_are_measured_by_their_own_command(run: Run, average_model: Path, tmp_path: Path) -> None:
    """Every stage of a live pipeline in a table, and a record that gives the same table."""
    saved = tmp_path / "stream.json"
    small = ("--imgsz", 48, 64, "--rate", 20, "--seconds", 2, "--cores", 1)
    result = run("stream", average_model, *small, "--output", saved)
    assert result.code in {0, 1}, result.err  # a machine that is busy may drop a frame, which is what the command tells
    for stage in ("gain", "register", "infer", "finish", "capture to fused picture"):
        assert stage in result.out
    assert "64×48 at 20 + 20 frames a second" in result.out
    assert table_of(saved).strip() == result.out.strip()
    assert run("stream", average_model, "--imgsz", 48).code == 2
    assert run("stream", average_model, "--seconds", 0).code == 2


def test_the_module_runs_the_kernel_bench_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    """``python -m edgefuse.bench kernels`` is the one command of a machine with a GPU."""
    from edgefuse.bench.__main__ import main

    monkeypatch.setattr(sys, "argv", ["restored after the test"])
    with pytest.raises(SystemExit) as end:
        main(["kernels", "--device", "tpu"])
    assert end.value.code == 2
    assert "--device must be auto, cpu, cuda or cuda:N" in capsys.readouterr().err
