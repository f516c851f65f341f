"""The spectral convolution against the published stack/permute form, its rewrite with views, and the compiler."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from edgefuse.bench.ops.contest import DTYPES, Contest, parse_size, recorded
from edgefuse.kernels.cost import spectral_conv_cost
from edgefuse.kernels.spectral_conv import spectral_conv
from edgefuse.kernels.spectral_conv.normalisation import Normalisation
from edgefuse.kernels.spectral_conv.reference import stack_form, view_form

__all__ = ["SIZES", "contests"]

SIZES = ("16x32x128x128", "2x32x480x640")
"""RPFNet's training batch of crops, and full frames."""


def contests(*, size: str, dtype: str, device: torch.device, compiled: bool) -> Iterator[Contest]:
    """Yield the one contest of a size, in training mode.

    Args:
        size: Batch, channels, height and width, as in ``16x32x128x128``.
        dtype: Type of the images.
        device: Where to measure.
        compiled: Whether to measure ``torch.compile`` too.

    Yields:
        The contest.
    """
    shape = parse_size(size, dimensions=4)
    rows = 2 * shape[1]
    generator = torch.Generator().manual_seed(0)
    leaves = [
        torch.rand(shape, generator=generator).to(DTYPES[dtype]),
        torch.randn(rows, rows, 1, 1, generator=generator) / rows**0.5,
        torch.rand(rows, generator=generator) + 0.5,
        0.3 * torch.randn(rows, generator=generator),
    ]
    leaves = [leaf.to(device) for leaf in leaves]
    # A fixed random direction, so that the gradients are those of no special point.
    direction = torch.randn(shape, generator=generator).to(leaves[0])

    def towards(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        return lambda *tensors: (function(*tensors) * direction.to(tensors[0])).sum()

    forms = {"view": _normalised(view_form), "stack": _normalised(stack_form)}
    found = [replace(recorded(towards(form), leaves), name=f"eager, {name} form") for name, form in forms.items()]
    if device.type == "cuda":  # the CPU's best is the view form
        products = functools.partial(spectral_conv, transform="matmul")
        found.insert(0, replace(recorded(towards(products), leaves), name="fused, transforms by matrix products"))
        found.insert(0, replace(recorded(towards(spectral_conv), leaves), name="fused"))
    if compiled:
        one = torch.compile(forms["view"], dynamic=False)
        found.append(replace(recorded(towards(one), leaves), name="torch.compile, view form", is_compiled=True))
    batch, channels, height, width = shape
    model = functools.partial(spectral_conv_cost, (batch, channels, height, width), itemsize=leaves[0].element_size())
    yield Contest(
        op="spectral_conv",
        case="training",
        shape=shape,
        dtype=dtype,
        contestants=tuple(found),
        exact=recorded(towards(forms["view"]), [leaf.double() for leaf in leaves]).step,
        forward_cost=model(backward=False),
        step_cost=model(backward=True),
    )


def _normalised(form: Callable[[Tensor, Tensor, Normalisation], Tensor]) -> Callable[..., Tensor]:
    """A form as a function of tensors alone, half-precision images widened as the kernel does."""

    def function(x: Tensor, weight: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        wide = x if x.dtype == torch.float64 else x.float()
        return form(wide, weight, Normalisation(gamma, beta)).to(x.dtype)

    return function
