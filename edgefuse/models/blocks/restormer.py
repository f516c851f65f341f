"""The Restormer block, and the Restormer-CNN block that sets it beside plain convolutions.

Zamir et al., Restormer: Efficient Transformer for High-Resolution Image Restoration, CVPR 2022; the pairing with a
local branch follows Zhao et al., Equivariant Multi-Modality Image Fusion, CVPR 2024.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

__all__ = ["ChannelLayerNorm", "RestormerBlock", "RestormerCNNBlock"]

_EXPANSION = 2.66  # of the gated feed-forward network, as in Restormer


class RestormerBlock(nn.Module):
    """Attention between channels, then a gated feed-forward network, each behind a layer norm and beside a shortcut.

    The cost is linear in pixels: the attention matrix is channels by channels.

    Args:
        channels: Channels of the input and of the output.
        heads: Groups of channels that attend within themselves; divides ``channels``.
    """

    def __init__(self, channels: int, *, heads: int) -> None:
        super().__init__()
        self.attention_norm = ChannelLayerNorm(channels)
        self.attention = _TransposedAttention(channels, heads=heads)
        self.feed_forward_norm = ChannelLayerNorm(channels)
        self.feed_forward = _GatedFeedForward(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # [B, C, H, W]
        """Refine ``x``, keeping its shape."""
        x = x + self.attention(self.attention_norm(x))
        refined: torch.Tensor = x + self.feed_forward(self.feed_forward_norm(x))
        return refined


class RestormerCNNBlock(nn.Module):
    """Global and local features side by side: a Restormer block and two residual blocks, merged by a 3x3 convolution.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        heads: Heads of the Restormer block.
    """

    def __init__(self, in_channels: int, out_channels: int, *, heads: int) -> None:
        super().__init__()
        self.embed = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.global_branch = RestormerBlock(out_channels, heads=heads)
        self.local_branch = nn.Sequential(_ResidualBlock(out_channels), _ResidualBlock(out_channels))
        self.merge = nn.Conv2d(2 * out_channels, out_channels, 3, padding=1, bias=False)
        # PyTorch's own initial weights let a convolution pass a third of its input's variance; nothing leads around
        # these two, so a chain of seven blocks, AngularFuse's shortest way through, would start all but silent.
        for conv in (self.embed, self.merge):
            nn.init.kaiming_normal_(conv.weight, nonlinearity="linear")

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # [B, C_in, H, W]
        """Map ``x`` to ``out_channels`` channels of the same size."""
        x = self.embed(x)  # [B, C_out, H, W]
        merged: torch.Tensor = self.merge(torch.cat([self.global_branch(x), self.local_branch(x)], dim=1))
        return merged


class ChannelLayerNorm(nn.Module):
    """Layer normalisation of each pixel over its channels.

    Args:
        channels: Channels of the input.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # [B, C, H, W]
        """Normalise ``x``, keeping its shape."""
        normalised: torch.Tensor = self.norm(x.permute(0, 2, 3, 1))  # [B, H, W, C]
        return normalised.permute(0, 3, 1, 2)


class _TransposedAttention(nn.Module):
    """Restormer's multi-Dconv head transposed attention: channels attend to channels by their cosine over the image."""

    def __init__(self, channels: int, *, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = nn.Sequential(
            nn.Conv2d(channels, 3 * channels, 1, bias=False),
            nn.Conv2d(3 * channels, 3 * channels, 3, padding=1, groups=3 * channels, bias=False),
        )
        self.project = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # [B, C, H, W]
        """Mix the channels of ``x``, keeping its shape."""
        batch, channels, height, width = x.shape
        query, key, value = (
            part.reshape(batch, self.heads, channels // self.heads, height * width)
            for part in self.qkv(x).chunk(3, dim=1)
        )  # each [B, heads, C/heads, HW]
        cosines = functional.normalize(query, dim=-1) @ functional.normalize(key, dim=-1).transpose(-2, -1)
        attention = (cosines * self.temperature).softmax(dim=-1)  # [B, heads, C/heads, C/heads]
        mixed: torch.Tensor = self.project((attention @ value).reshape(batch, channels, height, width))
        return mixed


class _GatedFeedForward(nn.Module):
    """Restormer's gated-Dconv feed-forward network."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = int(channels * _EXPANSION)
        self.expand = nn.Sequential(
            nn.Conv2d(channels, 2 * hidden, 1, bias=False),
            nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden, bias=False),
        )
        self.project = nn.Conv2d(hidden, channels, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # [B, C, H, W]
        """Transform each pixel of ``x`` with its neighbours, keeping its shape."""
        gate, value = self.expand(x).chunk(2, dim=1)  # each [B, hidden, H, W]
        gated: torch.Tensor = self.project(functional.gelu(gate) * value)
        return gated


class _ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # [B, C, H, W]
        """Refine ``x``, keeping its shape."""
        refined: torch.Tensor = x + self.body(x)
        return refined
