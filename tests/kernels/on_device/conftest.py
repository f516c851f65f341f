"""Where Triton kernels run in a test: on a GPU, or in Triton's interpreter under ``TRITON_INTERPRET=1``."""

from __future__ import annotations

import os

import pytest
import torch


@pytest.fixture(scope="session")
def interpreting() -> bool:
    """Whether kernels run in the interpreter, where a program takes tens of milliseconds."""
    return os.environ.get("TRITON_INTERPRET") == "1"


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest, interpreting: bool) -> str:
    """The device of the tensors."""
    return "cpu" if interpreting else request.getfixturevalue("cuda_device")


@pytest.fixture
def exact_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """Products of convolutions in full float32, in the reference too: TF32's error would be a lax measure."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.fixture
def no_timing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same choices at every run, whatever is the fastest on this GPU."""
    monkeypatch.setenv("EDGEFUSE_AUTOTUNE", "0")


@pytest.fixture
def small_tiles(interpreting: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the interpreter, which takes as long for a row as a GPU for a frame, march down short strips."""
    if interpreting:
        from edgefuse.kernels.autotune import Tuner
        from edgefuse.kernels.gradient_loss import gradient_loss_triton
        from edgefuse.kernels.ssim import ssim_triton

        monkeypatch.setattr(gradient_loss_triton, "_tuner", Tuner((gradient_loss_triton.Tile(2, 8),)))
        monkeypatch.setattr(ssim_triton, "_tuner", Tuner((ssim_triton.Tile(2, 6),)))
