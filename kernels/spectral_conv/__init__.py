"""Spectral convolution: FFT, 1×1 convolution over frequencies, batch normalisation, ReLU, inverse FFT."""

from edgefuse.kernels.spectral_conv.autograd import spectral_conv
from edgefuse.kernels.spectral_conv.module import SpectralConv2d

__all__ = ["SpectralConv2d", "spectral_conv"]
