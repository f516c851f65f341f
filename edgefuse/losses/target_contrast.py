"""Target contrast: what stands out hot in the infrared image stands out as much in the fused one (EdgeFuse's own)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional

from edgefuse.errors import UsageError
from edgefuse.losses._boundary import check_images, in_full_precision
from edgefuse.losses._protocol import Loss

__all__ = ["TargetContrastLoss", "target_contrast"]

_WINDOW_CELLS = 15


@in_full_precision
def target_contrast(
    fused: Tensor, ir: Tensor, vis: Tensor, *, cells_px: Sequence[int] = (2, 4, 8), threshold: float = 0.08
) -> Tensor:
    """Return how much of the infrared targets' contrast the fused picture lacks.

    Intensity and gradient terms are content when the pixels of a person are as bright as in the infrared image, though
    smoke or sky of the visible image around them is as bright. This term compares with the surroundings: a cell's
    contrast is its mean minus the mean of the 15×15 cells around it. Cells whose infrared contrast is over a threshold
    are targets, and there the fused contrast may not be smaller than the infrared one. A larger one costs nothing.

    Args:
        fused: The fused luminance; what lies outside of [0, 1] counts as its end.  # [B, 1, H, W]
        ir: The infrared image.  # [B, 1, H, W]
        vis: The visible luminance, which only has to match in shape.  # [B, 1, H, W]
        cells_px: Sides of the square cells; each finds targets of its own size.
        threshold: Infrared contrast from which on a cell is a target.

    Returns:
        The mean over cell sizes and cells of the missing contrast, 0 where there is no target.  # []

    Raises:
        InputError: The pictures differ in shape or are no (B, 1, H, W) tensors.
        UsageError: The threshold is no number, or a cell has no size.

    Example:
        >>> import torch
        >>> ir = torch.zeros(1, 1, 64, 64); ir[..., 28:36, 28:36] = 1.0
        >>> smoke = torch.ones_like(ir)
        >>> float(target_contrast(ir, ir, smoke)), float(target_contrast(torch.maximum(ir, smoke), ir, smoke)) > 0.01
        (0.0, True)
    """
    check_images(fused=fused, ir=ir, vis=vis)
    _check_options(cells_px, threshold)
    # A screen ends at white: contrast above it would be none. What is left to do beside bright smoke is to darken it.
    shown = fused.clamp(0, 1)
    total = fused.new_zeros(())
    for cell_px in cells_px:
        wanted = _contrast(ir, cell_px)  # [B, 1, H / cell_px, W / cell_px]
        missing = functional.relu(wanted - _contrast(shown, cell_px))
        total = total + (missing * (wanted > threshold)).mean()
    return total / len(cells_px)


class TargetContrastLoss(Loss):
    """``target_contrast`` as a module."""

    def __init__(self, *, cells_px: Sequence[int] = (2, 4, 8), threshold: float = 0.08) -> None:
        _check_options(cells_px, threshold)
        super().__init__(target_contrast, cells_px=tuple(cells_px), threshold=threshold)


def _check_options(cells_px: Sequence[int], threshold: float) -> None:
    """Refuse cells without a size and a threshold that is no number."""
    if not cells_px or not all(isinstance(cell_px, int) and cell_px >= 1 for cell_px in cells_px):
        raise UsageError(f"cells_px must be one or more whole numbers of at least 1, got {cells_px!r}")
    if not math.isfinite(threshold):
        raise UsageError(f"threshold must be finite, got {threshold!r}")


def _contrast(image: Tensor, cell_px: int) -> Tensor:
    """Cells minus the mean of their surroundings; both means leave out what lies beyond the border."""
    cells = functional.avg_pool2d(image, cell_px, ceil_mode=True)
    return cells - _mean_along(_mean_along(cells, (_WINDOW_CELLS, 1)), (1, _WINDOW_CELLS))


def _mean_along(cells: Tensor, window: tuple[int, int]) -> Tensor:
    """Mean of a window that is cut off at the border; two such means along the axes are the mean of the square."""
    padding = (window[0] // 2, window[1] // 2)
    return functional.avg_pool2d(cells, window, stride=1, padding=padding, count_include_pad=False)
