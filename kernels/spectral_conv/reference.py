"""The spectral convolution in plain PyTorch: the definition, and the form of it that moves least memory."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from edgefuse.kernels.spectral_conv.normalisation import Normalisation

__all__ = ["stack_form", "view_form"]


def stack_form(x: Tensor, weight: Tensor, normalisation: Normalisation) -> Tensor:
    """Return the spectral convolution as Fast Fourier Convolution (Chi et al. 2020) writes it.

    Real and imaginary parts are stacked, permuted and copied into channels, and taken apart again the same way.

    Args:
        x: Real images.  # [B, C, H, W]
        weight: The 1×1 convolution over interleaved channels (c0.re, c0.im, c1.re, ...).  # [2C, 2C, 1, 1]
        normalisation: The batch normalisation between convolution and ReLU.

    Returns:
        Real images.  # [B, C, H, W]
    """
    batch, channels, height, width = x.shape
    spectrum = torch.fft.rfft2(x, norm="ortho")  # [B, C, H, W//2+1]
    stacked = torch.stack((spectrum.real, spectrum.imag), dim=-1).permute(0, 1, 4, 2, 3).contiguous()
    mixed = functional.conv2d(stacked.view(batch, 2 * channels, *spectrum.shape[2:]), weight)
    mixed = torch.relu(normalisation(mixed))
    parts = mixed.view(batch, channels, 2, *spectrum.shape[2:]).permute(0, 1, 3, 4, 2).contiguous()
    images: Tensor = torch.fft.irfft2(torch.complex(parts[..., 0], parts[..., 1]), s=(height, width), norm="ortho")
    return images


def view_form(x: Tensor, weight: Tensor, normalisation: Normalisation) -> Tensor:
    """Return ``stack_form`` to the bit, with views of complex memory in place of its stacks and copies.

    Args:
        x: Real images.  # [B, C, H, W]
        weight: The 1×1 convolution over interleaved channels (c0.re, c0.im, c1.re, ...).  # [2C, 2C, 1, 1]
        normalisation: The batch normalisation between convolution and ReLU.

    Returns:
        Real images.  # [B, C, H, W]
    """
    batch, channels, height, width = x.shape
    spectrum = torch.view_as_real(torch.fft.rfft2(x, norm="ortho"))  # [B, C, H, W//2+1, 2]
    # A clone, not a reshape: where a side is 1, a reshape may return strides for which another convolution is chosen.
    planes = spectrum.permute(0, 1, 4, 2, 3).clone(memory_format=torch.contiguous_format)
    planes = planes.view(batch, 2 * channels, *spectrum.shape[2:4])
    mixed = torch.relu(normalisation(functional.conv2d(planes, weight)))
    parts = mixed.view(batch, channels, 2, *spectrum.shape[2:4]).permute(0, 1, 3, 4, 2).contiguous()
    images: Tensor = torch.fft.irfft2(torch.view_as_complex(parts), s=(height, width), norm="ortho")
    return images
