"""Structural similarity on the CPU, by the C++ extension."""

from __future__ import annotations

import torch
from torch import Tensor

from edgefuse.kernels import _native
from edgefuse.kernels.ssim.reference import WINDOW, constants

__all__ = ["native_ssim"]


def native_ssim(image: Tensor, reference: Tensor, *, data_range: float, with_gradient: bool) -> tuple[Tensor, Tensor]:
    """Return the mean structural similarity and its gradient with respect to the image.

    Args:
        image: An image, float32 on the CPU, any strides.  # [B, 1, H, W]
        reference: Another one.  # [B, 1, H, W]
        data_range: Largest possible difference between two values.
        with_gradient: Whether the gradient is wanted.

    Returns:
        The mean, and its gradient, empty where it is not wanted.  # [1], [B, 1, H, W]
    """
    gradient = image.new_empty(image.shape if with_gradient else 0)
    c1, c2 = constants(data_range)
    mean = _native.ssim(
        image.detach(),
        reference.detach(),
        gradient if with_gradient else None,
        window=WINDOW,
        c1=c1,
        c2=c2,
        threads=torch.get_num_threads(),
    )
    return torch.tensor((mean,)), gradient
