"""Engines and ONNX Runtime on a real GPU, against ONNX Runtime on the CPU."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgefuse.runtime import TensorRtRunner, create_runner
from edgefuse.zoo import ASSETS

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("cuda_device")]

RNG = np.random.default_rng(0)
SUFFIXES = {"tensorrt": ".plan", "tensorrt-rtx": ".rtx"}


def build(kind: Any, folder: Path, **options: Any) -> Path:
    """An engine of the bundled network."""
    library = pytest.importorskip(kind.replace("-", "_"))
    pytest.importorskip("pycuda.driver")
    from edgefuse.export import export
    from edgefuse.export.engine import library_targets
    from edgefuse.runtime.device_memory import find_gpu

    targets = (find_gpu().target,) if kind == "tensorrt-rtx" else ()
    if not set(targets) <= set(library_targets(library)):
        pytest.skip(f"{kind} does not know {targets[0]}")
    path = folder / f"lite{SUFFIXES[kind]}"
    return export(ASSETS / "lite.onnx", path, format=kind, targets=targets, **options).path


@pytest.mark.parametrize("kind", list(SUFFIXES))
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_an_engine_draws_the_same_picture(kind: str, precision: Any, tmp_path: Path) -> None:
    """Frames before and after the capture, at several sizes, and again after a restart."""
    path = build(kind, tmp_path, precision=precision, dynamic=True, imgsz=[(96, 128), (48, 64), (192, 256)])
    # fp32 products run in TF32 on tensor cores; fp16 as docs/export.md states.
    tolerance = {"fp32": 2e-3, "fp16": 1e-2}[precision]
    runner = create_runner(path, device="cuda")
    with create_runner("lite") as reference:
        for _ in range(2):
            with runner:
                for size in ((96, 128), (48, 64), (192, 256), (96, 128)):
                    for _ in range(3):
                        ir, vis = RNG.random((2, 1, 1, *size), dtype=np.float32)
                        difference = np.abs(runner.infer(ir, vis) - reference.infer(ir, vis))
                        assert difference.max() <= tolerance


def test_tensorrt_is_captured(tmp_path: Path) -> None:
    """The network has nothing that a graph could not hold."""
    path = build("tensorrt", tmp_path, imgsz=(96, 128))
    with TensorRtRunner(path, kind="tensorrt") as runner:
        runner.infer(*RNG.random((2, 1, 1, 96, 128), dtype=np.float32))
        assert runner.captured


@pytest.mark.parametrize("kind", list(SUFFIXES))
def test_memory_does_not_grow_with_frames(kind: str, tmp_path: Path) -> None:
    """Free memory of the GPU is the same after a thousand frames."""
    import torch

    path = build(kind, tmp_path, imgsz=(96, 128))
    ir, vis = RNG.random((2, 1, 1, 96, 128), dtype=np.float32)
    with create_runner(path, device="cuda") as runner:
        for _ in range(20):
            runner.infer(ir, vis)
        time.sleep(2.0)  # TensorRT-RTX compiles kernels for the very shape meanwhile
        runner.infer(ir, vis)
        before = torch.cuda.mem_get_info()[0]
        for _ in range(1000):
            runner.infer(ir, vis)
        assert torch.cuda.mem_get_info()[0] >= before


def test_onnx_runtime_on_cuda_agrees_with_the_cpu() -> None:
    """At two sizes, on tensors that stay where they are."""
    onnxruntime = pytest.importorskip("onnxruntime")
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has no CUDA")
    with create_runner("lite", device="cuda") as gpu, create_runner("lite") as cpu:
        for size in ((96, 128), (48, 64), (96, 128)):
            ir, vis = RNG.random((2, 1, 1, *size), dtype=np.float32)
            assert np.abs(gpu.infer(ir, vis) - cpu.infer(ir, vis)).max() <= 2e-3
