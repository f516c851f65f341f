"""Engines and ONNX Runtime on a real GPU, against ONNX Runtime on the CPU."""

from __future__ import annotations

import gc
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgefuse.fuser import Fuser
from edgefuse.kernels.warp import PairWarp
from edgefuse.runtime import DevicePairs, TensorRtRunner, create_runner
from edgefuse.stream.fusing import HostPairs
from edgefuse.zoo import ASSETS

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("cuda_device")]

RNG = np.random.default_rng(0)
SUFFIXES = {"tensorrt": ".plan", "tensorrt-rtx": ".rtx"}
TURN = np.array([[1.05, 0.03, -4.0], [-0.02, 0.97, 2.5], [2e-4, -1e-4, 1.0]])


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled kernels go into a folder of the test."""
    monkeypatch.setenv("EDGEFUSE_CACHE", str(tmp_path / "cache"))


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


def test_compiled_kernels_are_taken_at_the_next_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """TensorRT-RTX takes its own file without a word and draws the same picture; a damaged one is written anew."""
    path = build("tensorrt-rtx", tmp_path, dynamic=True, imgsz=[(96, 128)])
    ir, vis = RNG.random((2, 1, 1, 96, 128), dtype=np.float32)
    pictures = []
    for warnings in (0, 0, 1, 0):
        caplog.clear()
        with create_runner(path, device="cuda") as runner:
            pictures.append(runner.infer(ir, vis))
        assert len(caplog.records) == warnings
        (kept,) = (tmp_path / "cache" / "tensorrt-rtx").glob("*/*.cache")
        if len(pictures) == 2:
            kept.write_bytes(b"damaged" * 100)
    for picture in pictures:
        np.testing.assert_allclose(picture, pictures[0], rtol=0.0, atol=2e-3)


def test_a_stopped_runner_gives_its_memory_back(tmp_path: Path) -> None:
    """Weights and scratch memory at once: without the garbage collector, a hundred starts take no more than one."""
    import torch

    path = build("tensorrt", tmp_path, imgsz=(96, 128))
    ir, vis = RNG.random((2, 1, 1, 96, 128), dtype=np.float32)
    free = []
    gc.disable()
    try:
        for _ in range(100):
            with create_runner(path, device="cuda") as runner:
                runner.infer(ir, vis)
            free.append(torch.cuda.mem_get_info()[0])
    finally:
        gc.enable()
    assert free[-1] >= free[4] - (16 << 20)


def pairs_of(runner: Any) -> DevicePairs:
    """What takes whole frames, or a skip with the reason."""
    if runner.pairs is None:
        stop = pytest.fail if os.environ.get("EDGEFUSE_REQUIRE_GPU") == "1" else pytest.skip
        stop(runner.frame_path)
    pairs: DevicePairs = runner.pairs
    return pairs


def random_frames(dtype: Any, ir_size: tuple[int, int], vis_shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Noise for both cameras."""
    high = 1.0 if dtype == np.float32 else float(np.iinfo(dtype).max)
    return (RNG.random(ir_size) * high).astype(dtype), RNG.integers(0, 256, vis_shape).astype(np.uint8)


@pytest.mark.parametrize("kind", list(SUFFIXES))
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_frames_stay_on_the_gpu_and_are_the_cpus(kind: str, precision: Any, tmp_path: Path) -> None:
    """Warp and colour by CUDA around an engine give the C++ code's frames around it, within one grey level."""
    path = build(kind, tmp_path, precision=precision, dynamic=True, imgsz=[(96, 128), (48, 64), (192, 256)])
    with create_runner(path, device="cuda") as runner:
        on_gpu, on_cpu = pairs_of(runner), HostPairs(Fuser(runner))
        for ir_size, vis_size, size in (
            ((50, 70), (93, 121), (96, 128)),
            ((90, 140), (45, 61), (48, 64)),
            ((120, 160), (192, 256), (192, 256)),
            ((50, 70), (93, 121), (96, 128)),
        ):
            warp = PairWarp(TURN, ir_size=ir_size, vis_size=vis_size)
            for dtype, vis_shape in (
                (np.uint8, (*vis_size, 3)),
                (np.uint16, vis_size),
                (np.float32, (*vis_size, 3)),
                *[(np.uint16, (*vis_size, 3))] * 4,  # the first is enqueued call by call, the others are one graph
            ):
                ir, vis = random_frames(dtype, ir_size, vis_shape)
                span = {"low": float(RNG.uniform(0.0, 0.3)) * ir.max(), "high": 0.9 * ir.max(), "size": size}
                results = []
                for pairs in (on_gpu, on_cpu):
                    pairs.register(warp, ir, vis, **span)
                    pairs.infer()
                    results.append(pairs.finish().astype(int))
                assert np.abs(results[0] - results[1]).max() <= 1
            assert on_gpu.captured == (kind == "tensorrt")


@pytest.mark.parametrize("kind", list(SUFFIXES))
def test_a_fuser_draws_the_same_picture_on_either_path(kind: str, tmp_path: Path) -> None:
    """Images of every kind of infrared, within one grey level."""
    path = build(kind, tmp_path, imgsz=(96, 128))
    with create_runner(path, device="cuda") as runner:
        pairs_of(runner)
        fuser = Fuser(runner)
        for dtype in (np.uint8, np.uint16, np.float32):
            ir, vis = random_frames(dtype, (90, 121), (90, 121, 3))
            wanted = fuser.finish(runner.infer(*fuser.prepare(ir, vis)), vis)
            assert np.abs(fuser(ir, vis).astype(int) - wanted).max() <= 1


@pytest.mark.parametrize("kind", list(SUFFIXES))
def test_memory_does_not_grow_with_whole_frames(kind: str, tmp_path: Path) -> None:
    """Free memory of the GPU is the same after a thousand of them, and after a hundred changes of geometry."""
    import torch

    path = build(kind, tmp_path, imgsz=(96, 128))
    warps = [PairWarp(TURN, ir_size=(50, 70), vis_size=(93, 121)) for _ in range(2)]
    with create_runner(path, device="cuda") as runner:
        pairs = pairs_of(runner)
        ir, vis = random_frames(np.uint16, (50, 70), (93, 121, 3))

        def fuse(warp: PairWarp, times: int) -> None:
            for _ in range(times):
                pairs.register(warp, ir, vis, low=0.0, high=60000.0, size=(96, 128))
                pairs.infer()
                pairs.finish()

        fuse(warps[0], 20)
        time.sleep(2.0)  # TensorRT-RTX compiles kernels for the very shape meanwhile
        for number in range(4):
            fuse(warps[number % 2], 2)
        before = torch.cuda.mem_get_info()[0]
        fuse(warps[1], 1000)
        assert torch.cuda.mem_get_info()[0] >= before
        for number in range(100):
            fuse(warps[number % 2], 2)
        # The driver may hold on to a block or two of 2 MiB; a hundred geometries that were kept would take 15.
        assert torch.cuda.mem_get_info()[0] >= before - (4 << 20)


def test_onnx_runtime_on_cuda_agrees_with_the_cpu() -> None:
    """At two sizes, on tensors that stay where they are."""
    onnxruntime = pytest.importorskip("onnxruntime")
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has no CUDA")
    with create_runner("lite", device="cuda") as gpu, create_runner("lite") as cpu:
        for size in ((96, 128), (48, 64), (96, 128)):
            ir, vis = RNG.random((2, 1, 1, *size), dtype=np.float32)
            assert np.abs(gpu.infer(ir, vis) - cpu.infer(ir, vis)).max() <= 2e-3
