"""One operation at one size: the implementations that are measured beside each other, and what they must agree on."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from edgefuse.errors import UsageError
from edgefuse.kernels.cost import Cost

__all__ = ["DTYPES", "Contest", "Contestant", "beyond", "disagreement", "parse_size", "recorded"]

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Contestant:
    """One implementation.

    Attributes:
        name: As in ``"fused"`` or ``"eager, convolution"``.
        forward: Runs the forward pass without gradients.
        step: Runs the forward and the backward pass; returns the value and the gradients.
        is_compiled: Whether ``torch.compile`` made it.
    """

    name: str
    forward: Callable[[], object]
    step: Callable[[], Sequence[Tensor]]
    is_compiled: bool = False


@dataclass(frozen=True)
class Contest:
    """An operation at one size, and everyone who computes it.

    Attributes:
        op: Name of the operation.
        case: Its settings, as in ``"magnitude + angle"``.
        shape: Shape of the images.
        dtype: Name of their type.
        contestants: The implementations, the one that is put forward first.
        exact: Computes the value and the gradients in float64.
        forward_cost: Cost model of the forward pass.
        step_cost: Cost model of both passes.
        published: Figures that others published, marked as such, or nothing.
        tolerances: Largest error allowed of each result; empty where eager PyTorch's own error is the measure.
    """

    op: str
    case: str
    shape: tuple[int, ...]
    dtype: str
    contestants: tuple[Contestant, ...]
    exact: Callable[[], Sequence[Tensor]]
    forward_cost: Cost
    step_cost: Cost
    published: str | None = None
    tolerances: tuple[float, ...] = ()


def parse_size(size: str, *, dimensions: int) -> tuple[int, ...]:
    """Read a size as in ``16x128x128``.

    Args:
        size: Numbers with an x between them.
        dimensions: How many there must be.

    Returns:
        The numbers.

    Raises:
        UsageError: It is written otherwise.
    """
    if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", size) or size.count("x") + 1 != dimensions:
        example = {2: "480x640", 3: "16x128x128"}.get(dimensions, "16x32x128x128")
        raise UsageError(f"--sizes takes {dimensions} numbers as in {example} here, got {size!r}")
    return tuple(int(number) for number in size.split("x"))


def recorded(function: Callable[..., Tensor], leaves: Sequence[Tensor], constants: Sequence[object] = ()) -> Contestant:
    """Make a contestant of a function, without a name yet.

    Args:
        function: Computes the value, a scalar, from leaves and constants.
        leaves: Tensors whose gradients are asked for.
        constants: Further arguments.

    Returns:
        The contestant.
    """
    inputs = [leaf.detach().clone().requires_grad_() for leaf in leaves]

    def forward() -> object:
        with torch.no_grad():
            return function(*inputs, *constants)

    def step() -> Sequence[Tensor]:
        for leaf in inputs:
            leaf.grad = None
        value = function(*inputs, *constants)
        torch.autograd.backward(value)
        return [value.detach(), *(leaf.grad for leaf in inputs if leaf.grad is not None)]

    return Contestant("", forward, step)


def disagreement(actual: Sequence[Tensor], *, eager: Sequence[Tensor], exact: Sequence[Tensor]) -> str | None:
    """Hold results against exact ones, with the error of eager PyTorch in the same types as the measure.

    Args:
        actual: Value and gradients.
        eager: The same by eager PyTorch.
        exact: The same in float64.

    Returns:
        What is wrong, or None: an error may be twice eager PyTorch's, or a few roundings of the largest value. One
        element in ten thousand is left out, those furthest off: where a difference is 0 but for rounding, its sign, and
        with it a derivative, is chance.
    """
    names = ["the value", *(f"gradient {index + 1}" for index in range(len(exact) - 1))]
    for name, one, two, three in zip(names, actual, eager, exact, strict=True):
        if not torch.isfinite(one).all():
            return f"{name} is not finite"
        error, allowed = _error(one, three), _error(two, three)
        rounding = 8 * torch.finfo(one.dtype).eps * max(float(three.abs().max()), 1.0 if three.ndim == 0 else 0.0)
        if error > 2 * allowed + rounding:
            return f"{name} is off by {error:.2g}, eager PyTorch by {allowed:.2g}"
    return None


def _error(actual: Tensor, exact: Tensor) -> float:
    """The largest difference but for one in ten thousand."""
    differences = (actual.double() - exact).abs().flatten()
    return float(differences.topk(1 + differences.numel() // 10_000).values[-1])


def beyond(actual: Sequence[Tensor], exact: Sequence[Tensor], tolerances: Sequence[float]) -> str | None:
    """Hold results against exact ones, with fixed tolerances.

    Args:
        actual: Results.
        exact: The same in float64.
        tolerances: Largest absolute error of each.

    Returns:
        What is wrong, or None.
    """
    for number, (one, other, allowed) in enumerate(zip(actual, exact, tolerances, strict=True), start=1):
        error = float((one.double() - other).abs().max())
        if not error <= allowed:
            return f"result {number} is off by {error:.2g}, more than {allowed:.2g}"
    return None
