"""RPFNet: residual prior, spectral convolution and cross promotion, refined over a few stages.

Guan et al., Residual Prior-driven Frequency-aware Network for Image Fusion, ACM MM 2025. Two variants share their parts
and their tensor names:

- ``released`` computes what the network published with the paper computes, from its own weights: the residual branch
  concatenates its three dilated convolutions into a 1x1 convolution and leaves its attention layers unused, the gate of
  the fusion features is 1x1, and the local path of the fusion module runs beside the spectral one.
- ``paper`` follows Eq. (1)-(4). Where they leave a choice: the attention of Eq. (3), cited from NestFuse, weighs two
  inputs against each other there and has no parameters, so the learned attention layers of the published weights stand
  in for it, in the order that Eq. (3) gives; the dilated convolutions carry normalisation and ReLU, as published; the
  two CB3x3 of Eq. (4) are one block, as the text's "refined features undergo FFT" and "residual connection" say.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import nn

from edgefuse.errors import UsageError
from edgefuse.models.base import FusionNetwork, require_choice, require_positive
from edgefuse.models.blocks import (
    ChannelGate,
    ConvBlock,
    NormStatistics,
    RestormerBlock,
    SpatialGate,
    Spectral,
    SpectralBlock,
    recomputed,
)
from edgefuse.models.registry import register

__all__ = ["RPFNet"]

Variant = Literal["released", "paper"]
FusionBlock = Literal["spectral", "transformer"]

_DILATIONS = (1, 3, 5)
_TRANSFORMER_HEADS = 4
_CHANNEL_MULTIPLE = 4  # the channel attention narrows by 4, the transformer has 4 heads


@register("rpfnet")
class RPFNet(FusionNetwork):
    """RPFNet; the fused image leaves a sigmoid.

    ``forward_train`` adds ``residual_map``, the auxiliary decoder's picture M' of the last residual features in [0, 1],
    for the saliency structure loss (Eq. 5-7), where ``auxiliary=True``.

    ``auxiliary`` and the last three settings remove what the paper's Table 3 removes; its other rows remove losses.

    Args:
        variant: ``"released"`` or ``"paper"``, see the module's docstring.
        channels: Width of the features.
        iterations: Passes N through the one iteration block, whose weights they share.
        norm_statistics: Batch normalisation in evaluation mode by ``"running"`` statistics, or by those of each
            ``"image"``; the paper's figures come from the latter. ``"held"`` is ``"running"``, in training too.
        auxiliary: Adds the auxiliary decoder, for training.
        spectral: The spectral convolution in plain PyTorch, ``"eager"``, as an export needs it, or by
            ``edgefuse.kernels.spectral_conv``, ``"fused"``; the weights are the same.
        recompute: In training, keeps no activations of the passes but computes them again in the backward pass: less
            than half of the memory, about a third more time.
        fusion_block: ``"spectral"``, the frequency domain fusion module, or ``"transformer"``, a Restormer block in its
            place (the paper does not say which transformer it takes).
        cross_promotion: Lets the residual and the fusion branch exchange features.
        residual_prior: Keeps the residual branch; without it there is neither cross promotion nor auxiliary decoder.
    """

    min_size = 2  # a single pixel has no variance for norm_statistics="image"
    training_only = ("auxiliary_decoder.",)

    def __init__(
        self,
        *,
        variant: Variant = "paper",
        channels: int = 32,
        iterations: int = 3,
        norm_statistics: NormStatistics = "running",
        auxiliary: bool = False,
        spectral: Spectral = "eager",
        recompute: bool = False,
        fusion_block: FusionBlock = "spectral",
        cross_promotion: bool = True,
        residual_prior: bool = True,
    ) -> None:
        super().__init__()
        if auxiliary and not residual_prior:
            raise UsageError(
                "the auxiliary decoder shows the residual branch: auxiliary=True needs residual_prior=True"
            )
        if require_positive("channels", channels) % _CHANNEL_MULTIPLE:
            raise UsageError(f"channels must be a multiple of {_CHANNEL_MULTIPLE}, not {channels}")
        statistics = require_choice("norm_statistics", norm_statistics, get_args(NormStatistics))
        self.recompute = recompute
        self.iterations = require_positive("iterations", iterations)
        self.init_spatial = ConvBlock(1, channels, statistics=statistics) if residual_prior else None
        self.init_freq = ConvBlock(2, channels, statistics=statistics)
        self.iteration_block = _IterationBlock(
            channels,
            variant=require_choice("variant", variant, get_args(Variant)),
            fusion_block=require_choice("fusion_block", fusion_block, get_args(FusionBlock)),
            cross_promotion=cross_promotion and residual_prior,
            residual_prior=residual_prior,
            statistics=statistics,
            spectral=require_choice("spectral", spectral, get_args(Spectral)),
        )
        self.decoder = _decoder(channels, statistics=statistics)
        self.auxiliary_decoder = _decoder(channels, statistics=statistics) if auxiliary else None

    def forward(self, ir: torch.Tensor, vis: torch.Tensor) -> torch.Tensor:  # both [B, 1, H, W]
        """Fuse a batch of pairs, without the auxiliary decoder; see the base class."""
        return self._fused(*self._branches(ir, vis))

    def forward_train(self, ir: torch.Tensor, vis: torch.Tensor) -> dict[str, torch.Tensor]:  # both [B, 1, H, W]
        """Fuse a batch of pairs; see the base class for the arguments and this class for the extras."""
        residual, fusion = self._branches(ir, vis)
        outputs = {"fused": self._fused(residual, fusion)}
        if self.auxiliary_decoder is not None:
            outputs["residual_map"] = self.auxiliary_decoder(residual)
        return outputs

    def _branches(self, ir: torch.Tensor, vis: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor]:
        """The residual features, if there are any, and the fusion features.  # [B, C, H, W] each"""
        self.check_pair(ir, vis)
        residual = None if self.init_spatial is None else self.init_spatial(ir - vis)  # [B, C, H, W]
        fusion = self.init_freq(torch.cat([vis, ir], dim=1))  # [B, C, H, W]
        for _ in range(self.iterations):
            residual, fusion = self._iterate(residual, fusion)
        return residual, fusion

    def _iterate(self, residual: torch.Tensor | None, fusion: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor]:
        """One pass through the iteration block.  # [B, C, H, W] each"""
        if self.recompute and self.training and torch.is_grad_enabled():
            again: tuple[torch.Tensor | None, torch.Tensor] = recomputed(self.iteration_block, residual, fusion)
            return again
        once: tuple[torch.Tensor | None, torch.Tensor] = self.iteration_block(residual, fusion)
        return once

    def _fused(self, residual: torch.Tensor | None, fusion: torch.Tensor) -> torch.Tensor:
        fused: torch.Tensor = self.decoder(fusion if residual is None else residual + fusion)
        return fused


