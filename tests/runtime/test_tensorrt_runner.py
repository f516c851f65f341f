"""Engines as runners, on a pretended GPU: memory, streams, graphs, sizes, and what is refused."""

from __future__ import annotations

import gc
import logging
import sys
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgefuse
from edgefuse.errors import ArtifactError, InputError, MissingDependencyError, TrustError
from edgefuse.manifest import manifest_path
from edgefuse.runtime import TensorRtRunner, create_runner, device_memory

RNG = np.random.default_rng(0)
FREE = {"shape": (1, 1, -1, -1), "profiles": [((1, 1, 8, 8), (1, 1, 16, 16), (1, 1, 32, 48))]}


def pair(height: int = 16, width: int = 16, *, batch: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Two images of noise."""
    ir, vis = RNG.random((2, batch, 1, height, width), dtype=np.float32)
    return ir, vis


@pytest.fixture
def average(gpu: Any, write_engine: Any) -> TensorRtRunner:
    """A runner of an engine that averages images of 16x16."""
    gpu.engines[b"ftrt engine"] = {}
    return TensorRtRunner(write_engine(), kind="tensorrt")


def test_frames_are_right_and_belong_to_the_caller(average: TensorRtRunner) -> None:
    """The first is enqueued, the others launched as one graph; none is overwritten by a later one."""
    pairs = [pair() for _ in range(4)]
    with average:
        results = []
        for images in pairs:
            results.append(average.infer(*images))
            assert average.captured
    for (ir, vis), fused in zip(pairs, results, strict=True):
        np.testing.assert_array_equal(fused, 0.5 * (ir + vis))


def test_nothing_is_allocated_for_a_frame(average: TensorRtRunner, gpu: Any) -> None:
    """Three tensors on each side, once; every frame but the first is one launch; all of it is given back."""
    before = {what: gpu.count(what) for what in ("device", "host", "live", "launches")}
    with average:
        for _ in range(5):
            average.infer(*pair())
        assert gpu.count("device") - before["device"] == 3
        assert gpu.count("host") - before["host"] == 3
        assert gpu.count("launches") - before["launches"] == 4
    assert gpu.count("live") == before["live"]


def test_it_starts_again_after_it_was_stopped(average: TensorRtRunner) -> None:
    """Activating and deactivating twice does nothing; between them it says that it is not active."""
    ir, vis = pair()
    for _ in range(2):
        average.activate()
        average.activate()
        np.testing.assert_array_equal(average.infer(ir, vis), 0.5 * (ir + vis))
        average.deactivate()
        average.deactivate()
        with pytest.raises(ArtifactError, match="not active"):
            average.infer(ir, vis)


def test_the_engine_is_freed_when_it_is_stopped(average: TensorRtRunner) -> None:
    """Its weights and its scratch memory at once, not when the garbage collector comes by."""
    gc.disable()
    try:
        average.activate()
        average.infer(*pair())
        assert average._work is not None
        held = [weakref.ref(one) for one in (average._work, average._work._engine._context, average._work.stream)]
        average.deactivate()
        assert [one() for one in held] == [None] * 3
    finally:
        gc.enable()


def test_a_gpu_that_failed_is_left_without_a_second_error(
    average: TensorRtRunner, gpu: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error that says why is the one that is seen, and memory is given back as far as it can be."""
    import pycuda.driver

    live = gpu.count("live")

    def fail(_: Any) -> None:
        raise pycuda.driver.Error("cuStreamSynchronize failed: an illegal memory access was encountered")

    average.activate()
    monkeypatch.setattr(pycuda.driver.Stream, "synchronize", fail)
    with pytest.raises(ArtifactError, match="illegal memory access"):
        average.infer(*pair())
    average.deactivate()
    average.deactivate()
    assert gpu.count("live") == live


def test_free_sizes_share_one_allocation(gpu: Any, write_engine: Any) -> None:
    """Each change of size makes a new graph on the old memory."""
    gpu.engines[b"ftrt free"] = FREE
    path = write_engine(b"ftrt free", imgsz=None)
    before = gpu.count("device")
    with TensorRtRunner(path, kind="tensorrt") as runner:
        for size in ((16, 16), (8, 40), (32, 48), (16, 16)):
            for _ in range(2):
                ir, vis = pair(*size)
                np.testing.assert_array_equal(runner.infer(ir, vis), 0.5 * (ir + vis))
        assert gpu.count("device") - before == 3
        with pytest.raises(InputError, match=r"takes 1x1x8x8 to 1x1x32x48 .*, not 1x1x64x16"):
            runner.infer(*pair(64, 16))
        ir, vis = pair()
        np.testing.assert_array_equal(runner.infer(ir, vis), 0.5 * (ir + vis))


def test_the_profile_that_fits_is_taken(gpu: Any, write_engine: Any) -> None:
    """An engine of several profiles runs at the sizes of each."""
    small, large = ((1, 1, 8, 8),) * 3, ((1, 1, 32, 32),) * 3
    gpu.engines[b"ftrt two"] = {"shape": (1, 1, -1, -1), "profiles": [small, large]}
    with TensorRtRunner(write_engine(b"ftrt two", imgsz=None), kind="tensorrt") as runner:
        for side in (8, 32, 8):
            ir, vis = pair(side, side)
            np.testing.assert_array_equal(runner.infer(ir, vis), 0.5 * (ir + vis))
        with pytest.raises(InputError, match="1x1x8x8 or 1x1x32x32"):
            runner.infer(*pair(16, 16))


def test_a_refused_capture_is_said_once(average: TensorRtRunner, gpu: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Frames are enqueued call by call then, and are as right."""
    gpu.driver.pretend_refuse_capture(1)
    with caplog.at_level(logging.WARNING), average:
        for _ in range(3):
            ir, vis = pair()
            np.testing.assert_array_equal(average.infer(ir, vis), 0.5 * (ir + vis))
        assert not average.captured
    assert [record.message for record in caplog.records] == [
        "no CUDA graph (operation not permitted when stream is capturing, CUDA error 900): "
        "frames are enqueued call by call"
    ]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), AssertionError()])
def test_a_capture_that_is_broken_off_leaves_the_stream_usable(average: TensorRtRunner, error: BaseException) -> None:
    """By Ctrl-C, or by an error that says nothing."""
    ir, vis = pair()
    with average:
        assert average._work is not None
        enqueue, calls = average._work._engine.enqueue, iter(range(2))

        def fail(stream: Any) -> None:
            if next(calls, None) == 1:
                raise error
            enqueue(stream)

        average._work._engine.enqueue = fail  # type: ignore[method-assign]
        if isinstance(error, Exception):
            average.infer(ir, vis)
        else:
            with pytest.raises(KeyboardInterrupt):
                average.infer(ir, vis)
        np.testing.assert_array_equal(average.infer(ir, vis), 0.5 * (ir + vis))


def test_a_refused_inference_is_one_line(gpu: Any, write_engine: Any) -> None:
    """In the library's words."""
    gpu.engines[b"ftrt bad"] = {"fails": "kernel failed"}
    with (
        TensorRtRunner(write_engine(b"ftrt bad"), kind="tensorrt") as runner,
        pytest.raises(ArtifactError, match=r"average\.plan: tensorrt refuses the inference \(kernel failed\)$"),
    ):
        runner.infer(*pair())


def test_each_failure_has_its_own_reason(gpu: Any, write_engine: Any) -> None:
    """Not that of the first; and one of another engine, whose logger the library holds, is not lost with it."""
    engines = {name: {"fails": f"{name} failed"} for name in ("one", "two")}
    runners = []
    for name, description in engines.items():
        gpu.engines[f"ftrt {name}".encode()] = description
        runners.append(TensorRtRunner(write_engine(f"ftrt {name}".encode(), name=f"{name}.plan"), kind="tensorrt"))
        runners[-1].activate()
    for name, reason in (("one", "one failed"), ("one", "again"), ("two", "two failed")):
        engines[name]["fails"] = reason
        with pytest.raises(ArtifactError, match=rf"\({reason}\)$"):
            runners[name == "two"].infer(*pair())
    loggers = {id(runner._work._engine._log.logger) for runner in runners if runner._work is not None}
    assert len(loggers) == 1
    for runner in runners:
        runner.deactivate()


def test_a_library_that_does_not_start_is_one_line(gpu: Any, write_engine: Any) -> None:
    """With what it logs: what its bindings raise has no reason in it."""
    gpu.starts = False
    with pytest.raises(
        ArtifactError, match=r"^tensorrt 10\.3\.0 does not start on .*error: 35\): a newer driver may help$"
    ):
        TensorRtRunner(write_engine(), kind="tensorrt").activate()


def test_a_refused_profile_is_one_line(gpu: Any, write_engine: Any) -> None:
    """Its bindings raise that."""
    small, large = ((1, 1, 8, 8),) * 3, ((1, 1, 32, 32),) * 3
    gpu.engines[b"ftrt two"] = {"shape": (1, 1, -1, -1), "profiles": [small, large], "keeps profile": True}
    with TensorRtRunner(write_engine(b"ftrt two", imgsz=None), kind="tensorrt") as runner:
        runner.infer(*pair(8, 8))
        with pytest.raises(ArtifactError, match=r"tensorrt refuses the profile \(no reason given\)$"):
            runner.infer(*pair(32, 32))


@pytest.mark.parametrize("shape", [(1, 1, 16, 16), (1, 1, -1, -1)])
def test_an_output_of_another_size_is_refused(gpu: Any, write_engine: Any, shape: tuple[int, ...]) -> None:
    """Whether the size is free or not: it would be written beyond the memory that it gets."""
    gpu.engines[b"ftrt large"] = {**FREE, "shape": shape, "output": (1, 1, 32, 32)}
    with (
        TensorRtRunner(write_engine(b"ftrt large", imgsz=None), kind="tensorrt") as runner,
        pytest.raises(ArtifactError, match="not of the inputs' shape"),
    ):
        runner.infer(*pair())


def test_a_fuser_runs_an_engine(gpu: Any, write_engine: Any) -> None:
    """By the file's suffix, from images to the fused image."""
    gpu.engines[b"ftrt engine"] = {}
    path = write_engine()
    ir, vis = (RNG.integers(0, 255, (12, 14)).astype(np.uint8) for _ in range(2))
    with edgefuse.load(path, device="cuda") as fuse:
        assert fuse.runner.name == "tensorrt-cuda"
        assert np.abs(fuse(ir, vis) - (ir.astype(float) + vis) / 2).max() <= 0.51


def test_another_version_is_one_line_with_the_rebuild_command(gpu: Any, write_engine: Any) -> None:
    """What built it, what is here, the library's reason and the way out."""
    header = b"ftrt" + bytes(20) + bytes((10, 16, 1, 11)) + bytes(36)
    with pytest.raises(ArtifactError) as caught:
        TensorRtRunner(write_engine(header, precision="fp16"), kind="tensorrt").activate()
    message = str(caught.value)
    assert "\n" not in message
    assert "does not load in tensorrt 10.3.0 on Pretend GPU (sm_86), driver for CUDA 13.0" in message
    assert "(expecting library version 10.3.0.26 got 10.16.1.11); it was built by tensorrt 10.16.1.11" in message
    command = "edgefuse export average --format tensorrt --output average.plan --overwrite --imgsz 16 16"
    assert message.endswith(f"build it again here: {command} --precision fp16")


@pytest.mark.parametrize(
    ("targets", "fits"),
    [(("sm_86",), True), (("sm_80+",), True), (("sm_89", "sm_75"), False), (("sm_89+",), False), (("this GPU",), True)],
)
def test_another_gpu_is_refused_before_the_engine_is_touched(
    gpu: Any, write_engine: Any, targets: tuple[str, ...], fits: bool
) -> None:
    """By the targets of the manifest."""
    gpu.engines[b"ftrt engine"] = {}
    runner = TensorRtRunner(write_engine(targets=targets), kind="tensorrt")
    if fits:
        with runner:
            assert runner.infer(*pair()).shape == (1, 1, 16, 16)
    else:
        with pytest.raises(
            ArtifactError, match=r"built for sm_89.*this is Pretend GPU \(sm_86\); build it again here: ed"
        ):
            runner.activate()


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        ({"shape": (1, 3, 16, 16)}, "needs inputs ir, vis and one output"),
        ({"names": ["ir", "fused"]}, "needs inputs ir, vis and one output"),
        ({"dtype": "int8"}, "float and half inputs"),
        ({"vectorized": 1}, "vectors of channels"),
    ],
)
def test_engines_of_other_networks_are_refused(gpu: Any, write_engine: Any, engine: Any, message: str) -> None:
    """Three channels, one input, another type or another layout."""
    gpu.engines[b"ftrt other"] = engine
    with pytest.raises(ArtifactError, match=message):
        TensorRtRunner(write_engine(b"ftrt other"), kind="tensorrt").activate()


