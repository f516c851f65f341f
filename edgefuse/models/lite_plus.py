"""``lite-plus``: lite's blend with a wider trunk and details of its own, for an RTX or an Orin."""

from __future__ import annotations

import torch
from torch import nn

from edgefuse.models.base import FusionNetwork, require_positive
from edgefuse.models.lite_cells import BASES, CELL_PX, CellBlend, ContextTrunk, convolution
from edgefuse.models.registry import register

__all__ = ["LitePlus"]


@register("lite-plus")
class LitePlus(FusionNetwork):
    """``lite``'s local affine blend, its coefficients set for each pixel.

    The trunk sees the 16 pixels of a cell as channels, so that its 3×3 convolutions at a quarter of the resolution
    look at 12×12 px. Besides the four smooth maps of ``lite`` it predicts, for each of the 16 pixels of a cell, what to
    add to p, q, r and c there: an edge is taken from the source that has it, pixel by pixel, where ``lite`` must
    decide once for a neighbourhood. Freshly initialised these additions are 0 and the picture is ``lite``'s.

    Args:
        channels: Width of the trunk at a quarter resolution; eighth and sixteenth have 1.5 and 2 times as many.
    """

    size_multiple = 16
    min_size = 16

    def __init__(self, *, channels: int = 64) -> None:
        super().__init__()
        require_positive("channels", channels)
        widths = (channels, channels * 3 // 2, channels * 2)
        finish = nn.Sequential(*convolution(channels, channels))
        self.blend = CellBlend()
        self.trunk = ContextTrunk(BASES * CELL_PX**2, widths, stem=3, depths=(1, 1, 2), finish=finish)
        self.head = nn.Conv2d(channels, BASES + 1, 1)
        self.detail = nn.Conv2d(channels, (BASES + 1) * CELL_PX**2, 1)
        for parameter in (*self.head.parameters(), *self.detail.parameters()):
            nn.init.zeros_(parameter)

    def forward_train(self, ir: torch.Tensor, vis: torch.Tensor) -> dict[str, torch.Tensor]:
        """Fuse a batch of pairs.

        Args:
            ir: Infrared images, shape (B, 1, H, W), in [0, 1].
            vis: Luminance of the visible images, same shape.

        Returns:
            ``fused`` before the clamp: losses then feel how far it lies out of range, and bring it back.
        """
        self.check_pair(ir, vis)
        cells = self.blend.cells(ir, vis)
        features = self.trunk(cells.stacked)
        return {"fused": self.blend(cells, self.head(features), self.detail(features))}

    def forward(self, ir: torch.Tensor, vis: torch.Tensor) -> torch.Tensor:
        """Fuse a batch of pairs; see ``FusionNetwork.forward``."""
        return self.forward_train(ir, vis)["fused"].clamp(0, 1)
