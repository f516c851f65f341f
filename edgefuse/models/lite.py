"""``lite``: the default network, small enough for a CPU or the smallest Jetson (EdgeFuse's own design)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from edgefuse.models.base import FusionNetwork, require_positive
from edgefuse.models.registry import register

__all__ = ["Lite"]

_CELL_PX = 4
_MAPS = 4


@register("lite")
class Lite(FusionNetwork):
    """Local affine blend at full resolution, its coefficients predicted at a quarter of it.

    With g the pixel-wise maximum of the sources,

        fused = clamp(a·ir + b·vis + m·g + c, 0, 1),

    where a, b, m and c vary smoothly: a U-shaped trunk predicts them on a grid of 4×4 px cells, and bilinear enlargement
    brings them to every pixel, as the linear coefficients of a guided filter are (He et al. 2013). All detail of the
    fused picture therefore comes from the sources at full resolution; there are no blocks, and since g follows whichever
    source is brighter at each pixel, an edge that only one source has is kept without a halo.

    c is not predicted itself but through the brightness of the cell: c = t − (a·īr + b·vīs + m·ḡ) with bars for means
    over the cell and t the predicted brightness, so that the trunk sets contrast (a, b, m) and brightness (t) apart.
    Freshly initialised, a = b = 0.25, m = 0.5 and t is the same mixture of the means.

    Args:
        channels: Width of the trunk at a quarter resolution; eighth and sixteenth have 2 and 3 times as many.
    """

    size_multiple = 16
    min_size = 16

    def __init__(self, *, channels: int = 16) -> None:
        super().__init__()
        require_positive("channels", channels)
        middle, deep = channels * 2, channels * 3
        self.stem = nn.Conv2d(2, channels, _CELL_PX, stride=_CELL_PX)
        self.down_8 = _convolution(channels, middle, stride=2)
        self.at_8 = _convolution(middle, middle)
        self.down_16 = _convolution(middle, deep, stride=2)
        self.at_16 = nn.Sequential(_convolution(deep, deep), _convolution(deep, deep))
        self.up_8 = nn.Conv2d(deep, middle, 1)
        self.out_8 = _convolution(middle, middle)
        self.up_4 = nn.Conv2d(middle, channels, 1)
        self.out_4 = _convolution(channels, channels)
        self.head = nn.Conv2d(channels, _MAPS, 1)
        nn.init.zeros_(self.head.weight)
        self.head.bias = nn.Parameter(torch.tensor([0.25, 0.25, 0.5, 0.0]))

    def forward_train(self, ir: torch.Tensor, vis: torch.Tensor) -> dict[str, torch.Tensor]:
        """Fuse a batch of pairs.

        Args:
            ir: Infrared images, shape (B, 1, H, W), in [0, 1].
            vis: Luminance of the visible images, same shape.

        Returns:
            ``fused`` before the clamp: losses then feel how far it lies out of range, and bring it back.
        """
        return {"fused": self._blend(ir, vis)}

    def forward(self, ir: torch.Tensor, vis: torch.Tensor) -> torch.Tensor:
        """Fuse a batch of pairs; see ``FusionNetwork.forward``."""
        return self._blend(ir, vis).clamp(0, 1)

    def _blend(self, ir: torch.Tensor, vis: torch.Tensor) -> torch.Tensor:
        self.check_pair(ir, vis)
        brighter = torch.maximum(ir, vis)
        sources = torch.cat([ir, vis, brighter], dim=1)  # [B, 3, H, W]
        cells = F.avg_pool2d(sources, _CELL_PX)  # [B, 3, H/4, W/4]
        maps = self.head(self._trunk(sources[:, :2]))  # [B, 4, H/4, W/4]
        gains, change = maps[:, :3], maps[:, 3:]
        # The plain mixture of the cell's means plus a predicted change is the cell's brightness t.
        mixture = 0.25 * cells[:, 0:1] + 0.25 * cells[:, 1:2] + 0.5 * cells[:, 2:3]
        offset = mixture + change - (gains * cells).sum(dim=1, keepdim=True)  # [B, 1, H/4, W/4]
        smooth = F.interpolate(
            torch.cat([gains, offset], dim=1), scale_factor=_CELL_PX, mode="bilinear", align_corners=False
        )  # [B, 4, H, W]
        return smooth[:, 0:1] * ir + smooth[:, 1:2] * vis + smooth[:, 2:3] * brighter + smooth[:, 3:4]

    def _trunk(self, pair: torch.Tensor) -> torch.Tensor:
        """Features on the grid of cells.  # [B, 2, H, W] -> [B, channels, H/4, W/4]"""
        at_4 = F.relu(self.stem(pair))
        at_8 = self.at_8(self.down_8(at_4))
        at_16 = self.at_16(self.down_16(at_8))
        at_8 = self.out_8(at_8 + _double(self.up_8(at_16)))
        out: torch.Tensor = self.out_4(at_4 + _double(self.up_4(at_8)))
        return out


def _convolution(inputs: int, outputs: int, *, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1), nn.ReLU())


def _double(features: torch.Tensor) -> torch.Tensor:
    return F.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)
