"""From lists of settings to rows."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from edgefuse.bench.spec import RowSpec, engine_subject, expand, model_subject, onnx_subject
from edgefuse.errors import UsageError

LITE = model_subject("lite")


def rows(subjects: list[Any] | None = None, **options: Any) -> list[RowSpec]:
    """Rows of lite on PyTorch at 8×8, unless options say otherwise."""
    settings = {"runtimes": ["torch"], "sizes": [(8, 8)], "threads": 1, **options}
    return expand(subjects or [LITE], **settings)


def places(found: list[RowSpec]) -> list[tuple[str, str]]:
    """Runtime and device of every row."""
    return [(row.runtime, row.device) for row in found]


def test_every_list_sweeps() -> None:
    """Two of everything make 2·2·2·2·2 different rows."""
    found = rows(
        [LITE, model_subject("rpfnet")],
        runtimes=["torch", "ort"],
        sizes=[(480, 640), (256, 256)],
        precisions=["fp32", "fp16"],
        batches=[1, 4],
    )
    assert len(found) == len(set(found)) == 32


def test_rows_of_one_network_size_and_batch_follow_each_other() -> None:
    """They share what is prepared, which is then done once."""
    found = rows(runtimes=["torch", "ort"], sizes=[(8, 8), (16, 16)], batches=[1, 2], precisions=["fp32", "fp16"])
    keys = [(row.imgsz, row.batch) for row in found]
    changes = sum(before != after for before, after in itertools.pairwise(keys))
    assert changes == len(set(keys)) - 1


def test_each_runtime_has_its_own_device() -> None:
    """The GPU where there is no other, else the CPU."""
    found = rows(runtimes=["torch", "ort", "ort-cuda", "tensorrt", "tensorrt-rtx"])
    assert places(found) == [
        ("torch", "cpu"),
        ("ort", "cpu"),
        ("ort-cuda", "cuda"),
        ("tensorrt", "cuda"),
        ("tensorrt-rtx", "cuda"),
    ]


def test_onnx_runtime_on_a_gpu_has_one_name() -> None:
    """Asked for twice, as ort on cuda and as ort-cuda, it is measured once."""
    found = rows(runtimes=["ort", "ort-cuda"], devices=["cpu", "cuda"])
    assert places(found) == [("ort", "cpu"), ("ort-cuda", "cuda")]


def test_devices_that_do_not_fit_a_runtime_are_left_out_unless_none_is_left() -> None:
    """TensorRT has no CPU: beside a GPU that is skipped, alone it is an error that says what to add."""
    assert places(rows(runtimes=["torch", "tensorrt"], devices=["cpu", "cuda:1"])) == [
        ("torch", "cpu"),
        ("torch", "cuda:1"),
        ("tensorrt", "cuda:1"),
    ]
    with pytest.raises(UsageError, match="tensorrt does not run on cpu: add --device cuda"):
        rows(runtimes=["tensorrt"], devices=["cpu"])


def test_a_file_takes_the_runtimes_that_can_load_it(tmp_path: Path) -> None:
    """An ONNX file skips PyTorch, an engine brings its own runtime."""
    graph, engine = tmp_path / "net.onnx", tmp_path / "net.rtx"
    graph.touch()
    engine.touch()
    assert places(rows([onnx_subject(graph)], runtimes=["torch", "ort"])) == [("ort", "cpu")]
    assert places(rows([engine_subject(engine)], runtimes=["torch"])) == [("tensorrt-rtx", "cuda")]
    with pytest.raises(UsageError, match=r"net\.onnx is an ONNX file: give --runtime one of ort"):
        rows([onnx_subject(graph)], runtimes=["torch"])


def test_files_that_are_missing_or_of_no_runtime_are_refused(tmp_path: Path) -> None:
    """The option and the path are in the message."""
    text = tmp_path / "net.txt"
    text.touch()
    with pytest.raises(UsageError, match=r"--onnx .*missing.onnx: no such file"):
        onnx_subject(tmp_path / "missing.onnx")
    with pytest.raises(UsageError, match=r"--engine .*missing.rtx: no such file"):
        engine_subject(tmp_path / "missing.rtx")
    with pytest.raises(UsageError, match=r"--engine .*net.txt: the suffix must be one of"):
        engine_subject(text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"runtimes": ["tflite"]}, "--runtime must be of torch, .* not 'tflite'"),
        ({"runtimes": []}, "--runtime needs at least one"),
        ({"precisions": ["fp8"]}, "--precision must be of fp32, .* not 'fp8'"),
        ({"devices": ["tpu"]}, "--device must be cpu, cuda or cuda:N, not 'tpu'"),
        ({"batches": [0]}, "must be at least 1"),
        ({"sizes": [(0, 8)]}, "must be at least 1"),
        ({"threads": 0}, "must be at least 1"),
    ],
)
def test_wrong_settings_say_what_is_allowed(options: dict[str, Any], message: str) -> None:
    """Each closed choice lists its values."""
    with pytest.raises(UsageError, match=message):
        rows(**options)


def test_settings_of_a_network_are_in_its_label() -> None:
    """Two variants of one network can be told apart in a table."""
    assert model_subject("rpfnet", config={"variant": "released"}).label == "rpfnet (variant=released)"
    assert model_subject("their.module:Net").label == "Net"
