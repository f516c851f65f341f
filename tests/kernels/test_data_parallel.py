"""The fused losses under ``DistributedDataParallel``: two processes that share a batch train as one does."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from edgefuse.kernels.gradient_loss import gradient_loss
from edgefuse.kernels.spectral_conv import SpectralConv2d
from edgefuse.kernels.ssim import ssim

_PROCESSES = 2
_SIZE = (2 * _PROCESSES, 1, 12, 16)


class _Network(nn.Module):
    """A convolution and a spectral convolution whose statistics are fixed, so that images do not mix."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.mix, self.filter, self.join = nn.Conv2d(2, 3, 3, padding=1), SpectralConv2d(3), nn.Conv2d(3, 1, 1)
        self.filter.eval()

    def forward(self, ir: Tensor, vis: Tensor) -> Tensor:
        """Fuse.  # [B, 1, H, W] each"""
        fused: Tensor = torch.sigmoid(self.join(self.filter(self.mix(torch.cat([ir, vis], dim=1)))))
        return fused


def _images() -> tuple[Tensor, Tensor]:
    ir, vis = torch.rand(2, *_SIZE, generator=torch.Generator().manual_seed(1))
    return ir, vis


def _backward(network: nn.Module, ir: Tensor, vis: Tensor) -> None:
    fused = network(ir, vis)
    terms = gradient_loss(fused, ir, vis, magnitude=5.0, angle=1.0, direction=1.0, scales=2, backend="native")
    (terms + 1 - ssim(fused, vis, backend="native")).backward()


def _work(rank: int, folder: str) -> None:
    """One process: its part of the batch, then its gradients into a file."""
    torch.set_num_threads(1)
    rendezvous = (Path(folder) / "rendezvous").as_uri()
    distributed.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=_PROCESSES)
    network = DistributedDataParallel(_Network())
    ir, vis = (image.chunk(_PROCESSES)[rank] for image in _images())
    _backward(network, ir, vis)
    torch.save([parameter.grad for parameter in network.parameters()], Path(folder) / f"{rank}.pt")
    distributed.destroy_process_group()


def test_sharing_a_batch_gives_the_gradients_of_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradients of the C++ losses are averaged over processes as those of any operation are."""
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    torch.multiprocessing.start_processes(_work, (str(tmp_path),), nprocs=_PROCESSES, start_method="spawn")
    whole = _Network()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the processes: PyTorch's convolutions round otherwise on several
    try:
        _backward(whole, *_images())
    finally:
        torch.set_num_threads(threads)
    for rank in range(_PROCESSES):
        shared = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for one, parameter in zip(shared, whole.parameters(), strict=True):
            torch.testing.assert_close(one, parameter.grad)
