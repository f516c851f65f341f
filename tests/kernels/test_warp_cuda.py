"""The CUDA library: built where nvcc is, without spills on any target, and equal to the CPU on a GPU."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edgefuse.errors import EdgeFuseError, MissingDependencyError
from edgefuse.kernels import replace_luminance_bgr
from edgefuse.kernels.aot import TARGETS
from edgefuse.kernels.warp import PairWarp, warp_cuda
from edgefuse.kernels.warp.warp_cuda import CudaPairWarp, FrameAddresses, cuda_library_path

torch = pytest.importorskip("torch")

needs_library = pytest.mark.skipif(cuda_library_path() is None, reason="the CUDA library was not built: no nvcc")
TURN = np.array([[1.05, 0.03, -4.0], [-0.02, 0.97, 2.5], [2e-4, -1e-4, 1.0]])


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
    """The library loads on any machine; work for a GPU that is not there is refused in CUDA's words."""
    warp = CudaPairWarp(PairWarp(np.eye(3), ir_size=(4, 4), vis_size=(4, 4)), lambda _: 0)
    with pytest.raises(EdgeFuseError, match=r"does not take the work: .*(CUDA|driver|device)"):
        warp.enqueue_colour(0, 0, 0, fused_width=4, stream=0)
    with pytest.raises(EdgeFuseError, match=r"does not take the work: .*(CUDA|driver|device)"):
        warp.enqueue_inputs(FrameAddresses(0, 2, 0, 3, 0, 0), low=0.0, high=1.0, size=(4, 4), stream=0)


def test_without_the_library_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation that was built without nvcc says so."""
    monkeypatch.setattr(warp_cuda, "_LIBRARY", "libnone.so")
    warp_cuda._library.cache_clear()
    with pytest.raises(MissingDependencyError, match="with nvcc"):
        CudaPairWarp(PairWarp(np.eye(3), ir_size=(4, 4), vis_size=(4, 4)), lambda _: 0)


@needs_library
@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_gpu_gives_the_cpus_pictures(dtype: type[np.generic], cuda_device: torch.device) -> None:
    """Inputs and coloured frame are those of the C++ code, to the bit."""
    random = np.random.default_rng(0)
    high = 1.0 if dtype == np.float32 else np.iinfo(dtype).max
    ir = (random.random((50, 70)) * high).astype(dtype)
    vis = random.integers(0, 256, (45, 61, 3)).astype(np.uint8)
    warp, size = PairWarp(TURN, ir_size=(50, 70), vis_size=(45, 61)), (48, 64)
    expected = warp(ir, vis, low=0.2 * high, high=0.9 * high, size=size)
    kept: list[torch.Tensor] = []

    def upload(array: np.ndarray) -> int:
        raw = np.ascontiguousarray(array).view(np.uint8).reshape(-1)
        kept.append(torch.from_numpy(raw.copy()).to(cuda_device))
        return int(kept[-1].data_ptr())

    inputs, coloured = (
        torch.zeros(2, *size, device=cuda_device),
        torch.zeros(45, 61, 3, dtype=torch.uint8, device=cuda_device),
    )
    on_gpu, vis_at = CudaPairWarp(warp, upload), upload(vis)
    frames = FrameAddresses(upload(ir), ir.itemsize, vis_at, 3, inputs[0].data_ptr(), inputs[1].data_ptr())
    stream = torch.cuda.current_stream(cuda_device).cuda_stream
    on_gpu.enqueue_inputs(frames, low=0.2 * high, high=0.9 * high, size=size, stream=stream)
    on_gpu.enqueue_colour(vis_at, inputs[0].data_ptr(), coloured.data_ptr(), fused_width=size[1], stream=stream)
    for actual, wanted in zip(inputs.cpu().numpy(), expected, strict=True):
        np.testing.assert_array_equal(actual, wanted[0, 0])
    np.testing.assert_array_equal(coloured.cpu().numpy(), replace_luminance_bgr(vis, expected[0][0, 0, :45, :61]))
