"""What every loss does at its entrance: images of one shape, arithmetic in full precision."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec

import torch
from torch import Tensor

from edgefuse.errors import InputError

__all__ = ["check_images", "in_full_precision"]

P = ParamSpec("P")


def check_images(**images: Tensor) -> None:
    """Check that images are non-empty floating-point (B, 1, H, W) tensors of one shape.

    Args:
        images: The tensors under the names that the error is to use, ``fused=...`` first.

    Raises:
        InputError: A tensor has another layout or type, or its shape differs from the first one's.
    """
    first_name, first = next(iter(images.items()))
    for name, image in images.items():
        if image.ndim != 4 or image.shape[1] != 1 or image.numel() == 0:
            raise InputError(f"{name} must be a non-empty (B, 1, H, W) tensor, got shape {tuple(image.shape)}")
        if not image.is_floating_point():
            raise InputError(f"{name} must hold floating-point values in [0, 1], got {image.dtype}")
        if image.shape != first.shape:
            raise InputError(
                f"{name} and {first_name} must have one shape, got {tuple(image.shape)} and {tuple(first.shape)}"
            )


def in_full_precision(function: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """Make a loss compute in float32 (float64 where given) whatever autocast or half precision surrounds it.

    Sums over a picture and differences of squares lose their meaning at 11 or 8 bits of mantissa. Autocast is switched
    off inside, half-precision tensors are widened on the way in, and the gradient is narrowed on the way back.

    Args:
        function: A loss whose tensor arguments are tensors or flat sequences of tensors.

    Returns:
        The same loss, indifferent to the precision around it.
    """

    @functools.wraps(function)
    def widened(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        device_type = next(leaf.device.type for leaf in _tensors([*args, *kwargs.values()]))
        with torch.autocast(device_type=device_type, enabled=False):
            return function(*(_widen(value) for value in args), **{key: _widen(kwargs[key]) for key in kwargs})

    return widened


def _tensors(values: list[Any]) -> list[Tensor]:
    """Tensors among the values, one level of lists and tuples unpacked."""
    flat = [item for value in values for item in (value if isinstance(value, (list, tuple)) else [value])]
    return [item for item in flat if isinstance(item, Tensor)]


def _widen(value: Any) -> Any:
    """Return a half-precision tensor, or a sequence of them, as float32; leave all else alone."""
    if isinstance(value, Tensor):
        return value.float() if value.dtype in (torch.float16, torch.bfloat16) else value
    if isinstance(value, (list, tuple)):
        return tuple(_widen(item) for item in value)
    return value
