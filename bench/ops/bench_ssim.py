"""The structural similarity against eager PyTorch and its compiler."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from edgefuse.bench.ops.contest import DTYPES, Contest, parse_size, recorded
from edgefuse.kernels.cost import ssim_cost
from edgefuse.kernels.ssim import ssim

__all__ = ["SIZES", "contests"]

SIZES = ("16x128x128", "8x480x640")
"""A training batch of crops, and full frames."""

_PUBLISHED = "published: fused-ssim gains 5-15x over eager PyTorch on its authors' GPUs; not measured here"


def contests(*, size: str, dtype: str, device: torch.device, compiled: bool) -> Iterator[Contest]:
    """Yield the one contest of a size.

    Args:
        size: Batch, height and width, as in ``16x128x128``.
        dtype: Type of the images.
        device: Where to measure.
        compiled: Whether to measure ``torch.compile`` too.

    Yields:
        The contest.
    """
    batch, height, width = parse_size(size, dimensions=3)
    generator = torch.Generator().manual_seed(0)
    x, y = torch.rand(2, batch, 1, height, width, generator=generator).to(device=device, dtype=DTYPES[dtype])
    found = [
        replace(recorded(ssim, [x], [y]), name="fused"),
        replace(recorded(_eager, [x], [y]), name="eager"),
    ]
    if compiled:
        function = torch.compile(_eager, dynamic=False)
        found.append(replace(recorded(function, [x], [y]), name="torch.compile", is_compiled=True))
    model = functools.partial(ssim_cost, (batch, height, width), itemsize=x.element_size())
    yield Contest(
        op="ssim",
        case="11x11 Gaussian",
        shape=(batch, height, width),
        dtype=dtype,
        contestants=tuple(found),
        exact=recorded(_eager, [x.double()], [y.double()]).step,
        forward_cost=model(backward=False),
        step_cost=model(backward=True),
        published=_PUBLISHED,
    )


def _eager(x: Tensor, y: Tensor) -> Tensor:
    return ssim(x, y, backend="reference")
