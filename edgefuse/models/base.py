"""What every network of the package declares and checks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import nn

from edgefuse.errors import InputError, UsageError

__all__ = ["FusionNetwork", "require_choice", "require_counts", "require_positive"]

Choice = TypeVar("Choice", bound=str)


class FusionNetwork(nn.Module):
    """Base of the networks: (ir, vis) of shape (B, 1, H, W) in [0, 1] to fused luminance of the same shape and range.

    Attributes:
        size_multiple: H and W must be multiples of it; whoever calls pads and crops.
        min_size: Smallest H and W that the network takes.
        training_only: Prefixes of tensor names that only training uses; inference neither counts nor needs them.
    """

    size_multiple: int = 1
    min_size: int = 1
    training_only: tuple[str, ...] = ()

    def forward(self, ir: torch.Tensor, vis: torch.Tensor) -> torch.Tensor:
        """Fuse a batch of pairs.

        Args:
            ir: Infrared images, shape (B, 1, H, W), in [0, 1].
            vis: Luminance of the visible images, same shape.

        Returns:
            Fused luminance, shape (B, 1, H, W), in [0, 1].

        Raises:
            InputError: The shapes differ or break ``size_multiple`` or ``min_size``.
        """
        fused: torch.Tensor = self.forward_train(ir, vis)["fused"]
        return fused

    def forward_train(self, ir: torch.Tensor, vis: torch.Tensor) -> dict[str, Any]:
        """Fuse a batch of pairs and return what the training losses need besides.

        Args:
            ir: Infrared images, shape (B, 1, H, W), in [0, 1].
            vis: Luminance of the visible images, same shape.

        Returns:
            ``fused`` and the extras that the class documents: tensors, or tuples of tensors, by name.
        """
        raise NotImplementedError

    def check_pair(self, ir: torch.Tensor, vis: torch.Tensor) -> None:
        """Refuse a pair that the network cannot take, with its shapes in the message."""
        name = type(self).__name__
        if ir.shape != vis.shape or ir.ndim != 4 or ir.shape[1] != 1:
            raise InputError(
                f"{name} takes ir and vis of one shape (B, 1, H, W), got {tuple(ir.shape)} and {tuple(vis.shape)}"
            )
        if not (ir.is_floating_point() and vis.is_floating_point()):
            raise InputError(f"{name} takes floats in [0, 1], got {ir.dtype} and {vis.dtype}")
        height, width = ir.shape[-2:]
        if height % self.size_multiple or width % self.size_multiple or min(height, width) < self.min_size:
            raise InputError(
                f"{name} takes heights and widths that are multiples of {self.size_multiple} and at least "
                f"{self.min_size}, got {height}x{width}; pad the images"
            )


def require_choice(setting: str, value: str, allowed: tuple[Choice, ...]) -> Choice:
    """Return the value if it is one of the allowed, or say what is allowed."""
    for choice in allowed:
        if choice == value:
            return choice
    raise UsageError(f"{setting} must be one of {', '.join(allowed)}, not {value!r}")


def require_positive(setting: str, value: int) -> int:
    """Return the value if it is a whole number of at least one."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UsageError(f"{setting} must be a whole number of at least 1, not {value!r}")
    return value


def require_counts(setting: str, values: Sequence[int]) -> tuple[int, ...]:
    """Return the values as a tuple if they are whole numbers of at least one, one or more of them."""
    if not isinstance(values, Sequence) or not values:
        raise UsageError(f"{setting} must be a list of whole numbers, not {values!r}")
    return tuple(require_positive(f"each of {setting}", value) for value in values)
