"""Compiled kernels of TensorRT-RTX from one start to the next, on a pretended GPU."""

from __future__ import annotations

import dataclasses
import logging
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgefuse.runtime import TensorRtRunner
from edgefuse.runtime.device_memory import Gpu
from edgefuse.runtime.engine_file import read_engine
from edgefuse.runtime.runtime_cache import cache_path

RNG = np.random.default_rng(0)
FREE = {"shape": (1, 1, -1, -1), "profiles": [((1, 1, 8, 8), (1, 1, 16, 16), (1, 1, 32, 48))]}
GPU = Gpu("Pretend GPU", "sm_86", "13.0")


@pytest.fixture
def engine(gpu: Any, write_engine: Any) -> Path:
    """An engine of TensorRT-RTX for free sizes."""
    gpu.engines[b"vtrt engine"] = FREE
    path: Path = write_engine(b"vtrt engine", name="average.rtx", format="tensorrt-rtx", imgsz=None)
    return path


@pytest.fixture
def kept(engine: Path) -> Path:
    """Where its kernels go."""
    return cache_path(read_engine(engine, "tensorrt-rtx"), GPU, "1.7.1")


def fuse(runner: TensorRtRunner, *size: int) -> None:
    """Run it at a size, and see that the frame is right."""
    ir, vis = RNG.random((2, 1, 1, *size), dtype=np.float32)
    np.testing.assert_array_equal(runner.infer(ir, vis), 0.5 * (ir + vis))


def start(engine: Path, *sizes: tuple[int, int]) -> None:
    """Run it from start to end."""
    with TensorRtRunner(engine, kind="tensorrt-rtx") as runner:
        for size in sizes:
            fuse(runner, *size)


def test_kernels_are_there_at_the_next_start(
    gpu: Any, engine: Path, kept: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Written with the first frame, and again at the end where more were compiled; nothing is said of it."""
    with caplog.at_level(logging.WARNING):
        with TensorRtRunner(engine, kind="tensorrt-rtx") as runner:
            assert not kept.exists()
            fuse(runner, 16, 16)
            assert kept.read_bytes() == b"pretended 1x1x16x16"
            fuse(runner, 8, 8)
            assert kept.read_bytes() == b"pretended 1x1x16x16"
        assert kept.read_bytes() == b"pretended 1x1x16x16 1x1x8x8"
        written = kept.stat().st_mtime_ns
        start(engine, (16, 16))
        assert kept.stat().st_mtime_ns == written  # with nothing new, it is not written
        start(engine, (32, 32))
        assert kept.read_bytes() == b"pretended 1x1x16x16 1x1x32x32 1x1x8x8"
    assert gpu.loads == [True, True]
    assert gpu.outlived == []
    assert caplog.records == []
    assert [path.name for path in kept.parent.iterdir()] == [kept.name]
    assert kept.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("content", [b"of another GPU", b""])
def test_a_foreign_file_is_one_line_and_written_anew(
    engine: Path, kept: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Of another machine, release or driver, or cut short."""
    start(engine, (16, 16))
    kept.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        start(engine, (8, 8))
    assert [record.message for record in caplog.records] == [
        f"{kept}: damaged, or not of this GPU and driver; kernels are compiled, and it is written anew"
    ]
    assert kept.read_bytes() == b"pretended 1x1x8x8"


def test_what_makes_kernels_unfit_makes_another_file(engine: Path, kept: Path) -> None:
    """The engine's bytes, the GPU, its driver and the release; and the folder is the user's choice."""
    file = read_engine(engine, "tensorrt-rtx")
    others = {
        cache_path(dataclasses.replace(file, content=b"vtrt other"), GPU, "1.7.1"),
        cache_path(file, dataclasses.replace(GPU, name="Pretend GPU Ti"), "1.7.1"),
        cache_path(file, dataclasses.replace(GPU, cuda="13.1"), "1.7.1"),
        cache_path(file, GPU, "1.8.0"),
        kept,
    }
    assert len(others) == 5
    assert all(path.is_relative_to(os.environ["EDGEFUSE_CACHE"]) for path in others)


def test_a_folder_that_cannot_be_used_is_one_line(
    engine: Path, kept: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Others may write to it, or nobody can; frames are fused all the same."""
    start(engine, (16, 16))
    kept.parent.chmod(0o777)
    with caplog.at_level(logging.WARNING):
        start(engine, (8, 8))
        assert [record.message for record in caplog.records] == [
            f"{kept.parent}: other users may write to it; compiled kernels are not kept there"
        ]
        assert kept.read_bytes() == b"pretended 1x1x16x16"
        caplog.clear()
        file = engine.with_name("file")
        file.write_bytes(b"")
        monkeypatch.setenv("EDGEFUSE_CACHE", str(file))
        start(engine, (8, 8))
    assert len(caplog.records) == 1
    assert "compiled kernels are not kept (" in caplog.records[0].message


@pytest.mark.parametrize(("name", "times"), [("serialize", 1), ("deserialize", 1), ("create", 1), ("set", 1)])
def test_a_library_that_fails_is_not_in_the_way(
    gpu: Any, engine: Path, name: str, times: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whichever call it refuses, by raising or by its result."""
    del gpu
    start(engine, (16, 16))
    config = sys.modules["tensorrt_rtx"].RuntimeConfig

    def fail(*_: Any) -> Any:
        raise RuntimeError("no\nmore")

    if name == "create":
        monkeypatch.setattr(config, "create_runtime_cache", lambda _: None)
    elif name == "set":
        monkeypatch.setattr(config, "set_runtime_cache", lambda *_: False)
    else:
        monkeypatch.setattr(type(config().create_runtime_cache()), name, fail)
    with caplog.at_level(logging.WARNING):
        start(engine, (8, 8))
    assert len(caplog.records) == times
    assert "\n" not in caplog.records[0].message


def test_tensorrt_has_none(gpu: Any, write_engine: Any) -> None:
    """Its engines are machine code already."""
    gpu.engines[b"ftrt engine"] = {}
    with TensorRtRunner(write_engine(), kind="tensorrt") as runner:
        fuse(runner, 16, 16)
    assert not Path(os.environ["EDGEFUSE_CACHE"]).exists()
