"""What ``edgefuse doctor`` says of runtimes and GPUs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from edgefuse import machine
from edgefuse.kernels.warp import warp_cuda
from edgefuse.machine import Component, Gpu
from edgefuse.runtime.readiness import RuntimeReport, engine_frames, runtime_reports

ORIN = Gpu("Orin", "8.7", 0, "540.4")
ADA = Gpu("NVIDIA RTX 4070", "8.9", 12282, "580.82")


def reports(gpus: list[Gpu], **versions: str | None) -> dict[str, RuntimeReport]:
    """Reports for a machine with some GPUs and other versions than this one's, by runtime."""
    found = [
        Component(item.name, item.purpose, versions[key], None if versions[key] else f"install {item.name}")
        if (key := item.name.replace("-", "_")) in versions
        else item
        for item in machine.components()
    ]
    return {report.name: report for report in runtime_reports(found, gpus)}


def test_tensorrt_rtx_builds_for_all_it_knows_without_a_gpu() -> None:
    """Running them takes one."""
    trt = pytest.importorskip("tensorrt_rtx")
    report = reports([], PyCUDA=None)["tensorrt-rtx"]
    assert report.version == trt.__version__
    assert {"sm_75", "sm_86", "sm_120"} <= set(report.targets)
    assert report.runs_on == ()
    assert report.missing == ("an NVIDIA GPU with its driver",)


def test_a_gpu_that_rtx_does_not_know_is_sent_to_tensorrt() -> None:
    """As Jetson Orin; beside it, a GPU that it does know runs."""
    pytest.importorskip("tensorrt_rtx")
    orin = reports([ORIN], PyCUDA="2026.1")["tensorrt-rtx"]
    assert orin.runs_on == ()
    assert orin.missing[0].endswith("take tensorrt for sm_87")
    both = reports([ORIN, ADA], PyCUDA="2026.1")["tensorrt-rtx"]
    assert both.runs_on == ("NVIDIA RTX 4070",)
    assert both.missing == ()
    assert reports([ADA], PyCUDA=None)["tensorrt-rtx"].missing == ("pip install pycuda",)


def test_tensorrt_builds_for_the_gpus_of_this_machine(gpu: Any) -> None:
    """And for no other."""
    report = reports([ORIN], TensorRT="10.3.0", PyCUDA="2026.1")["tensorrt"]
    assert (report.version, report.runs_on, report.targets, report.missing) == ("10.3.0", ("Orin",), ("sm_87",), ())


def test_a_library_that_does_not_load_is_told_from_a_missing_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its package may be there without its shared libraries."""
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    assert reports([], TensorRT=None)["tensorrt"].missing[0] == "install TensorRT"
    assert "does not load" in reports([], TensorRT="10.3.0")["tensorrt"].missing[0]


def test_pytorch_without_cuda_is_no_use_on_a_gpu() -> None:
    """By its version alone; it is not imported."""
    report = reports([ADA], PyTorch="2.13.0+cpu")["torch"]
    assert report.runs_on == ("CPU",)
    assert "CUDA" in report.missing[0]
    assert reports([ADA], PyTorch="2.13.0")["torch"].runs_on == ("CPU", "NVIDIA RTX 4070")
    assert reports([], PyTorch=None)["torch"].runs_on == ()


def test_the_path_of_frames_is_one_line(
    gpu: Any, gpu_kernels: Any, monkeypatch: pytest.MonkeyPatch, run_cli: Any
) -> None:
    """With the CUDA library and without, with a GPU and without; doctor prints the same for a person and as JSON."""
    on_gpu = "frames are registered and coloured on the GPU, with the engine"
    assert engine_frames([ADA]) == on_gpu
    assert engine_frames([]) == f"{on_gpu}, once there is a GPU"
    monkeypatch.setattr(warp_cuda, "cuda_library_path", lambda: None)
    warp_cuda._library.cache_clear()
    why = engine_frames([ADA])
    assert why == engine_frames([])
    assert why.startswith("frames are registered and coloured on the CPU: this installation has no CUDA library: ")
    assert json.loads(run_cli("doctor", "--json").out)["engine_frames"] == why
    assert f"engines: {why}" in run_cli("doctor").out.splitlines()


def test_doctor_prints_them(run_cli: Any) -> None:
    """For a person and as JSON, from the same findings."""
    document = json.loads(run_cli("doctor", "--json").out)
    names = [report["name"] for report in document["runtimes"]]
    assert names == ["onnxruntime, cpu", "onnxruntime, cuda", "tensorrt", "tensorrt-rtx", "torch"]
    assert document["runtimes"][0]["runs_on"] == ["CPU"]
    shown = run_cli("doctor").out
    assert all(name in shown for name in names)
    assert "to run tensorrt-rtx: " in shown


def test_a_jetson_without_nvidia_smi_is_found_by_its_driver(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the driver library; without that either there is no GPU."""
    monkeypatch.setenv("PATH", "/nowhere")
    assert machine.gpus() == [Gpu("Pretend GPU", "8.6", 0, "for CUDA 13.0")]
    gpu.driver.pretend_devices(0)
    try:
        assert machine.gpus() == []
    finally:
        gpu.driver.pretend_devices(1)


@pytest.mark.parametrize(("package", "found"), [("exit 1", "L4T "), ("printf 6.1+b123", "JetPack 6.1+b123, L4T ")])
def test_jetpack_is_read_from_its_package_and_release(
    package: str, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slim image may have the release alone."""
    line = "R36 (release), REVISION: 4.0, GCID: 37537400, BOARD: generic"
    (tmp_path / "release").write_text(f"# {line}\n# more\n")
    (tmp_path / "dpkg-query").write_text(f"#!/bin/sh\n{package}\n")
    (tmp_path / "dpkg-query").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(machine, "_L4T_RELEASE", tmp_path / "release")
    monkeypatch.setattr(machine.platform, "machine", lambda: "aarch64")
    assert machine.jetpack() == found + line
    monkeypatch.setattr(machine.platform, "machine", lambda: "x86_64")
    assert machine.jetpack() is None
