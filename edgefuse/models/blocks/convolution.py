"""Convolution with batch normalisation, whose statistics are a choice."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn
from torch.nn import functional

from edgefuse.models.blocks.recompute import recomputing

__all__ = ["ConvBlock", "NormStatistics", "StatisticsBatchNorm2d"]

Activation = Literal["relu", "leaky_relu", "sigmoid"]
NormStatistics = Literal["running", "image", "held"]

_ACTIVATIONS: dict[Activation, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "sigmoid": nn.Sigmoid,
}


class StatisticsBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation that can use each image's own statistics in evaluation mode.

    Training mode is that of ``nn.BatchNorm2d``, and moves no running statistics where a batch is run a second time for
    the backward pass (``recomputed``). In evaluation mode ``statistics="running"`` uses the running mean and variance,
    as usual; ``"image"`` uses the biased mean and variance of each image and channel, which is what a network left in
    training mode computes when it is given one image at a time. ``"held"`` is ``"running"`` in both modes: training
    neither normalises by its batches nor moves the statistics, so that the network that is trained is the one that
    fuses, and knows how bright a picture is as a whole. The statistics are those of the weights it starts from.

    Args:
        channels: Channels of the input.
        statistics: ``"running"``, ``"image"`` or ``"held"``.
    """

    def __init__(self, channels: int, *, statistics: NormStatistics = "running") -> None:
        super().__init__(channels)
        self.momentum: float = 0.1  # PyTorch's default; narrowed from its optional type
        self.statistics = statistics

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # [B, C, H, W]
        """Normalise ``x``, keeping its shape."""
        if self.training and not self.by_batch:
            mean, variance = self.running_mean, self.running_var
            return functional.batch_norm(x, mean, variance, self.weight, self.bias, training=False, eps=self.eps)
        if self.training and recomputing():
            mean, variance = self.copied_statistics()
            return functional.batch_norm(x, mean, variance, self.weight, self.bias, training=True, eps=self.eps)
        if self.training or self.statistics != "image":
            return super().forward(x)
        return functional.instance_norm(x, weight=self.weight, bias=self.bias, eps=self.eps)

    @property
    def by_batch(self) -> bool:
        """Whether it normalises by the statistics of its batches now, and moves the running ones."""
        return self.training and self.statistics != "held"

    def copied_statistics(self) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Copies of the running mean and variance, for a run that must not move them.  # [C] each"""
        mean, variance = self.running_mean, self.running_var
        return None if mean is None else mean.clone(), None if variance is None else variance.clone()


class ConvBlock(nn.Sequential):
    """Convolution, batch normalisation, activation; the size of the image is kept.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel: Odd side of the kernel in pixels.
        dilation: Pixels between the kernel's taps.
        activation: ``"relu"``, ``"leaky_relu"`` or ``"sigmoid"``.
        statistics: Statistics of the normalisation, see ``StatisticsBatchNorm2d``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel: int = 3,
        dilation: int = 1,
        activation: Activation = "relu",
        statistics: NormStatistics = "running",
    ) -> None:
        padding = dilation * (kernel // 2)
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel, padding=padding, dilation=dilation),
            StatisticsBatchNorm2d(out_channels, statistics=statistics),
            _ACTIVATIONS[activation](),
        )
