"""The CUDA library: its kernels equal to the C++ code without a GPU and on one, built without spills on any target."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgefuse.errors import EdgeFuseError, InputError, MissingDependencyError
from edgefuse.kernels import _native, replace_luminance_bgr
from edgefuse.kernels.aot import TARGETS
from edgefuse.kernels.warp import PairWarp, warp_cuda
from edgefuse.kernels.warp.warp_cuda import (
    CudaPairWarp,
    FrameAddresses,
    cuda_library_path,
    cuda_library_problem,
    gain_values,
)

torch = pytest.importorskip("torch")

# A library that was built from this code and does not load is a failure; the kernels that are called are seen below.
IS_OLDER = "older than this code" in str(cuda_library_problem())
needs_library = pytest.mark.skipif(
    cuda_library_path() is None or IS_OLDER, reason=f"no CUDA library: {cuda_library_problem()}"
)
TURN = np.array([[1.05, 0.03, -4.0], [-0.02, 0.97, 2.5], [2e-4, -1e-4, 1.0]])
MARGIN = 7
"""Elements on either side of what a kernel writes, to see that it writes nothing else."""


@needs_library
def test_no_kernel_spills_on_any_target() -> None:
    """Machine code for every target that this nvcc knows is in the library, and none of it uses a stack."""
    dump = _cuobjdump("--dump-resource-usage")
    used = re.findall(r"Function (\S+?):\s+REG:(\d+) STACK:(\d+) SHARED:(\d+)", dump)
    targets = {int(found) for found in re.findall(r"arch = sm_(\d+)", dump)}
    assert {75, 80, 86} <= targets <= set(TARGETS)
    assert len(used) == 4 * len(targets)
    assert all(int(stack) == 0 and int(shared) == 0 for _, _, stack, shared in used)


def _cuobjdump(option: str) -> str:
    triton = pytest.importorskip("triton")
    tool = shutil.which("cuobjdump") or str(Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump")
    run = subprocess.run([tool, option, str(cuda_library_path())], check=True, capture_output=True, text=True)
    return run.stdout


@needs_library
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_the_error_is_cudas() -> None:
    """The library loads on any machine; a GPU that is not there is refused in CUDA's words."""
    warp = CudaPairWarp(PairWarp(np.eye(3), ir_size=(4, 4), vis_size=(4, 4)), lambda _: 0)
    frames = FrameAddresses(ir=0, ir_bytes=2, vis=0, channels=3, gain=0, ir_input=0, vis_input=0)
    with pytest.raises(EdgeFuseError, match=r"does not take the CUDA library: .*(CUDA|driver|device)"):
        CudaPairWarp.check_device()
    with pytest.raises(EdgeFuseError, match=r"does not take the work: .*(CUDA|driver|device)"):
        warp.enqueue_colour(frames, 0, 0, fused_width=4, stream=0)
    with pytest.raises(EdgeFuseError, match=r"does not take the work: .*(CUDA|driver|device)"):
        warp.enqueue_inputs(frames, size=(4, 4), stream=0)


