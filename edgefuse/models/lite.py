"""``lite``: the default network, small enough for a CPU or the smallest Jetson (EdgeFuse's own design)."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

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

    where a, b, m and c vary smoothly: a U-shaped trunk predicts them on a grid of 4×4 px cells, and bilinear
    enlargement brings them to every pixel, as the linear coefficients of a guided filter are (He et al. 2013). All
    detail of the fused picture therefore comes from the sources at full resolution; there are no blocks, and since g
    follows whichever source is brighter at each pixel, an edge that only one source has is kept without a halo.

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
        ir_mean, vis_mean, brighter_mean = (functional.avg_pool2d(x, _CELL_PX) for x in (ir, vis, brighter))
        a, b, m, change = self.head(self._trunk(torch.cat([ir, vis], dim=1))).split(1, dim=1)  # [B, 1, H/4, W/4]
        brightness = 0.25 * ir_mean + 0.25 * vis_mean + 0.5 * brighter_mean + change
        c = brightness - (a * ir_mean + b * vis_mean + m * brighter_mean)
        return _enlarge(a) * ir + _enlarge(b) * vis + _enlarge(m) * brighter + _enlarge(c)

    def _trunk(self, pair: torch.Tensor) -> torch.Tensor:
        """Features on the grid of cells.  # [B, 2, H, W] -> [B, channels, H/4, W/4]"""
        at_4 = functional.relu(self.stem(pair))
        at_8 = self.at_8(self.down_8(at_4))
        at_16 = self.at_16(self.down_16(at_8))
        at_8 = self.out_8(at_8 + _enlarge(self.up_8(at_16), 2))
        out: torch.Tensor = self.out_4(at_4 + _enlarge(self.up_4(at_8), 2))
        return out


def _convolution(inputs: int, outputs: int, *, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1), nn.ReLU())


def _enlarge(maps: torch.Tensor, factor: int = _CELL_PX) -> torch.Tensor:
    return functional.interpolate(maps, scale_factor=factor, mode="bilinear", align_corners=False)
