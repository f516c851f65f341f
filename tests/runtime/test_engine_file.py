"""Real engines, built here by TensorRT-RTX without a GPU, on their way to one that is not there."""

from __future__ import annotations

import contextlib
import ctypes
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

import edgefuse
from edgefuse.errors import ArtifactError, MissingDependencyError, TrustError, UsageError
from edgefuse.manifest import manifest_path, sha256_file
from edgefuse.runtime import TensorRtRunner, create_runner, device_memory
from edgefuse.runtime.engine_file import read_engine, read_header, rebuild_command


@pytest.fixture(scope="module")
def built(average_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An engine with its manifest."""
    pytest.importorskip("tensorrt_rtx")
    from edgefuse.export import export

    path = tmp_path_factory.mktemp("engine") / "average.rtx"
    size = {"dynamic": True, "imgsz": [(32, 32), (64, 64)]}
    export(average_model, path, format="tensorrt-rtx", targets=("sm_86", "sm_89"), **size)  # type: ignore[arg-type]
    return path


@pytest.fixture
def engine(built: Path, tmp_path: Path) -> Path:
    """A copy of it for a test to spoil."""
    for path in (built, manifest_path(built)):
        shutil.copy(path, tmp_path)
    return tmp_path / built.name


@pytest.fixture
def no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without the NVIDIA driver, wherever this runs."""
    monkeypatch.setattr(device_memory, "_DRIVER_LIBRARY", "libcuda-that-is-not-here.so")


def test_an_engine_passes_every_check_that_needs_no_gpu(engine: Path) -> None:
    """Hash, format and header; its rebuild command is one that edgefuse takes."""
    trt = pytest.importorskip("tensorrt_rtx")
    file = read_engine(engine, "tensorrt-rtx")
    assert file.header.library == "tensorrt-rtx"
    assert file.header.version == trt.__version__
    assert file.manifest is not None
    assert file.manifest.targets == ("sm_86", "sm_89")
    assert rebuild_command(file, "tensorrt-rtx").startswith(
        "edgefuse export average --format tensorrt-rtx --output average.rtx --overwrite"
    )


def test_then_the_missing_gpu_is_one_line_and_exit_3(engine: Path, no_driver: None) -> None:
    """Not before the file was found to be what it claims."""
    pytest.importorskip("tensorrt_rtx")
    with pytest.raises(MissingDependencyError, match="no NVIDIA driver on this machine") as caught:
        edgefuse.load(engine, device="cuda")
    assert caught.value.exit_code == 3
    assert "\n" not in str(caught.value)
    engine.write_bytes(engine.read_bytes() + b"\0")
    with pytest.raises(TrustError, match="content differs from its manifest"):
        edgefuse.load(engine, device="cuda")


def test_a_missing_library_names_its_extra(engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the GPU is looked for."""
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    with pytest.raises(MissingDependencyError, match=r"to run tensorrt-rtx engines: pip install 'edgefuse\[rtx\]'"):
        TensorRtRunner(engine, kind="tensorrt-rtx").activate()


def test_a_missing_pycuda_names_the_command(engine: Path, pretend_driver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a GPU is there."""
    monkeypatch.setattr(device_memory, "_driver", lambda: pretend_driver)
    monkeypatch.setitem(sys.modules, "pycuda", None)
    device_memory.open_device.cache_clear()
    with pytest.raises(MissingDependencyError, match="pip install pycuda"):
        TensorRtRunner(engine, kind="tensorrt-rtx").activate()


def test_what_the_library_refuses_is_one_line(gpu: Any, engine: Path) -> None:
    """The real TensorRT-RTX, which finds no GPU where the pretended driver claims one."""
    with contextlib.suppress(OSError):
        ctypes.CDLL(device_memory._DRIVER_LIBRARY)
        pytest.skip("this machine has a driver, and TensorRT-RTX finds it")
    with pytest.raises(ArtifactError) as caught:
        TensorRtRunner(engine, kind="tensorrt-rtx").activate()
    message = str(caught.value)
    assert "\n" not in message
    assert "does not load in tensorrt-rtx" in message
    assert "build it again here: edgefuse export average" in message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sha256": "0" * 64}, "content differs"),
        ({"file": "other.rtx"}, r"describes other\.rtx"),
        ({"format": "onnx"}, "describes a onnx file"),
        ({"schema_version": 99}, "manifest schema 99"),
        ({"file": "../average.rtx"}, "not a plain file name"),
    ],
)
def test_a_manifest_from_elsewhere_is_refused(engine: Path, change: dict[str, Any], message: str) -> None:
    """By name, hash, format and version."""
    place = manifest_path(engine)
    place.write_text(json.dumps({**json.loads(place.read_text()), **change}))
    with pytest.raises(ArtifactError, match=message):
        read_engine(engine, "tensorrt-rtx")


