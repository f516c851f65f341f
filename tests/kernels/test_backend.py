"""Which backend serves a call, on GPUs that are not here: capabilities are pretended."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from edgefuse.errors import UsageError
from edgefuse.kernels import backend
from edgefuse.kernels.backend import choose_backend


@pytest.fixture
def on_gpu(monkeypatch: pytest.MonkeyPatch):
    """What stands for a tensor on a GPU of a compute capability."""
    monkeypatch.setattr(backend, "_TRITON_INSTALLED", True)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.delenv("EDGEFUSE_KERNELS", raising=False)

    def tensor(*capability: int) -> Any:
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
        return SimpleNamespace(device=torch.device("cuda:0"), dtype=torch.float32, is_cuda=True, requires_grad=False)

    return tensor


@pytest.mark.parametrize(
    ("capability", "chosen"),
    [((6, 1), "reference"), ((7, 0), "reference"), ((7, 5), "triton"), ((9, 0), "triton"), ((12, 0), "triton")],
)
def test_gpus_before_turing_take_the_reference(on_gpu, capability, chosen) -> None:
    """Triton's compiler would fail there with an error of its own."""
    assert choose_backend("auto", on_gpu(*capability)) == chosen


def test_a_request_for_triton_there_says_why_not(on_gpu) -> None:
    """It names what is needed and what is there."""
    needed = "it needs a GPU of compute capability 7.5 and this one has 7.0"
    with pytest.raises(UsageError, match=needed):
        choose_backend("triton", on_gpu(7, 0))


def test_the_capability_is_no_graph_break(on_gpu) -> None:
    """``torch.compile`` takes it as a constant of the device."""
    on_gpu(8, 6)
    compiled = torch.compile(lambda x: x + backend._capability(x.device)[0], fullgraph=True, backend="eager")
    assert compiled(torch.zeros(1)).item() == 8
