"""Variance-guided auxiliary loss: the locally richer source, where the others fail (DFECF Eq. 24-26)."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from edgefuse.errors import UsageError
from edgefuse.losses._boundary import check_images, in_full_precision
from edgefuse.losses._protocol import Loss

__all__ = ["VarianceGuidedLoss", "variance_guided"]

Reading = Literal["intended", "printed"]

_VARIANCE_ROUNDING = 1e-13
"""Differences of variance that are rounding.

The least real one, one level of a 16-bit pixel in a 9×9 window, is 3e-12; two flat windows differ by up to 1e-15.
"""


@in_full_precision
def variance_guided(
    fused: Tensor, ir: Tensor, vis: Tensor, *, window: int = 9, reading: Reading = "intended"
) -> Tensor:
    """Hold the fused picture against the source whose variance around each pixel is larger.

    Eq. 24 says 9×9 in words and ``[i-3, i+3]``, which is 7×7, in symbols; the words count twice. Windows at the border
    hold the pixels that exist. Eq. 25 gives the visible image only where its variance is strictly larger. Eq. 26 prints
    the visible image in both terms, which leaves the weight map without effect; the text wants the infrared in the
    second.

    Args:
        fused: The fused luminance, in [0, 1].  # [B, 1, H, W]
        ir: The infrared image.  # [B, 1, H, W]
        vis: The visible luminance.  # [B, 1, H, W]
        window: Side of the window in pixels, odd.
        reading: ``"intended"``, infrared in the second term of Eq. 26, or ``"printed"``, the visible in both.

    Returns:
        ``mean |M (fused - vis)| + mean |(1 - M) (fused - ir)|``, M being Eq. 25's map, or what is printed.  # []

    Raises:
        InputError: The pictures differ in shape or are no (B, 1, H, W) tensors.
        UsageError: The window is even or not positive, or the reading is unknown.
    """
    check_images(fused=fused, ir=ir, vis=vis)
    _check_options(window, reading)
    if reading == "printed":
        return (fused - vis).abs().mean()
    prefer_vis = _variance(vis, window=window) > _variance(ir, window=window) + _VARIANCE_ROUNDING
    return (fused - torch.where(prefer_vis, vis, ir)).abs().mean()


class VarianceGuidedLoss(Loss):
    """``variance_guided`` as a module."""

    def __init__(self, *, window: int = 9, reading: Reading = "intended") -> None:
        _check_options(window, reading)
        super().__init__(variance_guided, window=window, reading=reading)


def _check_options(window: int, reading: str) -> None:
    """Refuse windows without a centre and readings that do not exist."""
    if not isinstance(window, int) or window < 1 or window % 2 == 0:
        raise UsageError(f"window must be an odd whole number of at least 1, got {window!r}")
    if reading not in get_args(Reading):
        raise UsageError(f"reading must be one of {', '.join(get_args(Reading))}, got {reading!r}")


@torch.no_grad()
def _variance(image: Tensor, *, window: int) -> Tensor:
    """Variance of the pixels around each pixel.

    In float64: one gray level of an 8-bit pixel in a 9×9 window is a variance of 2e-7, which a difference of float32
    squares loses.
    """

    def mean(values: Tensor) -> Tensor:
        return functional.avg_pool2d(values, window, stride=1, padding=window // 2, count_include_pad=False)

    values = image.double()
    return mean(values.square()) - mean(values).square()