class _IterationBlock(nn.Module):
    """One stage: the branches exchange, then each refines itself."""

    def __init__(
        self,
        channels: int,
        *,
        variant: Variant,
        fusion_block: FusionBlock,
        cross_promotion: bool,
        residual_prior: bool,
        statistics: NormStatistics,
        spectral: Spectral,
    ) -> None:
        super().__init__()
        released = variant == "released"
        self.cross_promotion: nn.Module | None = None
        self.residual_branch: nn.Module | None = None
        self.fourier_branch: nn.Module
        if cross_promotion:
            self.cross_promotion = _CrossPromotion(channels, gate_kernel=1 if released else 3, statistics=statistics)
        if residual_prior:
            self.residual_branch = (_ReleasedResidualBranch if released else _ResidualPrior)(
                channels, statistics=statistics
            )
        if fusion_block == "transformer":
            self.fourier_branch = RestormerBlock(channels, heads=_TRANSFORMER_HEADS)
        else:
            self.fourier_branch = (_ReleasedFourierBranch if released else _FrequencyFusion)(
                channels, statistics=statistics, spectral=spectral
            )

    def forward(self, residual: torch.Tensor | None, fusion: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor]:
        """Refine the residual features, if there are any, and the fusion features, both [B, C, H, W]."""
        if self.cross_promotion is not None:
            residual, fusion = self.cross_promotion(residual, fusion)
        if self.residual_branch is not None:
            residual = self.residual_branch(residual)
        return residual, self.fourier_branch(fusion)


