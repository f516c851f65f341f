"""Whole frames on a pretended GPU, by the CUDA library's kernels compiled for the host, against the CPU's frames."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgefuse
from edgefuse.calibrate import Calibration
from edgefuse.errors import ArtifactError, InputError, UsageError
from edgefuse.fuser import Fuser
from edgefuse.kernels import replace_luminance_bgr
from edgefuse.kernels.warp import PairWarp
from edgefuse.runtime import DevicePairs, TensorRtRunner
from edgefuse.stream.agc import ThermalAgc
from edgefuse.stream.frame import Frame
from edgefuse.stream.fusing import STAGES, HostPairs, PairFuser
from edgefuse.stream.pairing import Pair
from edgefuse.stream.registration import Registration

RNG = np.random.default_rng(0)
IR_SIZE, VIS_SIZE, SIZE = (40, 52), (45, 61), (48, 64)
SHIFT = np.array([[1.0, 0.0, 5.0], [0.0, 1.0, -3.0], [0.0, 0.0, 1.0]])
FREE = {"shape": (1, 1, -1, -1), "profiles": [((1, 1, 8, 8), (1, 1, 48, 64), (1, 1, 96, 128))]}
ON_GPU = "frames are registered and coloured on the GPU, with the engine"
ENGINE_ALLOCATIONS, FRAME_ALLOCATIONS = 3, 4 + 5
"""Inputs and output; both frames, the gain and the fused frame, and the tables of the geometry."""


def frames(
    dtype: Any = np.uint16, *, ir_size: tuple[int, int] = IR_SIZE, vis_shape: tuple[int, ...] = (*VIS_SIZE, 3)
) -> tuple[np.ndarray, np.ndarray]:
    """Noise for both cameras."""
    high = 1.0 if dtype == np.float32 else float(np.iinfo(dtype).max)
    return (RNG.random(ir_size) * high).astype(dtype), RNG.integers(0, 256, vis_shape).astype(np.uint8)


def on_cpu(warp: PairWarp, ir: np.ndarray, vis: np.ndarray, **options: Any) -> np.ndarray:
    """The fused frame by the C++ code, around a network that averages."""
    ir_input, vis_input = warp(ir, vis, **options)
    plane = (np.float32(0.5) * (ir_input + vis_input))[0, 0, : vis.shape[0], : vis.shape[1]]
    if vis.ndim == 3:
        return replace_luminance_bgr(vis, plane)
    return (np.clip(plane, 0.0, 1.0) * np.float32(255.0) + np.float32(0.5)).astype(np.uint8)


def on_gpu(pairs: DevicePairs, warp: PairWarp, ir: np.ndarray, vis: np.ndarray, **options: Any) -> np.ndarray:
    """The fused frame by the three steps."""
    pairs.register(warp, ir, vis, **options)
    pairs.infer()
    return pairs.finish()


@pytest.fixture
def engine_path(gpu: Any, write_engine: Any) -> Path:
    """An engine that averages images of 48x64."""
    gpu.engines[b"ftrt engine"] = {"shape": (1, 1, *SIZE)}
    return write_engine(imgsz=SIZE)


@pytest.fixture
def runner(gpu_kernels: Any, engine_path: Path) -> Iterator[TensorRtRunner]:
    """That engine, active, with the CUDA library beside it."""
    with TensorRtRunner(engine_path, kind="tensorrt") as active:
        assert active.frame_path == ON_GPU
        yield active


@pytest.fixture
def warp() -> PairWarp:
    """A geometry in which part of the visible frame is out of the infrared camera's sight."""
    return PairWarp(SHIFT, ir_size=IR_SIZE, vis_size=VIS_SIZE)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("vis_shape", [VIS_SIZE, (*VIS_SIZE, 3)])
def test_frames_are_those_of_the_cpu(
    runner: TensorRtRunner, warp: PairWarp, dtype: Any, vis_shape: tuple[int, ...]
) -> None:
    """To the bit, before and after the capture, though the gain changes from frame to frame; none is overwritten."""
    assert runner.pairs is not None
    expected, results = [], []
    for share in (0.1, 0.2, 0.3, 0.4):
        ir, vis = frames(dtype, vis_shape=vis_shape)
        gain = {"low": share * float(ir.max()), "high": 0.9 * float(ir.max()), "size": SIZE}
        expected.append(on_cpu(warp, ir, vis, **gain))
        results.append(on_gpu(runner.pairs, warp, ir, vis, **gain))
        assert runner.pairs.captured
    np.testing.assert_array_equal(results, expected)


