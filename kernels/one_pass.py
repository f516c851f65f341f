"""Losses whose gradient is computed with their value: what autograd and the compiler need to know of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor
from torch._library.custom_ops import CustomOpDef
from torch.autograd.function import once_differentiable

__all__ = ["differentiable", "register_gradient"]


def differentiable(image: Tensor, compute: Callable[[], tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Return a value whose derivative with respect to one image comes with it.

    In eager mode this costs less than calling a registered operator, which for small images is more than the kernel.

    Args:
        image: What the value is differentiated with respect to.
        compute: Computes the values, the differentiable one first, and the gradient of the first in float32.

    Returns:
        The first value, differentiable once, and the others, not differentiable.
    """
    return cast("tuple[Tensor, Tensor]", _OnePass.apply(image, compute))  # type: ignore[no-untyped-call]


class _OnePass(torch.autograd.Function):
    """A scalar whose gradient is saved when it is computed; backward multiplies it by the incoming one."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, compute: Callable[[], tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        values, gradient = compute()
        ctx.save_for_backward(gradient)
        ctx.dtype = image.dtype
        first, others = values[0], values[1:]
        ctx.mark_non_differentiable(others)
        return first, others

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, incoming: Tensor, _: Tensor) -> tuple[Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return _times(gradient, incoming, ctx.dtype), None


def _times(gradient: Tensor, incoming: Tensor, dtype: torch.dtype) -> Tensor:
    """The gradient times a scalar whose value stays on the device, narrowed to a type after, not before."""
    if dtype == gradient.dtype:
        # On the CPU there is nothing to wait for, and a loss on its own, or in a sum, has 1.
        if incoming.device.type == "cpu" and incoming.item() == 1:
            return gradient
        return gradient * incoming
    return torch.mul(gradient, incoming, out=torch.empty_like(gradient, dtype=dtype))


def register_gradient(operator: CustomOpDef, *, n_constants: int) -> None:
    """Give an operator that returns values and the gradient of their first the derivative that this makes.

    Args:
        operator: Takes an image, ``n_constants`` further tensors and keywords; returns values and a float32 gradient.
        n_constants: Tensors that no derivative is given for.
    """

    def setup(ctx: Any, inputs: tuple[Tensor, ...], keyword_only_inputs: object, output: tuple[Tensor, Tensor]) -> None:
        del keyword_only_inputs
        ctx.save_for_backward(output[1])
        ctx.dtype = inputs[0].dtype

    def backward(ctx: Any, incoming: Tensor, _: Tensor | None) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return (gradient * incoming[0]).to(ctx.dtype), *(None,) * n_constants

    operator.register_autograd(backward, setup_context=setup)
