"""``lite``: the default network, small enough for a CPU or the smallest Jetson (EdgeFuse's own design)."""

from __future__ import annotations

import torch
from torch import nn

from edgefuse.models.base import require_positive
from edgefuse.models.lite_cells import BASES, CELL_PX, CellNetwork, ContextTrunk
from edgefuse.models.registry import register

__all__ = ["Lite"]


@register("lite")
class Lite(CellNetwork):
    """Local affine blend at full resolution, its coefficients predicted at a quarter of it.

    With g the pixel-wise maximum of the sources,

        fused = clamp(a·ir + b·vis + m·g + c, 0, 1),

    where a, b, m and c vary smoothly: a U-shaped trunk predicts them on a grid of 4×4 px cells, and bilinear
    enlargement brings them to every pixel, as the linear coefficients of a guided filter are (He et al. 2013). All
    detail of the fused picture therefore comes from the sources at full resolution; there are no blocks, and since g
    follows whichever source is brighter at each pixel, an edge that only one source has is kept without a halo.
    ``CellBlend`` has the same in other letters: p = a, q = −(b + m), r = m.

    Args:
        channels: Width of the trunk at a quarter resolution; eighth and sixteenth have 2 and 3 times as many.
    """

    def __init__(self, *, channels: int = 16) -> None:
        super().__init__()
        require_positive("channels", channels)
        self.trunk = ContextTrunk(BASES * CELL_PX**2, (channels, channels * 2, channels * 3))
        self.head = nn.Conv2d(channels, BASES + 1, 1)
        for parameter in self.head.parameters():
            nn.init.zeros_(parameter)

    def maps(self, features: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The coefficients of a cell; see ``CellNetwork.maps``."""
        return (self.head(features),)
