"""The spectral convolution as a layer."""

from __future__ import annotations

from torch import Tensor, nn

from edgefuse.kernels.backend import Backend
from edgefuse.kernels.spectral_conv.autograd import spectral_conv

__all__ = ["SpectralConv2d"]


class SpectralConv2d(nn.Module):
    """FFT, 1×1 convolution over all channels' real and imaginary parts, batch normalisation, ReLU, inverse FFT.

    Tensors are named as in RPFNet's released checkpoint: ``conv_layer.weight``, ``bn.*``.

    Args:
        channels: Channels of the images that go in and come out.
        momentum: Share of a batch in the moved running statistics.
        eps: Added to the variance.
        backend: See ``spectral_conv``.

    Example:
        >>> import torch
        >>> SpectralConv2d(4)(torch.rand(2, 4, 16, 15)).shape
        torch.Size([2, 4, 16, 15])
    """

    def __init__(self, channels: int, *, momentum: float = 0.1, eps: float = 1e-5, backend: Backend = "auto") -> None:
        super().__init__()
        self.conv_layer = nn.Conv2d(2 * channels, 2 * channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(2 * channels, eps=eps, momentum=momentum)
        self.momentum = momentum
        self.backend: Backend = backend

    def forward(self, x: Tensor) -> Tensor:  # [B, C, H, W]
        """Filter images over all frequencies.  # [B, C, H, W]"""
        if self.training and self.bn.num_batches_tracked is not None:
            self.bn.num_batches_tracked.add_(1)
        return spectral_conv(
            x,
            self.conv_layer.weight,
            self.bn.weight,
            self.bn.bias,
            self.bn.running_mean,
            self.bn.running_var,
            training=self.training,
            momentum=self.momentum,
            eps=self.bn.eps,
            backend=self.backend,
        )

    def extra_repr(self) -> str:
        """Options as shown by ``print(layer)``."""
        return f"backend={self.backend!r}"
