"""Spectral convolution: FFT, 1x1 convolution over the frequencies, inverse FFT."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from edgefuse.models.blocks.convolution import NormStatistics, StatisticsBatchNorm2d
from edgefuse.models.blocks.recompute import recomputing

__all__ = ["Spectral", "SpectralBlock", "channels_to_spectrum", "spectrum_to_channels"]

Spectral = Literal["eager", "fused"]


class SpectralBlock(nn.Module):
    """The frequency path of RPFNet's fusion module (Eq. 4), after Chi et al., Fast Fourier Convolution, 2020.

    Orthonormal 2-D FFT of a real image, a 1x1 convolution that mixes the real and imaginary parts of all channels at
    each frequency, batch normalisation over the frequencies, ReLU, and the inverse FFT.

    All of it runs in float32 at least, also under autocast: half-precision FFTs exist for powers of two only, and a
    spectrum's range is wider than half precision resolves.

    Args:
        channels: Channels of the input and of the output.
        statistics: Statistics of the normalisation, see ``StatisticsBatchNorm2d``.
        spectral: ``"eager"`` is plain PyTorch, which exports to ONNX; ``"fused"`` is
            ``edgefuse.kernels.spectral_conv``, with Triton kernels between the transforms on an NVIDIA GPU.
    """

    def __init__(self, channels: int, *, statistics: NormStatistics = "running", spectral: Spectral = "eager") -> None:
        super().__init__()
        self.spectral = spectral
        self.conv_layer = nn.Conv2d(2 * channels, 2 * channels, 1, bias=False)
        self.bn = StatisticsBatchNorm2d(2 * channels, statistics=statistics)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # [B, C, H, W]
        """Filter ``x`` over all frequencies, keeping its shape and type."""
        if self.spectral == "fused":
            return self._filter_fused(x)
        device = x.device.type
        if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
            with torch.autocast(device, enabled=False):
                return self._filter_eager(x)
        return self._filter_eager(x)

    def _filter_eager(self, x: torch.Tensor) -> torch.Tensor:  # [B, C, H, W]
        height, width = x.shape[-2:]
        planes = spectrum_to_channels(x)  # [B, 2C, H, W//2 + 1]
        planes = torch.relu(self.bn(self.conv_layer(planes)))
        return channels_to_spectrum(planes, height=height, width=width).to(x.dtype)

    def _filter_fused(self, x: torch.Tensor) -> torch.Tensor:  # [B, C, H, W]
        if self.bn.by_batch and recomputing():
            return self._call_kernel(x, *self.bn.copied_statistics())
        if self.bn.by_batch or self.bn.statistics != "image":
            if self.bn.by_batch and self.bn.num_batches_tracked is not None:
                self.bn.num_batches_tracked.add_(1)
            return self._call_kernel(x, self.bn.running_mean, self.bn.running_var)
        # Without running statistics the kernel takes those of its batch, here of one image at a time.
        return torch.cat([self._call_kernel(image, None, None) for image in x.chunk(len(x))])

    def _call_kernel(
        self, x: torch.Tensor, running_mean: torch.Tensor | None, running_var: torch.Tensor | None
    ) -> torch.Tensor:
        from edgefuse.kernels.spectral_conv import spectral_conv

        return spectral_conv(
            x,
            self.conv_layer.weight,
            self.bn.weight,
            self.bn.bias,
            running_mean,
            running_var,
            training=self.bn.by_batch,
            momentum=self.bn.momentum,
            eps=self.bn.eps,
        )


def spectrum_to_channels(x: torch.Tensor) -> torch.Tensor:  # [B, C, H, W]
    """Transform real images and lay real and imaginary parts out as neighbouring channels.

    Args:
        x: Real images, shape (B, C, H, W).

    Returns:
        Real planes (c0.re, c0.im, c1.re, ...), shape (B, 2C, H, W//2 + 1), scaled by 1/sqrt(HW).
    """
    if x.dtype in (torch.float16, torch.bfloat16):
        x = x.float()
    spectrum = torch.view_as_real(torch.fft.rfft2(x, norm="ortho"))  # [B, C, H, W//2 + 1, 2]
    return spectrum.permute(0, 1, 4, 2, 3).flatten(1, 2)


def channels_to_spectrum(planes: torch.Tensor, *, height: int, width: int) -> torch.Tensor:  # [B, 2C, H, W//2 + 1]
    """Undo ``spectrum_to_channels``: back from planes of real and imaginary parts to real images.

    Args:
        planes: Planes (c0.re, c0.im, c1.re, ...), shape (B, 2C, H, W//2 + 1).
        height: H of the images.
        width: W of the images, which the half spectrum alone does not tell.

    Returns:
        Real images, shape (B, C, H, W).
    """
    if planes.dtype in (torch.float16, torch.bfloat16):
        planes = planes.float()
    parts = (
        planes.reshape(len(planes), -1, 2, *planes.shape[2:]).permute(0, 1, 3, 4, 2).contiguous()
    )  # [B, C, H, W//2 + 1, 2]
    images: torch.Tensor = torch.fft.irfft2(torch.view_as_complex(parts), s=(height, width), norm="ortho")
    return images
