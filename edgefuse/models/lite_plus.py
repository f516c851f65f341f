"""``lite-plus``: lite's blend with a wider trunk and details of its own, for an RTX or an Orin."""

from __future__ import annotations

import torch
from torch import nn

from edgefuse.models.base import require_positive
from edgefuse.models.lite_cells import BASES, CELL_PX, CellNetwork, ContextTrunk, convolution
from edgefuse.models.registry import register

__all__ = ["LitePlus"]


@register("lite-plus")
class LitePlus(CellNetwork):
    """``lite``'s local affine blend, its coefficients set for each pixel.

    The trunk sees the 16 pixels of a cell as channels, so that its 3×3 convolutions at a quarter of the resolution
    look at 12×12 px. Besides the four smooth maps of ``lite`` it predicts, for each of the 16 pixels of a cell, what to
    add to p, q, r and c there: an edge is taken from the source that has it, pixel by pixel, where ``lite`` must
    decide once for a neighbourhood. Freshly initialised these additions are 0 and the picture is ``lite``'s.

    Args:
        channels: Width of the trunk at a quarter resolution; eighth and sixteenth have 1.5 and 2 times as many.
    """

    def __init__(self, *, channels: int = 64) -> None:
        super().__init__()
        require_positive("channels", channels)
        widths = (channels, channels * 3 // 2, channels * 2)
        finish = nn.Sequential(*convolution(channels, channels))
        self.trunk = ContextTrunk(BASES * CELL_PX**2, widths, stem=3, depths=(1, 1, 2), finish=finish)
        self.head = nn.Conv2d(channels, BASES + 1, 1)
        self.detail = nn.Conv2d(channels, (BASES + 1) * CELL_PX**2, 1)
        for parameter in (*self.head.parameters(), *self.detail.parameters()):
            nn.init.zeros_(parameter)

    def maps(self, features: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The coefficients of a cell, and what each of its pixels adds to them; see ``CellNetwork.maps``."""
        return self.head(features), self.detail(features)
