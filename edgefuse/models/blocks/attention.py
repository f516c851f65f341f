"""Attention that gates features by channel or by place."""

from __future__ import annotations

import torch
from torch import nn

from edgefuse.models.blocks.convolution import NormStatistics, StatisticsBatchNorm2d

__all__ = ["ChannelGate", "ResidualChannelAttentionBlock", "SpatialGate"]


class ChannelGate(nn.Module):
    """Channel attention: squeeze by the mean, excite by two linear layers and a sigmoid.

    Args:
        channels: Channels of the input.
        reduction: Factor by which the hidden layer is narrower.
    """

    def __init__(self, channels: int, *, reduction: int = 4) -> None:
        super().__init__()
        self.fc = nn.Sequential(
            nn.Linear(channels, channels // reduction),
            nn.ReLU(),
            nn.Linear(channels // reduction, channels),
            nn.Sigmoid(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # [B, C, H, W]
        """Scale each channel of ``x`` by its weight in (0, 1)."""
        return x * self.weights(x)

    def weights(self, x: torch.Tensor) -> torch.Tensor:  # [B, C, H, W]
        """Compute the channels' weights in (0, 1), shape (B, C, 1, 1)."""
        weights: torch.Tensor = self.fc(x.mean(dim=(2, 3)))  # [B, C]
        return weights[:, :, None, None]


class SpatialGate(nn.Module):
    """Spatial attention: a 1x1 convolution block and a 7x7 convolution to one map, through a sigmoid.

    Args:
        channels: Channels of the input.
        statistics: Statistics of the normalisation, see ``StatisticsBatchNorm2d``.
    """

    def __init__(self, channels: int, *, statistics: NormStatistics = "running") -> None:
        super().__init__()
        self.spatial_net = nn.Sequential(
            nn.Conv2d(channels, channels // 2, 1),
            StatisticsBatchNorm2d(channels // 2, statistics=statistics),
            nn.ReLU(),
            nn.Conv2d(channels // 2, 1, 7, padding=3),
            nn.Sigmoid(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # [B, C, H, W]
        """Scale each place of ``x`` by its weight in (0, 1)."""
        weighted: torch.Tensor = x * self.spatial_net(x)
        return weighted


class ResidualChannelAttentionBlock(nn.Module):
    """Two convolutions and channel attention beside a shortcut, after Zhang et al., RCAN, ECCV 2018.

    Args:
        channels: Channels of the input and of the output.
        reduction: Factor by which the attention's hidden layer is narrower.
    """

    def __init__(self, channels: int, *, reduction: int = 16) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            ChannelGate(channels, reduction=min(reduction, channels)),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # [B, C, H, W]
        """Refine ``x``, keeping its shape."""
        refined: torch.Tensor = x + self.body(x)
        return refined