def test_an_engine_without_a_matching_manifest_is_refused(
    gpu: Any, write_engine: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Missing, changed, of another file or of another format; --trust-engine runs it all the same and says so."""
    gpu.engines[b"ftrt engine"] = {}
    path = write_engine()
    path.write_bytes(b"ftrt swapped")
    gpu.engines[b"ftrt swapped"] = {}
    with pytest.raises(TrustError, match="content differs"):
        create_runner(path, device="cuda")
    other = write_engine(name="other.plan", format="onnx")
    with pytest.raises(TrustError, match="describes a onnx file, not a tensorrt engine"):
        create_runner(other, device="cuda")
    other.rename(path)
    manifest_path(other).rename(manifest_path(path))
    with pytest.raises(TrustError, match=r"describes other\.plan"):
        create_runner(path, device="cuda")
    manifest_path(path).unlink()
    with pytest.raises(TrustError, match="--trust-engine"):
        create_runner(path, device="cuda")
    with caplog.at_level(logging.WARNING), create_runner(path, device="cuda", trust_engine=True) as runner:
        assert runner.infer(*pair()).shape == (1, 1, 16, 16)
    assert "as --trust-engine says" in caplog.text


def test_what_was_checked_is_what_is_loaded(gpu: Any, write_engine: Any) -> None:
    """A file exchanged after the check is not read again; one exchanged between two activations is refused."""
    gpu.engines[b"ftrt engine"] = {}
    gpu.engines[b"ftrt swapped"] = {"fails": "kernel failed"}
    runner = TensorRtRunner(write_engine(), kind="tensorrt")
    runner.path.write_bytes(b"ftrt swapped")
    with runner:
        assert runner.infer(*pair()).shape == (1, 1, 16, 16)
    with pytest.raises(TrustError, match="content differs"):
        runner.activate()


def test_a_driver_without_gpus_is_exit_3(gpu: Any, write_engine: Any) -> None:
    """As in a container that was started without them."""
    gpu.driver.pretend_devices(0)
    try:
        with pytest.raises(MissingDependencyError, match="finds 0 GPUs"):
            TensorRtRunner(write_engine(), kind="tensorrt").activate()
    finally:
        gpu.driver.pretend_devices(1)


def test_a_pycuda_that_does_not_load_says_why(
    gpu: Any, write_engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is there, a library of the CUDA toolkit is not: installing it again would not help."""
    del gpu
    (tmp_path / "pycuda").mkdir()
    (tmp_path / "pycuda" / "__init__.py").write_text("")
    (tmp_path / "pycuda" / "driver.py").write_text("raise ImportError('libcurand.so.10: no such file')")
    monkeypatch.delitem(sys.modules, "pycuda.driver")
    monkeypatch.delitem(sys.modules, "pycuda")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingDependencyError, match=r"does not load \(libcurand\.so\.10: no such file\): it needs"):
        TensorRtRunner(write_engine(), kind="tensorrt").activate()
    monkeypatch.delitem(sys.modules, "pycuda", raising=False)


def test_errors_of_pycuda_are_one_line(average: TensorRtRunner, gpu: Any) -> None:
    """And the context is left as it was."""
    device = device_memory.open_device()
    with pytest.raises(ArtifactError, match=r"^Pretend GPU: .*failed: .*$"), device:
        device._pycuda.Stream(7)
