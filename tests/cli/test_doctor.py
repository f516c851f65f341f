"""``edgefuse doctor`` and what it knows of the machine."""

from __future__ import annotations

import json
import shutil
from importlib import metadata
from pathlib import Path

import pytest

from edgefuse import machine
from edgefuse.errors import MissingDependencyError


def test_doctor_lists_what_is_here_and_how_to_get_the_rest(run_cli) -> None:
    """Installed packages show their version, missing ones their install command."""
    document = json.loads(run_cli("doctor", "--json").out)
    found = {item["name"]: item for item in document["components"]}
    assert found["NumPy"]["version"] == metadata.version("numpy")
    assert found["NumPy"]["fix"] is None
    for item in found.values():
        assert (item["version"] is None) <= bool(item["fix"])


def test_doctor_reads_well(run_cli) -> None:
    """A person sees the versions, the GPU line and whether the bundled models are whole."""
    result = run_cli("doctor")
    assert result.code == 0, result.out
    assert "OpenCV" in result.out
    assert "all match their manifests" in result.out


@pytest.mark.parametrize(("processor", "has_package"), [("x86_64", True), ("aarch64", False)])
def test_the_advice_fits_the_processor(monkeypatch: pytest.MonkeyPatch, processor: str, has_package: bool) -> None:
    """TensorRT-RTX has no package for aarch64: there TensorRT serves, on a Jetson that of JetPack."""
    monkeypatch.setattr("platform.machine", lambda: processor)
    monkeypatch.setattr(machine, "find_spec", lambda _: None)
    fixes = {item.name: str(item.fix) for item in machine.components()}
    assert ("pip install 'edgefuse[rtx]'" in fixes["TensorRT-RTX"]) == has_package
    assert ("take TensorRT, which a Jetson has from JetPack" in fixes["TensorRT-RTX"]) != has_package
    assert "pip install 'edgefuse[tensorrt]'" in fixes["TensorRT"]
    assert ("python3-libnvinfer" in fixes["TensorRT"]) != has_package
    assert fixes["PyTorch"] == "pip install 'edgefuse[train]'"
    missing = str(MissingDependencyError.for_package("tensorrt_rtx", extra="rtx", purpose="build engines"))
    assert missing.endswith(fixes["TensorRT-RTX"])


def test_a_damaged_bundled_model_is_found(run_cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit code says that something essential is missing, the line what to do."""
    import edgefuse.zoo

    for name in ("lite.onnx", "lite.json"):
        shutil.copy(edgefuse.zoo.ASSETS / name, tmp_path)
    with (tmp_path / "lite.onnx").open("ab") as stream:
        stream.write(b"\0")
    monkeypatch.setattr(edgefuse.zoo, "ASSETS", tmp_path)
    result = run_cli("doctor")
    assert result.code == 3
    assert "reinstall EdgeFuse" in result.out


def test_two_onnx_runtimes_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """They overwrite each other's files, and the command that mends it is given."""
    versions = {"onnxruntime": "1.31.1", "onnxruntime-gpu": "1.31.1"}
    monkeypatch.setattr(machine, "_version", versions.get)
    found = {item.name: item for item in machine.components()}
    assert "pip uninstall" in str(found["ONNX Runtime"].fix)


def test_a_system_opencv_that_does_not_load_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """JetPack's was built for NumPy 1 and is no package of pip's: beside NumPy 2 nothing of EdgeFuse would start."""
    (tmp_path / "cv2.py").write_text('raise ImportError("numpy.core.multiarray failed to import")')
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(machine, "_version", lambda name: None if name.startswith("opencv") else "1")
    opencv = next(item for item in machine.components() if item.name == "OpenCV")
    assert opencv.fix == "pip install 'numpy<2'"
    assert "failed to import" in str(opencv.note)
    monkeypatch.delenv("PYTHONPATH")
    assert next(item for item in machine.components() if item.name == "OpenCV").fix is None


def test_gpus_are_read_from_the_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names with commas survive; memory that the driver does not tell becomes 0."""
    smi = tmp_path / "nvidia-smi"
    smi.write_text(
        "#!/bin/sh\necho 'NVIDIA RTX A2000, Laptop, 8.6, 4096, 580.82'\necho 'Orin (nvgpu), 8.7, [N/A], 540.4'\n"
    )
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert machine.gpus() == [
        machine.Gpu("NVIDIA RTX A2000, Laptop", "8.6", 4096, "580.82"),
        machine.Gpu("Orin (nvgpu)", "8.7", 0, "540.4"),
    ]