def test_nothing_is_allocated_for_a_frame(gpu: Any, gpu_kernels: Any, engine_path: Path, warp: PairWarp) -> None:
    """All of it with the first frame; every further one is a single launch; all of it is given back."""
    before = {what: gpu.count(what) for what in ("device", "host", "live", "launches")}
    with TensorRtRunner(engine_path, kind="tensorrt") as runner:
        assert runner.pairs is not None
        for _ in range(5):
            on_gpu(runner.pairs, warp, *frames(), low=0.0, high=60000.0, size=SIZE)
        for what in ("device", "host"):
            assert gpu.count(what) - before[what] == ENGINE_ALLOCATIONS + FRAME_ALLOCATIONS
        assert gpu.count("launches") - before["launches"] == 4
    assert gpu.count("live") == before["live"]


def test_another_geometry_takes_the_place_of_the_last(gpu: Any, gpu_kernels: Any, write_engine: Any) -> None:
    """Other types, channels, sizes or calibrations on an engine of free sizes; nothing of the old one is kept."""
    gpu.engines[b"ftrt free"] = FREE
    with TensorRtRunner(write_engine(b"ftrt free", imgsz=None), kind="tensorrt") as runner:
        assert runner.pairs is not None
        small = PairWarp.stretching(ir_size=(20, 30), vis_size=(16, 24))
        large = PairWarp(SHIFT, ir_size=IR_SIZE, vis_size=VIS_SIZE)
        moved = PairWarp(np.linalg.inv(SHIFT), ir_size=IR_SIZE, vis_size=VIS_SIZE)
        live = set()
        for warp, dtype, channels, size in (
            (large, np.uint16, 3, (48, 64)),
            (large, np.uint8, 3, (48, 64)),
            (large, np.uint8, 1, (48, 64)),
            (moved, np.uint8, 1, (48, 64)),
            (moved, np.uint8, 1, (96, 128)),
            (small, np.uint16, 3, (16, 24)),
            (large, np.uint16, 3, (48, 64)),
        ):
            vis_shape = warp.vis_size if channels == 1 else (*warp.vis_size, 3)
            for _ in range(3):
                ir, vis = frames(dtype, ir_size=warp.ir_size, vis_shape=vis_shape)
                gain = {"low": 10.0, "high": 200.0, "size": size}
                np.testing.assert_array_equal(
                    on_gpu(runner.pairs, warp, ir, vis, **gain), on_cpu(warp, ir, vis, **gain)
                )
            live.add(gpu.count("live"))
        assert len(live) == 1
        with pytest.raises(InputError, match="takes 1x1x8x8 to 1x1x96x128"):
            runner.pairs.register(large, *frames(), low=0.0, high=1.0, size=(200, 300))
        ir, vis = frames()
        gain = {"low": 0.0, "high": 50000.0, "size": SIZE}
        np.testing.assert_array_equal(on_gpu(runner.pairs, large, ir, vis, **gain), on_cpu(large, ir, vis, **gain))


def test_tensors_and_frames_share_an_engine(gpu: Any, gpu_kernels: Any, write_engine: Any, warp: PairWarp) -> None:
    """In turns, at one size and at several: a graph never outlives the size that it was captured for."""
    gpu.engines[b"ftrt free"] = FREE
    with TensorRtRunner(write_engine(b"ftrt free", imgsz=None), kind="tensorrt") as runner:
        assert runner.pairs is not None
        for size in ((48, 64), (48, 64), (16, 16), (48, 64), (80, 120)):
            ir_input, vis_input = RNG.random((2, 1, 1, *size), dtype=np.float32)
            np.testing.assert_array_equal(runner.infer(ir_input, vis_input), 0.5 * (ir_input + vis_input))
            ir, vis = frames()
            gain = {"low": 5000.0, "high": 60000.0, "size": SIZE}
            np.testing.assert_array_equal(on_gpu(runner.pairs, warp, ir, vis, **gain), on_cpu(warp, ir, vis, **gain))


def test_a_refused_capture_is_said_once(
    runner: TensorRtRunner, gpu: Any, warp: PairWarp, caplog: pytest.LogCaptureFixture
) -> None:
    """Frames are enqueued call by call then, as TensorRT-RTX has it always, and are as right."""
    assert runner.pairs is not None
    gpu.driver.pretend_refuse_capture(1)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            ir, vis = frames()
            gain = {"low": 5000.0, "high": 60000.0, "size": SIZE}
            np.testing.assert_array_equal(on_gpu(runner.pairs, warp, ir, vis, **gain), on_cpu(warp, ir, vis, **gain))
    assert not runner.pairs.captured
    assert [record.message.split(" (")[0] for record in caplog.records] == ["no CUDA graph"]