def test_a_library_that_does_not_serve_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not built, no library at all, or one without the functions that are called: each with what helps."""
    broken = tmp_path / "libedgefuse_cuda.so"
    broken.write_bytes(b"nothing")
    older = Path(_native.__file__)  # a library of ours, with other functions
    for path, reason in ((None, "on a machine with nvcc"), (broken, "does not load"), (older, "older than this code")):
        monkeypatch.setattr(warp_cuda, "cuda_library_path", lambda path=path: path)
        warp_cuda._library.cache_clear()
        assert reason in str(cuda_library_problem())
        with pytest.raises(MissingDependencyError, match=reason):
            CudaPairWarp(PairWarp(np.eye(3), ir_size=(4, 4), vis_size=(4, 4)), lambda _: 0)
        with pytest.raises(MissingDependencyError, match=reason):
            CudaPairWarp.check_device()


class OnHost:
    """Memory of the host as the library takes memory of a device."""

    def __init__(self) -> None:
        self.kept: list[np.ndarray] = []

    def upload(self, array: np.ndarray) -> int:
        """Copy an array and return its address."""
        self.kept.append(np.ascontiguousarray(array).copy())
        return self.kept[-1].ctypes.data

    @staticmethod
    def poisoned(shape: tuple[int, ...], dtype: Any) -> tuple[np.ndarray, np.ndarray]:
        """Memory full of NaN or 0xA5 with a margin on either side: all of it, and the part to be written."""
        whole = np.empty(int(np.prod(shape)) + 2 * MARGIN, dtype)
        whole.view(np.uint8)[:] = 0xFF if dtype == np.float32 else 0xA5
        return whole, whole[MARGIN:-MARGIN].reshape(shape)


@pytest.fixture
def host(host_cuda_library: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OnHost]:
    """The library compiled for the host in place of the installed one."""
    monkeypatch.setattr(warp_cuda, "cuda_library_path", lambda: host_cuda_library)
    warp_cuda._library.cache_clear()
    yield OnHost()
    warp_cuda._library.cache_clear()


def pictures(dtype: Any, ir_size: tuple[int, int], vis_shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, float]:
    """Noise for both cameras, and the largest infrared value."""
    random = np.random.default_rng(0)
    high = 1.0 if dtype == np.float32 else float(np.iinfo(dtype).max)
    return (random.random(ir_size) * high).astype(dtype), random.integers(0, 256, vis_shape).astype(np.uint8), high


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("ir_size", "vis_size", "size"),
    [
        ((50, 70), (45, 61), (48, 64)),
        ((50, 70), (45, 61), (200, 300)),  # mirrored there and back
        ((2, 2), (1, 1), (1, 3)),
        ((7, 3), (33, 9), (33, 9)),
    ],
)
@pytest.mark.parametrize("stretch", [False, True])
def test_inputs_are_those_of_the_cpp_code(
    host: OnHost,
    dtype: Any,
    channels: int,
    ir_size: tuple[int, int],
    vis_size: tuple[int, int],
    size: tuple[int, int],
    stretch: bool,
) -> None:
    """The kernel of every type, run on the host, gives the C++ code's inputs to the bit and writes nothing else."""
    shape = vis_size if channels == 1 else (*vis_size, 3)
    ir, vis, high = pictures(dtype, ir_size, shape)
    sizes = {"ir_size": ir_size, "vis_size": vis_size}
    warp = PairWarp.stretching(**sizes) if stretch else PairWarp(TURN, **sizes)
    low, high = 0.2 * high, 0.9 * high
    wholes, inputs = zip(*(host.poisoned(size, np.float32) for _ in range(2)), strict=True)
    frames = FrameAddresses(
        ir=host.upload(ir),
        ir_bytes=ir.itemsize,
        vis=host.upload(vis),
        channels=channels,
        gain=host.upload(gain_values(low, high)),
        ir_input=inputs[0].ctypes.data,
        vis_input=inputs[1].ctypes.data,
    )
    CudaPairWarp(warp, host.upload).enqueue_inputs(frames, size=size, stream=0)
    for whole, actual, wanted in zip(wholes, inputs, warp(ir, vis, low=low, high=high, size=size), strict=True):
        np.testing.assert_array_equal(actual, wanted[0, 0])
        assert np.isnan(whole[:MARGIN]).all()
        assert np.isnan(whole[-MARGIN:]).all()


@pytest.mark.parametrize(("height", "width"), [(1, 1), (9, 33), (45, 61)])
@pytest.mark.parametrize("channels", [1, 3])
def test_colour_is_that_of_the_cpp_code(host: OnHost, height: int, width: int, channels: int) -> None:
    """Fused luminance in rows longer than the frame's, with values outside [0, 1]; a gray frame is replaced by it."""
    random = np.random.default_rng(1)
    shape = (height, width) if channels == 1 else (height, width, 3)
    vis = random.integers(0, 256, shape).astype(np.uint8)
    fused = random.uniform(-0.5, 1.5, (height + 3, width + 5)).astype(np.float32)
    plane = fused[:height, :width]
    whole, out = host.poisoned(shape, np.uint8)
    warp = CudaPairWarp(PairWarp.stretching(ir_size=(2, 2), vis_size=(height, width)), host.upload)
    at = host.upload(vis)
    frames = FrameAddresses(ir=0, ir_bytes=1, vis=at, channels=channels, gain=0, ir_input=0, vis_input=0)
    warp.enqueue_colour(frames, host.upload(fused), out.ctypes.data, fused_width=width + 5, stream=0)
    gray = (np.clip(plane, 0.0, 1.0) * np.float32(255.0) + np.float32(0.5)).astype(np.uint8)
    np.testing.assert_array_equal(out, gray if channels == 1 else replace_luminance_bgr(vis, plane))
    assert (whole[:MARGIN] == 0xA5).all()
    assert (whole[-MARGIN:] == 0xA5).all()


