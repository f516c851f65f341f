"""Structural similarity with its gradient in one pass over two images.

Example:
    >>> import torch
    >>> from edgefuse.kernels.ssim import ssim
    >>> fused, source = torch.rand(2, 1, 1, 32, 32)
    >>> (1 - ssim(fused.requires_grad_(), source)).backward()
"""

from edgefuse.kernels.ssim.autograd import ssim

__all__ = ["ssim"]
