"""``edgefuse eval`` as a user types it."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from edgefuse.images import read_vis, write_image
from edgefuse.metrics import evaluate
from edgefuse.synthetic import StreetScene

RNG = np.random.default_rng(0)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Three scenes with masks, fused by the larger pixel and by the mean."""
    for name in ("a", "b", "c"):
        ir, vis = (RNG.integers(0, 256, (48, 60)).astype(np.uint8) for _ in range(2))
        mask = np.zeros((48, 60), np.uint8)
        mask[20:30, 20:30] = 255
        fused = {"max": np.maximum(ir, vis), "mean": (ir // 2 + vis // 2).astype(np.uint8)}
        for part, image in {"ir": ir, "vis": vis, "mask": mask, **fused}.items():
            write_image(tmp_path / part / f"{name}.png", image)
    return tmp_path


def _sources(folders: Path) -> tuple[object, ...]:
    return ("--ir", folders / "ir", "--vis", folders / "vis")


def test_a_table_comes_without_any_option_and_says_its_conventions(run_cli, folders: Path) -> None:
    """A person who reads nothing gets numbers, and under them a line that says what they are."""
    result = run_cli("eval", "--fused", folders / "max", *_sources(folders))
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    assert (
        lines[0].split("|")[1:5] == [" method ", *(f" {name:>7} " for name in ("EN", "SD", "SF"))] or "EN" in lines[0]
    )
    assert "Convention default (corrected" in result.out
    assert "SSIM Gaussian 11, valid, L=255, mean" in result.out
    assert "Means over 3 images." in result.out


def test_swapped_sources_are_told(run_cli, tmp_path: Path) -> None:
    """Colour given as infrared and gray as visible: one line, and the scores all the same."""
    scene = StreetScene(64, 80, seed=1).render(0.0)
    for role, picture in (("ir", scene.ir), ("vis", scene.vis)):
        write_image(tmp_path / role / "a.png", picture)
    for ir, vis, told in (("ir", "vis", False), ("vis", "ir", True)):
        sources = ("--ir", tmp_path / ir, "--vis", tmp_path / vis)
        result = run_cli("eval", "--fused", tmp_path / "vis", *sources, "--metrics", "EN")
        assert (result.code, result.err.count("the two look swapped")) == (0, told)


def test_methods_are_compared_marked_and_ranked(run_cli, folders: Path) -> None:
    """Best values are bold, and the rank of ranks is the last column."""
    arguments = ("eval", "--fused", folders / "max", "--method", f"average={folders / 'mean'}", *_sources(folders))
    result = run_cli(*arguments, "--metrics", "EN,SD,MI")
    assert result.code == 0, result.err
    assert result.out.splitlines()[0].rstrip(" |").endswith("RoR")
    assert result.out.count("**") >= 6
    assert "| average" in result.out


def test_json_holds_what_the_table_holds(run_cli, folders: Path) -> None:
    """One document on stdout, with every image, mean, reason and remark."""
    result = run_cli("eval", "--fused", folders / "max", *_sources(folders), "--mask", folders / "mask", "--json")
    assert result.code == 0, result.err
    document = json.loads(result.out)
    assert (document["schema_version"], document["command"], document["convention"]) == (1, "eval", "default")
    images = [read_vis(folders / part / "b.png") for part in ("max", "ir", "vis")]
    row = next(row for row in document["images"] if row["image"] == "b")
    assert row["scores"]["SD"] == evaluate(*images)["SD"]
    assert set(row["scores"]) >= {"EN", "VIFF", "TR"}
    # 60 pixels are too few for MS-SSIM: undefined, with its reason, not a number.
    assert row["scores"]["MS_SSIM"] is None
    assert "needs 176 pixels" in row["reasons"]["MS_SSIM"]
    assert document["methods"][0]["means"]["TR_worst"] is not None
    assert document["complete"] is True


def test_a_profile_gives_the_paper_its_metrics_in_its_order(run_cli, folders: Path) -> None:
    """DFECF's table has seven columns, and the line under it names their bugs."""
    result = run_cli("eval", "--fused", folders / "max", *_sources(folders), "--profile", "dfecf", "--format", "csv")
    assert result.code == 0, result.err
    assert result.out.splitlines()[0] == "method,SD,MI,VIF,AG,EN,SF,Qabf"
    images = [read_vis(folders / part / "b.png") for part in ("max", "ir", "vis")]
    assert evaluate(*images, convention="dfecf")["SD"] < 16


def test_output_holds_tables_of_every_kind(run_cli, folders: Path) -> None:
    """Means and images as Markdown, CSV and LaTeX, everything as JSON, the rows as they came."""
    out = folders / "out"
    arguments = ("eval", "--fused", folders / "max", "--method", f"a b={folders / 'mean'}", *_sources(folders))
    result = run_cli(*arguments, "--metrics", "EN,SD", "-o", out, "--per-image")
    assert result.code == 0, result.err
    names = {path.name for path in out.iterdir()}
    tables = {f"{stem}{suffix}" for stem in ("mean", "images-max", "images-a_b") for suffix in (".md", ".csv", ".tex")}
    assert names == tables | {"study.json", "rows.jsonl"}
    assert (out / "mean.md").read_text() in result.out
    assert json.loads((out / "study.json").read_text())["images_in_means"] == ["a", "b", "c"]
    assert len((out / "rows.jsonl").read_text().splitlines()) == 6
    assert "| a     |" in result.out


def test_pictures_are_drawn_where_they_are_asked_for(run_cli, folders: Path) -> None:
    """Curves, lines and spectra are three files."""
    pytest.importorskip("matplotlib")
    out = folders / "out"
    arguments = ("eval", "--fused", folders / "max", *_sources(folders), "--metrics", "EN", "--psd")
    result = run_cli(*arguments, "--plots", "svg", "-o", out)
    assert result.code == 0, result.err
    assert {path.name for path in out.glob("*.svg")} == {"cumulative.svg", "lines.svg", "spectra.svg"}
    assert "PSD_entropy" in result.out


def test_a_model_is_fused_scored_and_disturbed(run_cli, folders: Path, average_model: Path) -> None:
    """The model's clean row and one for each disturbance, with the change in brackets."""
    arguments = ("eval", "--model", average_model, *_sources(folders), "--metrics", "SD,SCD")
    result = run_cli(*arguments, "--corrupt", "stripe:5+gauss:25", "--corrupt", "dark", "--seed", "3")
    assert result.code == 0, result.err
    assert "| average, clean" in result.out
    assert "| average, stripe:5+gauss:25 |" in result.out
    assert "(-" in result.out
    assert run_cli(*arguments, "--corrupt", "stripe:5+gauss:25", "--corrupt", "dark", "--seed", "3").out == result.out


def test_bad_images_are_listed_and_the_exit_code_says_so(run_cli, folders: Path) -> None:
    """A size that differs names both files on stderr; the table is of the others; the code is 1."""
    write_image(folders / "max" / "b.png", np.zeros((40, 60), np.uint8))
    (folders / "max" / "c.png").unlink()
    result = run_cli("eval", "--fused", folders / "max", *_sources(folders), "--metrics", "EN")
    assert result.code == 1
    assert f"{folders / 'max' / 'b.png'} is 60x40, {folders / 'vis' / 'b.png'} is 60x48" in result.err
    assert "no fused image named 'c'" in result.err
    assert "Means over the 1 of 3 images that every method has." in result.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--ir", "x", "--vis", "y"], "nothing to score: give --fused DIR"),
        (["--fused", "x"], "give the sources: --ir DIR --vis DIR"),
        (["--fused", "x", "--ir", "x", "--vis", "y", "--convention", "vifb", "--profile", "dfecf"], "give one of them"),
        (["--fused", "x", "--ir", "x", "--vis", "y", "--profile", "tno"], "give one of angularfuse, rpfnet"),
        (["--fused", "x", "--ir", "x", "--vis", "y", "--convention", "tno"], "unknown convention 'tno'"),
        (["--fused", "x", "--ir", "x", "--vis", "y", "--metrics", "PIQE"], "does not define PIQE"),
        (["--fused", "x", "--ir", "x", "--vis", "y", "--format", "html"], "give one of markdown, csv, latex"),
        (["--fused", "x", "--ir", "x", "--vis", "y", "--plots", "png"], "add --output DIR"),
        (["--fused", "x", "--ir", "x", "--vis", "y", "--plots", "pdf"], "give png or svg"),
        (["--fused", "x", "--ir", "x", "--vis", "y", "--corrupt", "dark"], "add --model NAME"),
        (["--model", "m", "--ir", "x", "--vis", "y", "--corrupt", "fog"], "unknown corruption 'fog'"),
        (["--fused", "x", "--method", "x=y", "--ir", "x", "--vis", "y"], "two methods are called x"),
        (["--method", "x", "--ir", "x", "--vis", "y"], "write NAME=DIR"),
        (["--fused", "x", "detect", "--labels", "y", "--detector", "z"], "--fused stands before detect"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(run_cli, arguments: list[str], message: str) -> None:
    """Each message says what would be right; nothing is read before."""
    result = run_cli("eval", *arguments)
    assert result.code == 2
    assert message in result.err
    assert result.out == ""


@pytest.mark.parametrize(
    ("package", "arguments", "extra"),
    [
        ("matplotlib", ["--fused", "x", "--ir", "x", "--vis", "y", "--plots", "png", "-o", "out"], "train"),
        ("pycocotools.coco", ["detect", "--fused", "x", "--labels", "y", "--detector", "z"], "eval"),
    ],
)
def test_what_is_missing_is_said_before_the_work(
    run_cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, package: str, arguments: list[str], extra: str
) -> None:
    """The code is 3, the message is the command that fixes it, and no folder is made."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == package else real(name, *rest))
    result = run_cli("eval", *arguments)
    assert result.code == 3
    assert f"pip install 'edgefuse[{extra}]'" in result.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C of a child process is not the same signal there")
@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_done_survives_ctrl_c(folders: Path, workers: int) -> None:
    """The table of the finished scenes is printed and written, marked as incomplete; the code is 130."""
    for part in ("ir", "vis", "max"):
        image = (folders / part / "a.png").read_bytes()
        for index in range(400):
            (folders / part / f"more{index}.png").write_bytes(image)
    out = folders / "out"
    # What a shell starts in the background ignores Ctrl-C, and so would all that it starts in turn.
    listen = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    main = f"{listen}; from edgefuse.cli import main; main()"
    command = [sys.executable, "-c", main, "eval", "--fused", folders / "max"]
    command += [*_sources(folders), "--convention", "ivifzoo", "--metrics", "VIF", "-o", out, "--workers", workers]
    process = subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    rows = out / "rows.jsonl"
    deadline = time.monotonic() + 60
    while not (rows.is_file() and rows.read_text().count("\n") >= 3) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    printed, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "INCOMPLETE: stopped after" in printed
    assert "results are kept" in errors
    assert "Traceback" not in errors
    record = json.loads((out / "study.json").read_text())
    assert record["complete"] is False
    assert 3 <= len(record["images"]) < 403
    assert record["images_in_means"]


def test_detect_scores_boxes(run_cli, folders: Path) -> None:
    """A graph that finds the labelled box has a mean average precision of 1."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("pycocotools")
    helper = onnx.helper
    box = np.array([[[8, 8, 24, 40, 0.9, 0]]], np.float32)
    nodes = [
        helper.make_node("ReduceMin", ["images"], ["low"], keepdims=0),
        helper.make_node("Mul", ["low", "zero"], ["nothing"]),
        helper.make_node("Add", ["box", "nothing"], ["found"]),
    ]
    graph = helper.make_graph(
        nodes,
        "detector",
        [helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, [1, 3, 64, 64])],
        [helper.make_tensor_value_info("found", onnx.TensorProto.FLOAT, [1, 1, 6])],
        [onnx.numpy_helper.from_array(box, "box"), onnx.numpy_helper.from_array(np.array(0, np.float32), "zero")],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), folders / "detector.onnx"
    )
    write_image(folders / "square" / "a.png", np.zeros((64, 64), np.uint8))
    (folders / "labels").mkdir()
    (folders / "labels" / "a.txt").write_text("0 0.25 0.375 0.25 0.5\n")
    arguments = ("eval", "detect", "--fused", folders / "square", "--labels", folders / "labels")
    result = run_cli(*arguments, "--detector", folders / "detector.onnx", "-o", folders / "out", "--json")
    assert result.code == 0, result.err
    document = json.loads(result.out)
    assert document["command"] == "eval detect"
    assert document["methods"][0]["scores"]["mAP@.5"] == pytest.approx(1.0)
    assert {path.name for path in (folders / "out").iterdir()} == {
        f"detect{end}" for end in (".md", ".csv", ".tex", ".json")
    }
    printed = run_cli(*arguments, "--detector", folders / "detector.onnx")
    assert "Average precision by pycocotools over 1 image" in printed.out


def test_segment_scores_label_maps(run_cli, folders: Path) -> None:
    """A graph that thresholds the picture finds the two halves."""
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    constants = {"zero": np.array([0]), "one": np.array([1]), "half": np.array([0.5], np.float32)}
    nodes = [
        helper.make_node("Slice", ["image", "zero", "one", "one"], ["red"]),
        helper.make_node("Sub", ["red", "half"], ["bright"]),
        helper.make_node("Neg", ["bright"], ["dark"]),
        helper.make_node("Concat", ["dark", "bright"], ["found"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "segmenter",
        [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, [1, 3, "H", "W"])],
        [helper.make_tensor_value_info("found", onnx.TensorProto.FLOAT, [1, 2, "H", "W"])],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), folders / "segmenter.onnx"
    )
    half = np.zeros((32, 48), np.uint8)
    half[:, 24:] = 255
    write_image(folders / "halves" / "a.png", half)
    write_image(folders / "labels" / "a.png", half // 255)
    arguments = ("eval", "segment", "--fused", folders / "halves", "--labels", folders / "labels")
    result = run_cli(
        *arguments, "--segmenter", folders / "segmenter.onnx", "--classes", "sky,person", "--normalisation", "unit"
    )
    assert result.code == 0, result.err
    assert "mIoU" in result.out
    assert "person" in result.out
    assert "1.0000" in result.out
    wrong = run_cli(*arguments[:-1], folders / "none", "--segmenter", folders / "segmenter.onnx", "--classes", "2")
    assert wrong.code == 2