def test_what_the_kernels_do_not_take_is_refused(host: OnHost, host_cuda_library: Path) -> None:
    """An infrared pixel of another size, and a GPU that the library was not compiled for."""
    warp = CudaPairWarp(PairWarp(np.eye(3), ir_size=(4, 4), vis_size=(4, 4)), host.upload)
    frames = FrameAddresses(ir=0, ir_bytes=8, vis=0, channels=3, gain=0, ir_input=0, vis_input=0)
    with pytest.raises(EdgeFuseError, match="does not take the work"):
        warp.enqueue_inputs(frames, size=(4, 4), stream=0)
    library = ctypes.CDLL(str(host_cuda_library))
    CudaPairWarp.check_device()
    library.edgefuse_host_image(0)
    try:
        with pytest.raises(EdgeFuseError, match="does not take the CUDA library: no kernel image is available"):
            CudaPairWarp.check_device()
    finally:
        library.edgefuse_host_image(1)


def test_frames_of_another_geometry_are_refused_before_any_gpu() -> None:
    """By the same check that the CPU makes; a range that float32 does not tell apart is none."""
    warp = PairWarp(np.eye(3), ir_size=(4, 4), vis_size=(4, 4))
    ir, vis = np.zeros((4, 4), np.uint16), np.zeros((4, 4, 3), np.uint8)
    assert warp.check(ir, vis, low=0.0, high=1.0, size=(8, 8)) == (8, 8)
    with pytest.raises(InputError, match="infrared must be"):
        warp.check(ir.astype(np.float64), vis, low=0.0, high=1.0)
    with pytest.raises(EdgeFuseError, match="finite low < high"):
        warp.check(ir, vis, low=2.0**25, high=2.0**25 + 1)
    np.testing.assert_array_equal(gain_values(10.0, 14.0), np.array([10.0, 0.25], np.float32))


@needs_library
@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_gpu_gives_the_cpus_pictures(dtype: Any, channels: int, cuda_device: torch.device) -> None:
    """Inputs and fused frame are those of the C++ code, to the bit."""
    ir, vis, high = pictures(dtype, (50, 70), (45, 61, 3) if channels == 3 else (45, 61))
    warp, size = PairWarp(TURN, ir_size=(50, 70), vis_size=(45, 61)), (48, 64)
    low, high = 0.2 * high, 0.9 * high
    expected = warp(ir, vis, low=low, high=high, size=size)
    kept: list[torch.Tensor] = []

    def upload(array: np.ndarray) -> int:
        raw = np.ascontiguousarray(array).view(np.uint8).reshape(-1)
        kept.append(torch.from_numpy(raw.copy()).to(cuda_device))
        return int(kept[-1].data_ptr())

    inputs = torch.full((2, *size), torch.nan, device=cuda_device)
    fused = torch.zeros(vis.shape, dtype=torch.uint8, device=cuda_device)
    CudaPairWarp.check_device()
    on_gpu = CudaPairWarp(warp, upload)
    frames = FrameAddresses(
        ir=upload(ir),
        ir_bytes=ir.itemsize,
        vis=upload(vis),
        channels=channels,
        gain=upload(gain_values(low, high)),
        ir_input=inputs[0].data_ptr(),
        vis_input=inputs[1].data_ptr(),
    )
    stream = torch.cuda.current_stream(cuda_device).cuda_stream
    on_gpu.enqueue_inputs(frames, size=size, stream=stream)
    on_gpu.enqueue_colour(frames, inputs[0].data_ptr(), fused.data_ptr(), fused_width=size[1], stream=stream)
    for actual, wanted in zip(inputs.cpu().numpy(), expected, strict=True):
        np.testing.assert_array_equal(actual, wanted[0, 0])
    plane = expected[0][0, 0, :45, :61]
    gray = (plane * np.float32(255.0) + np.float32(0.5)).astype(np.uint8)
    np.testing.assert_array_equal(fused.cpu().numpy(), gray if channels == 1 else replace_luminance_bgr(vis, plane))