def test_an_engine_of_the_other_library_is_told_by_its_header(engine: Path) -> None:
    """A renamed file is not handed to the wrong library, trusted or not."""
    renamed = engine.with_suffix(".plan")
    engine.rename(renamed)
    place = manifest_path(renamed)
    manifest = {**json.loads(place.read_text()), "file": renamed.name, "format": "tensorrt"}
    place.write_text(json.dumps(manifest))
    for trust in (False, True):
        with pytest.raises(ArtifactError, match=r"a tensorrt-rtx engine; name it average\.rtx"):
            read_engine(renamed, "tensorrt", trust=trust)


def test_headers_of_other_bytes_say_nothing() -> None:
    """Short, empty or foreign."""
    for header in (b"", b"ftr", b"\x08\x07" + bytes(62)):
        assert read_header(header).library is None
    assert read_header(b"ftrt").version is None


def test_runtimes_and_files_that_do_not_fit_name_the_way(engine: Path, average_model: Path, tmp_path: Path) -> None:
    """An engine on the CPU, a graph on TensorRT, a file of no runtime."""
    with pytest.raises(UsageError, match="--device cuda"):
        edgefuse.load(engine)
    with pytest.raises(UsageError, match=r"runs on tensorrt-rtx, not on onnxruntime$"):
        create_runner(engine, runtime="onnxruntime", device="cuda")
    command = r"edgefuse export lite --format tensorrt --output MODEL\.plan, then --model MODEL\.plan"
    with pytest.raises(UsageError, match=f"runs on onnxruntime, not on tensorrt: {command}"):
        create_runner("lite", runtime="tensorrt", device="cuda")
    (tmp_path / "net.trt").write_bytes(b"")
    with pytest.raises(UsageError, match=r"no runtime for \.trt; give one of \.onnx, \.ort, \.plan, \.engine, \.rtx"):
        create_runner(tmp_path / "net.trt")


def test_the_command_line_gives_exit_codes(run_cli: Any, engine: Path, no_driver: None, tmp_path: Path) -> None:
    """3 for the missing GPU, 2 for a contradiction, 1 for a file that is not to be trusted; one line each."""
    import cv2
    import numpy as np

    for name in ("ir", "vis"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.zeros((40, 40), np.uint8))
    command = ["fuse", "--ir", tmp_path / "ir.png", "--vis", tmp_path / "vis.png", "--output", tmp_path / "fused.png"]
    model = ["--model", engine]
    assert run_cli(*command, *model).code == 2
    missing = run_cli(*command, *model, "--device", "cuda")
    assert missing.code == 3
    assert len(missing.err.splitlines()) == 1
    manifest_path(engine).unlink()
    refused = run_cli(*command, *model, "--device", "cuda")
    assert refused.code == 1
    assert "--trust-engine" in refused.err
    assert run_cli(*command, *model, "--device", "cuda", "--trust-engine").code == 3
    stream = run_cli("stream", "--ir", "synthetic:", "--vis", "synthetic:", *model, "--device", "cuda", "--frames", 1)
    assert stream.code == 1


def test_the_file_is_not_changed_by_reading(engine: Path) -> None:
    """Neither it nor its manifest."""
    before = sha256_file(engine), manifest_path(engine).read_bytes()
    read_engine(engine, "tensorrt-rtx")
    assert (sha256_file(engine), manifest_path(engine).read_bytes()) == before
