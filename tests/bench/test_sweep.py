"""Sweeps in real processes: what a good row holds, and that a bad one says why and stops no other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgefuse.bench.measure import Budget
from edgefuse.bench.processes import JobError, describe_failure, run_job
from edgefuse.bench.record import Record, Row
from edgefuse.bench.spec import expand, model_subject, onnx_subject
from edgefuse.bench.sweep import Settings, measure_rows
from edgefuse.errors import InputError

onnx = pytest.importorskip("onnx")

SIZE = (16, 24)
SETTINGS = Settings(budget=Budget(seconds=0.02, warmup_seconds=0.0, min_runs=3), threads=1)


def save_graph(path: Path, nodes: list[Any], weights: dict[str, Any] | None = None, *, size: Any = ("H", "W")) -> Path:
    """Write a fusion graph of these nodes."""
    helper = onnx.helper
    images = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["B", 1, *size]) for name in ("ir", "vis", "fused")
    ]
    constants = [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in (weights or {}).items()]
    graph = helper.make_graph(nodes, "graph", images[:2], images[2:], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A mean that works, a random output, one that needs more memory than there is, one of fixed size, and a text."""
    folder = tmp_path_factory.mktemp("graphs")
    node = onnx.helper.make_node
    mean = [node("Mean", ["ir", "vis"], ["fused"])]
    noise = [node("RandomUniformLike", ["ir"], ["fused"])]
    huge = [
        node("Expand", ["ir", "shape"], ["wide"]),
        node("ReduceMax", ["wide", "axes"], ["most"], keepdims=1),
        node("Add", ["vis", "most"], ["fused"]),
    ]
    text = folder / "text.onnx"
    text.write_text("not a graph")
    return {
        "mean": save_graph(folder / "mean.onnx", mean),
        "noise": save_graph(folder / "noise.onnx", noise),
        "huge": save_graph(
            folder / "huge.onnx", huge, {"shape": np.array([1 << 14, 1 << 14, 1, 1]), "axes": np.array([0, 1])}
        ),
        "fixed": save_graph(folder / "fixed.onnx", mean, size=(64, 64)),
        "text": text,
    }


@pytest.fixture(scope="module")
def record(graphs: dict[str, Path]) -> Record:
    """One sweep over all of them."""
    subjects = [onnx_subject(path) for path in graphs.values()]
    return measure_rows(expand(subjects, runtimes=["ort"], sizes=[SIZE], threads=1), SETTINGS)


@pytest.fixture
def row_of(record: Record, graphs: dict[str, Path]) -> Callable[[str], Row]:
    """The row of a graph."""
    by_model = {row.model: row for row in record.rows}
    return lambda name: by_model[graphs[name].name]


def test_a_good_row_holds_every_number(row_of: Callable[[str], Row]) -> None:
    """Counts, size, load time, timings of inference and whole frames, memory, and the checked output."""
    row = row_of("mean")
    assert row.failed is None
    assert (row.macs, row.flops, row.uncounted) == (0, SIZE[0] * SIZE[1], {})
    assert row.inference is not None
    assert row.frame is not None
    assert len(row.inference.times_ms) >= 3
    assert row.inference.first_ms > 0
    assert row.load_ms is not None
    assert row.load_ms > 0
    assert row.baseline_host_bytes is not None
    assert row.peak_host_bytes is not None
    assert row.peak_host_bytes >= row.baseline_host_bytes > 1 << 20
    assert row.size_bytes is not None
    assert row.resident is None
    assert row.deviation is not None
    assert row.deviation.max_abs <= 1e-6


def test_a_wrong_output_has_no_numbers(row_of: Callable[[str], Row]) -> None:
    """An output that differs from the reference is not timed."""
    row = row_of("noise")
    assert row.failed is not None
    assert "output differs from ONNX Runtime on the CPU without optimisations" in row.failed
    assert row.inference is None


def test_running_out_of_memory_is_said_so(row_of: Callable[[str], Row]) -> None:
    """Whatever the runtime calls it."""
    assert "out of memory" in (row_of("huge").failed or "")


def test_a_network_of_one_size_is_not_measured_at_another(row_of: Callable[[str], Row]) -> None:
    """The row names the size that it takes."""
    assert row_of("fixed").failed == "fixed.onnx takes images of 64x64 alone: --imgsz 64 64"


def test_a_file_that_is_no_graph_fails_alone(row_of: Callable[[str], Row], record: Record) -> None:
    """The reason names the file, and the other rows are there."""
    assert "text.onnx" in (row_of("text").failed or "")
    assert len(record.rows) == 5


def test_the_record_tells_how_it_was_measured(record: Record) -> None:
    """Machine, settings and what the harness itself takes."""
    assert record.machine["cpu"]["name"]
    assert record.settings["threads"] == 1
    assert len(record.settings["cpus"]) == 1
    assert record.overhead is not None
    assert len(record.overhead.times_ms) >= 3