class _CrossPromotion(nn.Module):
    """Cross promotion (Eq. 1-2): fusion features enrich the residual ones, which gate them in turn."""

    def __init__(self, channels: int, *, gate_kernel: int, statistics: NormStatistics) -> None:
        super().__init__()
        self.spatial_to_freq = ConvBlock(
            channels, channels, kernel=gate_kernel, activation="sigmoid", statistics=statistics
        )
        self.freq_to_spatial = ConvBlock(channels, channels, statistics=statistics)

    def forward(self, residual: torch.Tensor, fusion: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Exchange between the residual and the fusion features, both [B, C, H, W]."""
        return self.freq_to_spatial(fusion) + residual, self.spatial_to_freq(residual) * fusion + fusion


class _ResidualPrior(nn.Module):
    """Residual prior module (Eq. 3): channel then spatial attention, then the sum of three dilated convolutions."""

    def __init__(self, channels: int, *, statistics: NormStatistics) -> None:
        super().__init__()
        self.dilated_convs = nn.ModuleList(
            ConvBlock(channels, channels, dilation=dilation, statistics=statistics) for dilation in _DILATIONS
        )
        self.spatial_attention = SpatialGate(channels, statistics=statistics)
        self.channel_attention = ChannelGate(channels)

    def forward(self, residual: torch.Tensor) -> torch.Tensor:  # [B, C, H, W]
        """Refine the residual features."""
        attended = self.spatial_attention(self.channel_attention(residual))
        return torch.stack([conv(attended) for conv in self.dilated_convs]).sum(dim=0)


class _ReleasedResidualBranch(_ResidualPrior):
    """Residual branch of the published weights: no attention, and a 1x1 convolution over the three scales."""

    def __init__(self, channels: int, *, statistics: NormStatistics) -> None:
        super().__init__(channels, statistics=statistics)
        self.fusion = nn.Conv2d(len(_DILATIONS) * channels, channels, 1)

    def forward(self, residual: torch.Tensor) -> torch.Tensor:  # [B, C, H, W]
        """Refine the residual features."""
        refined: torch.Tensor = self.fusion(torch.cat([conv(residual) for conv in self.dilated_convs], dim=1))
        return refined


class _FrequencyFusion(SpectralBlock):
    """Frequency domain fusion module (Eq. 4): a local block, plus the spectral convolution of its output."""

    def __init__(self, channels: int, *, statistics: NormStatistics, spectral: Spectral) -> None:
        super().__init__(channels, statistics=statistics, spectral=spectral)
        self.conv_spatial = ConvBlock(channels, channels, statistics=statistics)

    def forward(self, fusion: torch.Tensor) -> torch.Tensor:  # [B, C, H, W]
        """Refine the fusion features."""
        local: torch.Tensor = self.conv_spatial(fusion)
        return local + super().forward(local)


class _ReleasedFourierBranch(_FrequencyFusion):
    """Fusion branch of the published weights: the local block and the spectral convolution side by side."""

    def forward(self, fusion: torch.Tensor) -> torch.Tensor:  # [B, C, H, W]
        """Refine the fusion features."""
        local: torch.Tensor = self.conv_spatial(fusion)
        return local + SpectralBlock.forward(self, fusion)


def _decoder(channels: int, *, statistics: NormStatistics) -> nn.Sequential:
    """Reconstruction head: two convolution blocks, a convolution to one channel, a sigmoid."""
    return nn.Sequential(
        *ConvBlock(channels, channels, statistics=statistics),
        *ConvBlock(channels, channels // 2, statistics=statistics),
        nn.Conv2d(channels // 2, 1, 3, padding=1),
        nn.Sigmoid(),
    )
