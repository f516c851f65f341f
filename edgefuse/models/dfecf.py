"""DFECF: two encoders that enhance each other by their difference, adaptive fusion, a transformer and a decoder.

Zhang et al., Infrared-Visible Image Fusion Method Based on Differential Feature Enhancement and Cross-Modal Attention.
Table 1 fixes every convolution. What the paper leaves open is filled so:

- batch normalisation, which the text names, follows each convolution but the last; leaky ReLU has PyTorch's slope 0.01;
- the squeeze of Eq. (5) has SENet's ratio 16 and its ReLU between the two layers;
- the last layer's Tanh maps to [-1, 1] and the images are in [0, 1], so the output is (tanh + 1) / 2;
- the parameters theta of Eq. (17)-(19) are one factor a channel; attention has one head and, having no positions in the
  equations, none here; the MLP has a transformer's usual four times wider hidden layer with GELU;
- the softmax attention of Eq. (20) compares every pixel with every other, 9.4e10 pairs at 640x480.
  ``attention="spatial"`` computes it exactly through PyTorch's memory-efficient kernels, for patches.
  ``attention="linear"``, the default, is Katharopoulos et al. (2020): the exponential of the softmax becomes the
  product of elu(q) + 1 and elu(k) + 1, so keys and values are summed over the image once, at a cost linear in pixels.
  Both have the same parameters.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal, get_args

import torch
from torch import nn
from torch.nn import functional

from edgefuse.models.base import FusionNetwork, require_choice
from edgefuse.models.blocks import ChannelGate, ConvBlock
from edgefuse.models.registry import register

__all__ = ["DFECF"]

Attention = Literal["linear", "spatial"]

# Added to the weights' sum, which underflows only where every key is far from every query; as Katharopoulos et al. do.
_LEAST_WEIGHT = 1e-6
_ENCODER_CHANNELS = (16, 32, 64, 128)
_DECODER_CHANNELS = (64, 32, 16)


@register("dfecf")
class DFECF(FusionNetwork):
    """DFECF; the fused image is (tanh + 1) / 2. ``forward_train`` adds nothing to ``fused``.

    The settings ``enhancement``, ``cross_modal`` and ``transformer`` remove what the paper's Table 4 removes; its
    "Remove Loss" column removes a loss.

    Args:
        attention: ``"linear"`` or ``"spatial"``, see the module's docstring.
        enhancement: Enhances the features of both encoders by their difference after each layer (Eq. 1-7).
        cross_modal: Fuses by learnt channel weights (Eq. 8-12); without it the fused features are the mean of the two.
        transformer: Adds the global perception of Eq. (13)-(20).
    """

    min_size = 2  # batch statistics of a single pixel have no variance

    def __init__(
        self,
        *,
        attention: Attention = "linear",
        enhancement: bool = True,
        cross_modal: bool = True,
        transformer: bool = True,
    ) -> None:
        super().__init__()
        require_choice("attention", attention, get_args(Attention))
        width = _ENCODER_CHANNELS[-1]
        self.ir_encoder = _encoder()
        self.vis_encoder = _encoder()
        self.enhancers = (
            nn.ModuleList(_Enhancement(channels) for channels in _ENCODER_CHANNELS) if enhancement else None
        )
        self.fusion = _CrossModalFusion(width) if cross_modal else None
        self.transformer = _Transformer(width, attention=attention) if transformer else None
        self.decoder = nn.Sequential(
            *_convolutions(width, *_DECODER_CHANNELS), nn.Conv2d(_DECODER_CHANNELS[-1], 1, 3, padding=1), nn.Tanh()
        )

    def forward_train(self, ir: torch.Tensor, vis: torch.Tensor) -> dict[str, torch.Tensor]:  # both [B, 1, H, W]
        """Fuse a batch of pairs; see the base class for the arguments."""
        self.check_pair(ir, vis)
        for layer, (ir_layer, vis_layer) in enumerate(zip(self.ir_encoder, self.vis_encoder, strict=True)):
            ir, vis = ir_layer(ir), vis_layer(vis)  # [B, C_layer, H, W]
            if self.enhancers is not None:
                ir, vis = self.enhancers[layer](ir, vis)
        fused = (ir + vis) / 2 if self.fusion is None else self.fusion(ir, vis)
        if self.transformer is not None:
            fused = self.transformer(fused)
        return {"fused": (self.decoder(fused) + 1) / 2}


class _Enhancement(nn.Module):
    """Differential feature enhancement (Eq. 1-7): both modalities are amplified where and in what they differ."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.spatial = nn.Sequential(nn.Conv2d(2, 1, 7, padding=3), nn.Sigmoid())
        self.channel = ChannelGate(channels, reduction=min(16, channels))

    def forward(self, ir: torch.Tensor, vis: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Enhance the features of both modalities, each [B, C, H, W]."""
        difference = (vis - ir).abs()
        pooled = torch.cat([difference.mean(dim=1, keepdim=True), difference.amax(dim=1, keepdim=True)], dim=1)
        gain = 1 + self.spatial(pooled) * self.channel.weights(difference)  # [B, 1, H, W] * [B, C, 1, 1]
        return ir * gain, vis * gain


class _CrossModalFusion(nn.Module):
    """Cross-modal feature fusion (Eq. 8-12): a weight for each channel of each modality, from the means of both."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.vis_weights = nn.Linear(2 * channels, channels)
        self.ir_weights = nn.Linear(2 * channels, channels)

    def forward(self, ir: torch.Tensor, vis: torch.Tensor) -> torch.Tensor:  # both [B, C, H, W]
        """Fuse the features to shape (B, C, H, W)."""
        means = torch.cat([vis, ir], dim=1).mean(dim=(2, 3))  # [B, 2C]
        vis_weights, ir_weights = self.vis_weights(means), self.ir_weights(means)  # [B, C]
        fused: torch.Tensor = vis_weights[:, :, None, None] * vis + ir_weights[:, :, None, None] * ir
        return fused


class _Transformer(nn.Module):
    """Global feature perception (Eq. 13-20): one transformer block whose tokens are the pixels."""

    def __init__(self, channels: int, *, attention: Attention) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(channels)
        self.attention = _SelfAttention(channels, attention=attention)
        self.mlp_norm = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(nn.Linear(channels, 4 * channels), nn.GELU(), nn.Linear(4 * channels, channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # [B, C, H, W]
        """Let every pixel of ``x`` see the whole image, keeping its shape."""
        tokens = x.flatten(2).transpose(1, 2)  # [B, HW, C]
        tokens = tokens + self.attention(self.attention_norm(tokens))
        tokens = tokens + self.mlp(self.mlp_norm(tokens))
        seen: torch.Tensor = tokens.transpose(1, 2).reshape(x.shape)
        return seen


class _SelfAttention(nn.Module):
    """Self-attention of one head with learnt factors on queries, keys and values (Eq. 15-20)."""

    def __init__(self, channels: int, *, attention: Attention) -> None:
        super().__init__()
        self.expand = nn.Linear(channels, 3 * channels)  # Eq. (15): a 1x1 convolution, on tokens
        self.factors = nn.Parameter(torch.ones(3, channels))
        self.attend = _attend_linearly if attention == "linear" else _attend_exactly

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:  # [B, N, C]
        """Attend over all tokens, keeping their shape."""
        query, key, value = (
            part * factor for part, factor in zip(self.expand(tokens).chunk(3, dim=-1), self.factors, strict=True)
        )
        attended: torch.Tensor = self.attend(query, key, value)
        return attended


def _attend_exactly(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:  # each [B, N, C]
    """Attend by Eq. (20), at a cost quadratic in N."""
    # The memory-efficient kernels and the ONNX exporter want an axis of heads.
    heads = functional.scaled_dot_product_attention(query[:, None], key[:, None], value[:, None])  # [B, 1, N, C]
    return heads[:, 0]


def _attend_linearly(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:  # each [B, N, C]
    """Attend with the kernel (elu(q) + 1) · (elu(k) + 1) in place of exp(q · k), at a cost linear in N."""
    query, key = _elu_plus_one(query), _elu_plus_one(key)
    # Sums over N are taken as means, half of 1/N on each factor, so that none leaves the range of half precision.
    # As a tensor: a number would be frozen into a graph of free size.
    scale = torch.scalar_tensor(key.shape[1], dtype=torch.float32, device=key.device).rsqrt().to(key.dtype)  # []
    context = (key * scale).transpose(1, 2) @ (value * scale)  # [B, C, C]
    weight = query @ key.mean(dim=1)[:, :, None]  # [B, N, 1]
    attended: torch.Tensor = query @ context / (weight + _LEAST_WEIGHT)
    return attended


def _elu_plus_one(x: torch.Tensor) -> torch.Tensor:
    """Compute elu(x) + 1 without the cancellation that leaves half precision no digits where x is far below zero."""
    return x.clamp(min=0) + x.clamp(max=0).exp()


def _encoder() -> nn.ModuleList:
    """The four layers of one encoder (Table 1)."""
    return _convolutions(1, *_ENCODER_CHANNELS)


def _convolutions(*channels: int) -> nn.ModuleList:
    """List 3x3 convolution blocks with leaky ReLU through the given channel counts."""
    return nn.ModuleList(ConvBlock(before, after, activation="leaky_relu") for before, after in pairwise(channels))
