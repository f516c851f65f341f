"""Building blocks that the networks share."""

from __future__ import annotations

from edgefuse.models.blocks.attention import ChannelGate, ResidualChannelAttentionBlock, SpatialGate
from edgefuse.models.blocks.convolution import ConvBlock, NormStatistics, StatisticsBatchNorm2d
from edgefuse.models.blocks.recompute import recomputed
from edgefuse.models.blocks.restormer import ChannelLayerNorm, RestormerBlock, RestormerCNNBlock
from edgefuse.models.blocks.spectral import Spectral, SpectralBlock

__all__ = [
    "ChannelGate",
    "ChannelLayerNorm",
    "ConvBlock",
    "NormStatistics",
    "ResidualChannelAttentionBlock",
    "RestormerBlock",
    "RestormerCNNBlock",
    "SpatialGate",
    "Spectral",
    "SpectralBlock",
    "StatisticsBatchNorm2d",
    "recomputed",
]