def test_a_missing_runtime_says_how_to_get_it(graphs: dict[str, Path]) -> None:
    """Without CUDA the row on the GPU fails with the command that helps, and the row on the CPU is measured."""
    onnxruntime = pytest.importorskip("onnxruntime")
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    specs = expand([onnx_subject(graphs["mean"])], runtimes=["ort-cuda", "ort"], sizes=[SIZE], threads=1)
    finished: list[Row] = []
    record = measure_rows(specs, SETTINGS, on_row=finished.append)
    assert "pip install 'edgefuse[gpu]'" in (record.rows[0].failed or "")
    assert record.rows[1].failed is None
    assert tuple(finished) == record.rows


def test_an_interruption_keeps_what_is_done(graphs: dict[str, Path]) -> None:
    """The first Ctrl-C ends the sweep with the finished rows, marked as incomplete."""
    specs = expand([onnx_subject(graphs["mean"])], runtimes=["ort"], sizes=[SIZE, (8, 8)], threads=1)

    def interrupt(row: Row) -> None:
        raise KeyboardInterrupt

    record = measure_rows(specs, SETTINGS, on_row=interrupt)
    assert (len(specs), len(record.rows)) == (2, 1)
    assert record.settings["complete"] is False


def test_batches_are_measured_without_whole_frames(graphs: dict[str, Path]) -> None:
    """A batch counts as many operations and frames; whole frames come one by one."""
    (spec,) = expand([onnx_subject(graphs["mean"])], runtimes=["ort"], sizes=[SIZE], batches=[3], threads=1)
    (row,) = measure_rows([spec], SETTINGS).rows
    assert row.failed is None
    assert row.flops == 3 * SIZE[0] * SIZE[1]
    assert row.frame is None
    assert row.inference is not None
    assert row.frames_per_second == pytest.approx(3e3 / row.inference.summary.p50_ms)


def test_of_a_slow_network_one_frame_is_enough(graphs: dict[str, Path]) -> None:
    """Where a frame takes longer than a series may, it is timed once; the inference is repeated all the same."""
    (spec,) = expand([onnx_subject(graphs["mean"])], runtimes=["ort"], sizes=[SIZE], threads=1)
    (row,) = measure_rows([spec], Settings(budget=Budget(seconds=1e-6, warmup_seconds=0.0, min_runs=3), threads=1)).rows
    assert row.frame is not None
    assert row.inference is not None
    assert row.frame.times_ms == (row.frame.first_ms,)
    assert len(row.inference.times_ms) == 3


def test_an_export_that_draws_another_picture_has_no_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that is another one when exported: PyTorch is measured, ONNX Runtime's row says how far it is off."""
    pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    (tmp_path / "two_faced.py").write_text(
        "import torch\n\n\n"
        "class Net(torch.nn.Module):\n"
        "    def forward(self, ir, vis):\n"
        "        return (ir + vis) / (3 if torch.compiler.is_exporting() else 2)\n"
    )
    monkeypatch.chdir(tmp_path)
    specs = expand([model_subject("two_faced:Net")], runtimes=["torch", "ort"], sizes=[SIZE], threads=1)
    torch_row, ort_row = measure_rows(specs, SETTINGS).rows
    assert torch_row.failed is None
    assert (torch_row.model, torch_row.weights, torch_row.parameters) == ("Net", "random, seed 0", 0)
    assert torch_row.flops == 2 * SIZE[0] * SIZE[1]
    assert "output differs from PyTorch on the CPU in fp32 by up to 0." in (ort_row.failed or "")
    assert ort_row.inference is None


def test_a_process_that_dies_leaves_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that kills its process takes no other row with it."""
    pytest.importorskip("torch")
    (tmp_path / "dying.py").write_text("import os, signal\n\ndef Net():\n    os.kill(os.getpid(), signal.SIGKILL)\n")
    monkeypatch.chdir(tmp_path)
    (spec,) = expand([model_subject("dying:Net")], runtimes=["torch"], sizes=[SIZE], threads=1)
    (row,) = measure_rows([spec], SETTINGS).rows
    assert row.failed == "its process was killed by SIGKILL, as the system does when memory runs out"


def test_a_job_that_takes_too_long_is_ended() -> None:
    """The reason names the limit."""
    with pytest.raises(JobError, match=r"no result after 0\.01 s"):
        run_job("overhead", {"budget": {}}, threads=1, cpus=(0,), timeout_seconds=0.01)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), "out of memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate\nmore"), "out of memory: CUDA out of memory. Tried to"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "out of memory: DefaultCPUAllocator"),
        (InputError("the image is too small"), "the image is too small"),
        (ValueError("\n first line\nsecond"), "ValueError: first line"),
        (KeyError(), "KeyError"),
    ],
)
def test_a_failure_is_one_line(error: Exception, reason: str) -> None:
    """Memory by that name, our own errors as they are, others with their class."""
    described = describe_failure(error)
    assert described.startswith(reason)
    assert "\n" not in described
