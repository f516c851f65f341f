"""Fused gradient loss: every gradient term of the five systems in one pass over the images.

Example:
    >>> import torch
    >>> from edgefuse.kernels.gradient_loss import gradient_loss
    >>> fused, ir, vis = torch.rand(3, 2, 1, 16, 16)
    >>> gradient_loss(fused.requires_grad_(), ir, vis, direction=1.0).backward()
"""

from edgefuse.kernels.backend import Backend
from edgefuse.kernels.gradient_loss.autograd import gradient_loss
from edgefuse.kernels.gradient_loss.reference import ANGLE_EPSILON, SobelGradient, sobel
from edgefuse.kernels.gradient_loss.weights import MagnitudeNorm

__all__ = ["ANGLE_EPSILON", "Backend", "MagnitudeNorm", "SobelGradient", "gradient_loss", "sobel"]
