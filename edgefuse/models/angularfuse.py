"""AngularFuse: a U-Net of Restormer-CNN blocks.

Liu et al., AngularFuse: A Closer Look at Angle-based Perception for Spatial-Sensitive Multi-Modality Image Fusion
(Section III-D). The paper gives the plan (encoder, fusion, decoder; four downsampling and four upsampling stages of
three Restormer-CNN blocks; the decoder joins the outputs of the fusion layers) and the parameter count, 1.623 M. The
rest is filled so:

- the Restormer-CNN block is EMMA's (its reference 8) around the Restormer block it cites (its reference 44), see
  ``blocks.restormer``; downsampling is a stride-2 convolution and upsampling a transposed one with ReLU, as in EMMA;
- each modality has its own encoder, and each scale fuses by one Restormer-CNN block, as in EMMA; the deepest features,
  below the fourth downsampling, are merged by a convolution;
- the widths 8, 16, 24, 32 with Restormer's 1, 2, 4, 8 heads give 1,617,835 parameters, 0.3 % below the paper's;
- the fused image leaves a sigmoid, as in EMMA.

The paper's Table IV removes parts of the training only (masks, angle loss, synthesised reference), none of the network.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from edgefuse.errors import UsageError
from edgefuse.models.base import FusionNetwork, require_counts, require_positive
from edgefuse.models.blocks import RestormerCNNBlock
from edgefuse.models.registry import register

__all__ = ["AngularFuse"]

_HEADS = (1, 2, 4, 8)


@register("angularfuse")
class AngularFuse(FusionNetwork):
    """AngularFuse; the fused image leaves a sigmoid. ``forward_train`` adds nothing to ``fused``.

    Args:
        widths: Channels at each of the four scales, finest first; scale k has 1, 2, 4, 8 attention heads, which must
            divide them.
        blocks: Restormer-CNN blocks in each stage of the encoders and of the decoder.
    """

    size_multiple = 16
    min_size = 16

    def __init__(self, *, widths: Sequence[int] = (8, 16, 24, 32), blocks: int = 3) -> None:
        super().__init__()
        widths = _check_widths(widths)
        require_positive("blocks", blocks)
        self.ir_encoder = _Encoder(widths, blocks=blocks)
        self.vis_encoder = _Encoder(widths, blocks=blocks)
        self.fusion = nn.ModuleList(
            RestormerCNNBlock(2 * width, width, heads=heads) for width, heads in zip(widths, _HEADS, strict=True)
        )
        self.bottom = nn.Conv2d(2 * widths[-1], widths[-1], 3, padding=1)
        self.decoder = _Decoder(widths, blocks=blocks)
        self.output = nn.Sequential(nn.Conv2d(widths[0], 1, 3, padding=1), nn.Sigmoid())

    def forward_train(self, ir: torch.Tensor, vis: torch.Tensor) -> dict[str, torch.Tensor]:  # both [B, 1, H, W]
        """Fuse a batch of pairs; see the base class for the arguments."""
        self.check_pair(ir, vis)
        *ir_scales, ir_bottom = self.ir_encoder(ir)
        *vis_scales, vis_bottom = self.vis_encoder(vis)
        fused_scales = [
            fuse(torch.cat([left, right], dim=1))
            for fuse, left, right in zip(self.fusion, ir_scales, vis_scales, strict=True)
        ]
        bottom = self.bottom(torch.cat([ir_bottom, vis_bottom], dim=1))  # [B, C4, H/16, W/16]
        return {"fused": self.output(self.decoder(bottom, fused_scales))}


class _Encoder(nn.Module):
    """Four stages of Restormer-CNN blocks, each followed by a downsampling."""

    def __init__(self, widths: tuple[int, ...], *, blocks: int) -> None:
        super().__init__()
        inputs = (1, *widths[:-1])
        self.stages = nn.ModuleList(
            _stage(before, width, heads=heads, blocks=blocks)
            for before, width, heads in zip(inputs, widths, _HEADS, strict=True)
        )
        self.downs = nn.ModuleList(nn.Conv2d(width, width, 3, stride=2, padding=1, bias=False) for width in widths)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:  # [B, 1, H, W]
        """Return the four stages' features, finest first, and the features below the last downsampling."""
        scales = []
        for stage, down in zip(self.stages, self.downs, strict=True):
            scales.append(stage(x))
            x = down(scales[-1])
        return [*scales, x]


class _Decoder(nn.Module):
    """Four stages, each an upsampling, the fused features of its scale, and Restormer-CNN blocks."""

    def __init__(self, widths: tuple[int, ...], *, blocks: int) -> None:
        super().__init__()
        coarse_first = widths[::-1]
        inputs = (widths[-1], *coarse_first[:-1])
        self.ups = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose2d(before, width, 4, stride=2, padding=1, bias=False), nn.ReLU())
            for before, width in zip(inputs, coarse_first, strict=True)
        )
        self.stages = nn.ModuleList(
            _stage(2 * width, width, heads=heads, blocks=blocks)
            for width, heads in zip(coarse_first, _HEADS[::-1], strict=True)
        )

    def forward(self, x: torch.Tensor, scales: list[torch.Tensor]) -> torch.Tensor:  # [B, C4, H/16, W/16]
        """Climb from the deepest features to the finest scale, shape (B, C1, H, W)."""
        for up, stage, scale in zip(self.ups, self.stages, scales[::-1], strict=True):
            x = stage(torch.cat([up(x), scale], dim=1))
        return x


def _stage(in_channels: int, width: int, *, heads: int, blocks: int) -> nn.Sequential:
    """Chain Restormer-CNN blocks, the first of which changes the width."""
    inputs = (in_channels, *[width] * (blocks - 1))
    return nn.Sequential(*[RestormerCNNBlock(before, width, heads=heads) for before in inputs])


def _check_widths(widths: Sequence[int]) -> tuple[int, ...]:
    """Return the widths if the four scales and their heads can have them."""
    widths = require_counts("widths", widths)
    if len(widths) != len(_HEADS) or any(width % heads for width, heads in zip(widths, _HEADS, strict=True)):
        raise UsageError(f"widths must be four multiples of {', '.join(map(str, _HEADS))}, not {widths!r}")
    return widths
