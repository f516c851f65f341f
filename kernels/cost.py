"""What the kernels must move and compute, and what an eager implementation moves.

Floors are the bytes that any implementation moves between memory and chip: every input read once, every output written
once. What eager PyTorch moves is counted operation by operation while it runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = [
    "Cost",
    "Traffic",
    "count_traffic",
    "gradient_loss_cost",
    "spectral_conv_cost",
    "ssim_cost",
]


@dataclass(frozen=True)
class Cost:
    """Lower bound of the memory traffic of a call, and its arithmetic.

    Attributes:
        floor_bytes: Bytes of all inputs and outputs, each moved once.
        flops: Floating-point operations, a multiply-add counted as two, comparisons and selections as one.
    """

    floor_bytes: int
    flops: int


# Operations a pixel, counted in kernels/gradient_loss/rows.cpp: the Sobel halves of three images and those of its
# transpose; then each term with its derivative. Magnitude and angle share the choice of the reference gradient.
_SOBEL_FLOPS, _TRANSPOSED_SOBEL_FLOPS, _CHOICE_FLOPS = 3 * 9, 9, 10
_TERM_FLOPS = {"magnitude": 13, "angle": 24, "direction": 19, "max_magnitude": 17}


def gradient_loss_cost(
    shape: tuple[int, int, int], *, terms: tuple[str, ...], n_scales: int = 1, itemsize: int = 4, backward: bool = True
) -> Cost:
    """Return the cost of the gradient loss: three images read, and in training one gradient written.

    Args:
        shape: Batch, height and width.
        terms: Names of the terms that are on.
        n_scales: Scales of the direction term.
        itemsize: Bytes of a value of the images and of the gradient.
        backward: Whether the gradient is wanted.

    Returns:
        The floor and the operations.
    """
    pixels = math.prod(shape)
    sobel = _SOBEL_FLOPS + (_TRANSPOSED_SOBEL_FLOPS if backward else 0)
    finest = sobel + sum(_TERM_FLOPS[term] for term in terms)
    if "magnitude" in terms or "angle" in terms:
        finest += _CHOICE_FLOPS
    coarser = sobel + _TERM_FLOPS["direction"] + 3 * 4  # three images averaged from four pixels
    flops = pixels * finest + sum((pixels >> 2 * scale) * coarser for scale in range(1, n_scales))
    return Cost(floor_bytes=(4 if backward else 3) * pixels * itemsize, flops=flops)


# Operations a pixel, counted in kernels/ssim/rows.cpp: five moments across and down, the similarity; its three
# derivatives, down and across.
_SSIM_FLOPS, _SSIM_BACKWARD_FLOPS = 110 + 5 * 16 + 22, 16 + 3 * 16 + 3 * 16 + 6


def ssim_cost(shape: tuple[int, int, int], *, itemsize: int = 4, backward: bool = True) -> Cost:
    """Return the cost of the structural similarity: two images read, and in training one gradient written.

    Args:
        shape: Batch, height and width.
        itemsize: Bytes of a value of the images and of the gradient.
        backward: Whether the gradient is wanted.

    Returns:
        The floor and the operations.
    """
    pixels = math.prod(shape)
    flops = pixels * (_SSIM_FLOPS + (_SSIM_BACKWARD_FLOPS if backward else 0))
    return Cost(floor_bytes=(3 if backward else 2) * pixels * itemsize, flops=flops)


def spectral_conv_cost(shape: tuple[int, int, int, int], *, itemsize: int = 4, backward: bool = True) -> Cost:
    """Return the cost of the spectral convolution: images in and out, and in training their gradients.

    Args:
        shape: Batch, channels, height and width.
        itemsize: Bytes of a value of the images.
        backward: Whether the gradients are wanted.

    Returns:
        The floor, and the operations of the transforms (5/2 N log2 N a real plane of N values) and of the products.
    """
    batch, channels, height, width = shape
    values = math.prod(shape)
    frequencies = batch * height * (width // 2 + 1)
    transforms = 2 * 2.5 * values * math.log2(max(2, height * width))
    products = 2 * (2 * channels) ** 2 * frequencies
    flops = 2 * transforms + 3 * products if backward else transforms + products
    return Cost(floor_bytes=(4 if backward else 2) * values * itemsize, flops=round(flops))


@dataclass
class Traffic:
    """What operations read and wrote.

    Attributes:
        moved_bytes: Bytes of the inputs and outputs of all operations that touch memory.
        operations: Number of these operations.
        by_operation: Bytes by operation name.
    """

    moved_bytes: int = 0
    operations: int = 0
    by_operation: dict[str, int] = field(default_factory=dict)


def count_traffic(function: Callable[[], object]) -> Traffic:
    """Count what eager PyTorch moves while a function runs, its backward pass included where it calls one.

    Views move nothing. An operation reads each input and writes each output once, a broadcast input only what is stored
    of it; a Fourier transform does so once an axis. Caches are not modelled: what a chip keeps between two operations
    is counted twice.

    Args:
        function: What to run.

    Returns:
        The sums.
    """
    counter = _Counter()
    with counter:
        function()
    return counter.traffic


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the bytes of every operation below autograd."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.traffic = Traffic()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        inputs = _tensors([*args, *(kwargs or {}).values()])
        outputs = _tensors([result])
        read = {tensor.untyped_storage().data_ptr() for tensor in inputs}
        fresh = [tensor for tensor in outputs if tensor.untyped_storage().data_ptr() not in read]
        written = outputs if func._schema.is_mutable else fresh
        if not written:
            return result  # a view
        passes = len(args[1]) if func.__name__.startswith("_fft") else 1
        moved = passes * sum(map(_stored_bytes, [*inputs, *written]))
        name = str(func.overloadpacket)
        self.traffic.moved_bytes += moved
        self.traffic.operations += 1
        self.traffic.by_operation[name] = self.traffic.by_operation.get(name, 0) + moved
        return result


def _tensors(values: list[Any]) -> list[Tensor]:
    """Tensors among values, lists and tuples unpacked."""
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, (list, tuple)):
            found += _tensors(list(value))
    return found


def _stored_bytes(tensor: Tensor) -> int:
    """Bytes of the values of a tensor, each stored one once."""
    stored = math.prod(
        size for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride != 0 or size == 0
    )
    return stored * tensor.element_size()
