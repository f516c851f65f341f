"""A training step of RPFNet with the fused spectral convolution and without."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from edgefuse.bench.ops.contest import Contest, Contestant, parse_size
from edgefuse.kernels.cost import Cost

__all__ = ["SIZES", "contests"]

SIZES = ("16x128x128",)
"""The paper's training batch."""


def contests(*, size: str, dtype: str, device: torch.device, compiled: bool) -> Iterator[Contest]:
    """Yield the one contest of a size: forward and backward through the network, without an optimiser.

    Args:
        size: Batch, height and width, as in ``16x128x128``.
        dtype: Type of the images, fp32 alone.
        device: Where to measure; nothing is yielded where there is nothing fused.
        compiled: Ignored: a network with FFTs gains nothing from it.

    Yields:
        The contest.
    """
    del compiled
    if device.type != "cuda" or dtype != "fp32":
        return
    from edgefuse import models

    shape = parse_size(size, dimensions=3)
    batch, height, width = shape
    generator = torch.Generator().manual_seed(0)
    ir, vis = torch.rand(2, batch, 1, height, width, generator=generator).to(device)
    torch.manual_seed(0)
    forms: dict[str, dict[str, Any]] = {
        "fused": {"spectral": "fused"},
        "fused, recomputed": {"spectral": "fused", "recompute": True},
        "eager, view form": {},
    }
    networks = {
        name: models.create("rpfnet", variant="paper", **form).to(device).train() for name, form in forms.items()
    }
    for network in networks.values():
        network.load_state_dict(networks["fused"].state_dict())
    exact = models.create("rpfnet", variant="paper", spectral="eager").to(device).train()
    exact.load_state_dict(networks["fused"].state_dict())
    wide = _contestant("exact", exact.double(), ir.double(), vis.double())
    yield Contest(
        op="rpfnet",
        case="training step",
        shape=shape,
        dtype=dtype,
        contestants=tuple(_contestant(name, network, ir, vis) for name, network in networks.items()),
        exact=wide.step,
        forward_cost=Cost(floor_bytes=3 * ir.numel() * 4, flops=0),
        step_cost=Cost(floor_bytes=3 * ir.numel() * 4, flops=0),
    )


def _contestant(name: str, network: nn.Module, ir: Tensor, vis: Tensor) -> Contestant:
    """Forward, and forward and backward, of a network; the value is the mean of its output."""

    def forward() -> object:
        with torch.no_grad():
            return network(ir, vis)

    def step() -> Sequence[Tensor]:
        network.zero_grad(set_to_none=True)
        mean = network(ir, vis).mean()
        mean.backward()
        return [mean.detach()]

    return Contestant(name, forward, step)
