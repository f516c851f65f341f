"""What the two structure losses of SSPFusion check."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from edgefuse.errors import InputError

__all__ = ["check_maps"]


def check_maps(maps: Sequence[Tensor], targets: Sequence[Tensor]) -> None:
    """Check that there are maps, and that each has a target of its shape.

    Args:
        maps: Predicted structure maps.  # each [B, C, h, w]
        targets: What each is held against.

    Raises:
        InputError: The numbers or the shapes differ, or there is none.
    """
    if not maps or len(maps) != len(targets):
        raise InputError(f"structure losses take as many maps as targets, got {len(maps)} and {len(targets)}")
    for index, (predicted, target) in enumerate(zip(maps, targets, strict=True)):
        if predicted.ndim != 4 or predicted.shape != target.shape or predicted.numel() == 0:
            raise InputError(
                f"structure map {index} and its target must be non-empty (B, C, h, w) tensors of one shape, "
                f"got {tuple(predicted.shape)} and {tuple(target.shape)}"
            )
