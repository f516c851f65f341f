"""Two other methods' networks by their published shapes, without weights: what they cost is measured beside ours.

Cost depends on shapes alone. Both take infrared and visible luminance and return the fused one, as ours do, so that
``edgefuse bench --model edgefuse.bench.peer_networks:MMDRFuse`` measures them too.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["MMDRFuse", "SeAFusion"]


class MMDRFuse(nn.Module):
    """The distilled student of MMDRFuse (Deng et al., ACM Multimedia 2024): two convolutions, 113 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Conv2d(2, 4, 3)
        self.decode = nn.Conv2d(4, 1, 3)

    def forward(self, ir: Tensor, vis: Tensor) -> Tensor:  # both [B, 1, H, W]
        """Fuse a batch of pairs."""
        features = torch.relu(self.encode(_mirrored(torch.cat([vis, ir], dim=1))))
        return torch.tanh(self.decode(_mirrored(features)))


class SeAFusion(nn.Module):
    """SeAFusion (Tang et al., Information Fusion 2022): two branches of gradient residual dense blocks.

    Its code makes batch normalisations that it never applies; they are left out.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ir_branch, self.vis_branch = (
            nn.Sequential(_LeakyConv(1, 16), _GradientDenseBlock(16, 32), _GradientDenseBlock(32, 48)) for _ in range(2)
        )
        self.decode = nn.Sequential(_LeakyConv(96, 64), _LeakyConv(64, 32), _LeakyConv(32, 16))
        self.last = nn.Conv2d(16, 1, 3, padding=1)

    def forward(self, ir: Tensor, vis: Tensor) -> Tensor:  # both [B, 1, H, W]
        """Fuse a batch of pairs."""
        features = torch.cat([self.vis_branch(vis), self.ir_branch(ir)], dim=1)
        return torch.tanh(self.last(self.decode(features))) / 2 + 0.5


def _mirrored(images: Tensor) -> Tensor:
    return functional.pad(images, (1, 1, 1, 1), mode="reflect")


class _LeakyConv(nn.Module):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:  # [B, C, H, W]
        return functional.leaky_relu(self.conv(x), 0.2)


class _GradientDenseBlock(nn.Module):
    """Two densely connected convolutions beside the features' Sobel magnitude."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.first = _LeakyConv(in_channels, in_channels)
        self.second = _LeakyConv(2 * in_channels, in_channels)
        self.narrow = nn.Conv2d(3 * in_channels, out_channels, 1)
        self.along_x, self.along_y = (
            nn.Conv2d(in_channels, in_channels, 3, padding=1, groups=in_channels, bias=False) for _ in range(2)
        )
        self.widen = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:  # [B, C, H, W]
        dense = torch.cat([x, self.first(x)], dim=1)
        dense = torch.cat([dense, self.second(dense)], dim=1)
        gradient = self.along_x(x).abs() + self.along_y(x).abs()
        return functional.leaky_relu(self.narrow(dense) + self.widen(gradient), 0.1)