def test_bad_frames_are_refused_as_the_cpu_refuses_them(runner: TensorRtRunner, warp: PairWarp) -> None:
    """Before anything is copied; the next good frame is fused."""
    assert runner.pairs is not None
    ir, vis = frames()
    gain = {"low": 5000.0, "high": 60000.0, "size": SIZE}
    for bad_ir, bad_vis in ((ir[:-1], vis), (ir.astype(np.float64), vis), (ir, vis[:, :-1]), (ir, vis.astype(float))):
        with pytest.raises(InputError) as caught:
            runner.pairs.register(warp, bad_ir, bad_vis, **gain)
        with pytest.raises(InputError) as wanted:
            warp(bad_ir, bad_vis, **gain)
        assert str(caught.value) == str(wanted.value)
    with pytest.raises(UsageError, match="low < high"):
        runner.pairs.register(warp, ir, vis, low=1.0, high=1.0, size=SIZE)
    np.testing.assert_array_equal(on_gpu(runner.pairs, warp, ir, vis, **gain), on_cpu(warp, ir, vis, **gain))


def test_memory_that_is_short_is_one_line_and_nothing_is_lost(
    runner: TensorRtRunner, gpu: Any, warp: PairWarp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever allocation fails; with memory again, the frame is fused."""
    import pycuda.driver

    assert runner.pairs is not None
    allocate, live, successes = pycuda.driver.mem_alloc, gpu.count("live"), iter(())

    def allocate_some(size: int) -> Any:
        if next(successes, None) is None:
            raise pycuda.driver.Error("cuMemAlloc failed: out of memory\nmore")
        return allocate(size)

    monkeypatch.setattr(pycuda.driver, "mem_alloc", allocate_some)
    ir, vis = frames()
    gain = {"low": 5000.0, "high": 60000.0, "size": SIZE}
    for number in range(FRAME_ALLOCATIONS):
        successes = iter(range(number))
        with pytest.raises(ArtifactError, match=r"^Pretend GPU: cuMemAlloc failed: out of memory$"):
            runner.pairs.register(warp, ir, vis, **gain)
        assert gpu.count("live") == live
    successes = iter(range(FRAME_ALLOCATIONS))
    np.testing.assert_array_equal(on_gpu(runner.pairs, warp, ir, vis, **gain), on_cpu(warp, ir, vis, **gain))


def test_frames_after_the_end_are_refused(gpu_kernels: Any, engine_path: Path, warp: PairWarp) -> None:
    """Their memory and the engine's are gone; a new start brings new ones."""
    runner = TensorRtRunner(engine_path, kind="tensorrt")
    assert (runner.pairs, runner.frame_path) == (None, None)
    for _ in range(2):
        with runner:
            pairs = runner.pairs
            assert pairs is not None
            on_gpu(pairs, warp, *frames(), low=0.0, high=60000.0, size=SIZE)
        assert (runner.pairs, runner.frame_path) == (None, None)
        with pytest.raises(ArtifactError, match="not active any more"):
            pairs.register(warp, *frames(), low=0.0, high=1.0, size=SIZE)


def test_the_cpu_serves_with_the_reason(gpu: Any, gpu_kernels: Any, write_engine: Any, engine_path: Path) -> None:
    """A GPU that the library does not know, an engine of halves, a library that is missing: one line each."""
    gpu_kernels.edgefuse_host_image(0)
    with TensorRtRunner(engine_path, kind="tensorrt") as runner:
        assert runner.pairs is None
        assert "on the CPU: the GPU does not take the CUDA library: no kernel image" in str(runner.frame_path)
    gpu_kernels.edgefuse_host_image(1)
    gpu.engines[b"ftrt half"] = {"shape": (1, 1, *SIZE), "dtype": "half"}
    with TensorRtRunner(write_engine(b"ftrt half", name="half.plan", imgsz=SIZE), kind="tensorrt") as runner:
        assert runner.pairs is None
        assert str(runner.frame_path).endswith("the inputs and the output of the engine are not all float32")


def test_without_the_library_a_stream_is_fused_all_the_same(gpu: Any, engine_path: Path, average_model: Path) -> None:
    """By the CPU's code around the engine, as with any other runtime."""
    with edgefuse.load(engine_path, device="cuda") as fuser, edgefuse.load(average_model) as reference:
        assert fuser.runner.pairs is None
        assert "on the CPU: this installation has no CUDA library: install from" in str(fuser.runner.frame_path)
        assert reference.runner.frame_path is None
        _compare_streams(fuser, reference, "percentile", most=0)


@pytest.mark.parametrize("mode", ["percentile", "clahe", "none"])
def test_a_stream_shows_the_cpus_pictures(gpu_kernels: Any, engine_path: Path, average_model: Path, mode: str) -> None:
    """Gain control, calibration, network and colour: the same fused frames, the same registered infrared."""
    with edgefuse.load(engine_path, device="cuda") as fuser, edgefuse.load(average_model, imgsz=SIZE) as reference:
        assert fuser.runner.pairs is not None
        _compare_streams(fuser, reference, mode, most=1)


def _compare_streams(fuser: Fuser, reference: Fuser, mode: Any, *, most: int) -> None:
    calibration = Calibration.of(SHIFT, ir_size=IR_SIZE, vis_size=VIS_SIZE)
    ours, theirs = (
        PairFuser(one, agc=ThermalAgc(mode), registration=Registration(calibration)) for one in (fuser, reference)
    )
    for number in range(4):
        if number == 2:  # as four clicks in the preview do
            moved = Calibration.of(np.linalg.inv(SHIFT), ir_size=IR_SIZE, vis_size=VIS_SIZE)
            ours.registration, theirs.registration = Registration(moved), Registration(moved)
        images = zip(("ir", "vis"), frames(), strict=True)
        pair = Pair(*(Frame(role, image, number, None, number / 30, 0.0) for role, image in images), 0.0, False, 0.0)
        actual, wanted = ours(pair, rate_hz=30.0), theirs(pair, rate_hz=30.0)
        assert np.abs(actual.fused.astype(int) - wanted.fused).max() <= most
        np.testing.assert_array_equal(actual.ir_unit, wanted.ir_unit)
        assert set(actual.stage_ms) == set(STAGES)


def test_a_model_may_be_exchanged_for_one_on_the_gpu_and_back(
    gpu_kernels: Any, engine_path: Path, average_model: Path
) -> None:
    """From the next pair on each has its own path."""
    with edgefuse.load(engine_path, device="cuda") as fuser, edgefuse.load(average_model) as reference:
        fuse = PairFuser(reference, agc=ThermalAgc(), registration=Registration(resize=True))
        ir, vis = frames()
        pair = Pair(Frame("ir", ir, 0, None, 0.0, 0.0), Frame("vis", vis, 0, None, 0.0, 0.0), 0.0, False, 0.0)
        pictures = [fuse(pair, rate_hz=30.0).fused]
        for other, kind in ((fuser, DevicePairs), (reference, HostPairs)):
            fuse.exchange(other)
            assert isinstance(fuse._pairs, kind)
            pictures.append(fuse(pair, rate_hz=30.0).fused)
        np.testing.assert_array_equal(pictures[0], pictures[2])
        assert np.abs(pictures[0].astype(int) - pictures[1]).max() <= 1


@pytest.mark.parametrize("colour", [False, True])
def test_a_fuser_draws_the_cpus_pictures(
    gpu_kernels: Any, engine_path: Path, average_model: Path, colour: bool
) -> None:
    """Of every kind of infrared image, at several sizes, and it refuses what the CPU refuses."""
    with edgefuse.load(engine_path, device="cuda") as fuser, edgefuse.load(average_model, imgsz=SIZE) as reference:
        assert fuser.runner.pairs is not None
        for size in ((45, 61), (48, 64), (20, 31), (45, 61)):
            unit = RNG.random(size)
            vis = RNG.integers(0, 256, (*size, 3) if colour else size).astype(np.uint8)
            kinds = (unit * 255).astype(np.uint8), (7000 + 900 * unit).astype(np.uint16), unit, 290.0 + 30.0 * unit
            for ir in (*kinds, unit.astype(np.float16), np.full(size, 300.0)):
                difference = np.abs(fuser(ir, vis).astype(int) - reference(ir, vis))
                assert difference.max() <= 1
        with pytest.raises(InputError, match="not finite"):
            fuser(np.full(size, np.nan), vis)
        with pytest.raises(InputError, match="at most 64x48"):
            fuser(np.zeros((50, 64), np.uint8), np.zeros((50, 64), np.uint8))
        with pytest.raises(InputError, match="the two must be registered"):
            fuser(np.zeros((20, 20), np.uint8), np.zeros((22, 20), np.uint8))


def test_the_stream_command_says_which_path_serves(gpu_kernels: Any, engine_path: Path, run_cli: Any) -> None:
    """Once, before the first picture."""
    source = "synthetic:?seed=1&size=64x48&rate=30"
    options = ("--ir-profile", "tlinear", "--model", engine_path, "--device", "cuda", "--frames", 3, "--json")
    result = run_cli("stream", "--ir", source, "--vis", source, *options)
    assert result.code == 0
    assert result.err.count(ON_GPU) == 1
    assert json.loads(result.out.strip().splitlines()[-1])["frames"] == 3
