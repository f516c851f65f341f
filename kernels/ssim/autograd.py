"""Structural similarity as a differentiable operation: arguments checked, backend chosen."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from edgefuse.errors import InputError, UsageError
from edgefuse.kernels.backend import Backend, choose_backend
from edgefuse.kernels.one_pass import differentiable, register_gradient
from edgefuse.kernels.ssim.reference import reference_ssim
from edgefuse.kernels.ssim.ssim_native import native_ssim

__all__ = ["ssim"]


@torch.library.custom_op("edgefuse::ssim", mutates_args=())
def _operator(
    image: Tensor, reference: Tensor, *, data_range: float, backend: str, with_gradient: bool
) -> tuple[Tensor, Tensor]:
    """Mean and gradient by a fused backend.  # [1], [B, 1, H, W] float32 or empty"""
    return _one_pass(image, reference, data_range=data_range, backend=backend, with_gradient=with_gradient)


@_operator.register_fake
def _(image: Tensor, reference: Tensor, *, with_gradient: bool, **_: object) -> tuple[Tensor, Tensor]:
    del reference
    mean = image.new_empty(1, dtype=torch.float32)
    return mean, image.new_empty(image.shape if with_gradient else (0,), dtype=torch.float32)


register_gradient(_operator, n_constants=1)


def _one_pass(
    image: Tensor, reference: Tensor, *, data_range: float, backend: str, with_gradient: bool
) -> tuple[Tensor, Tensor]:
    """Mean and gradient by a fused backend.  # [1], [B, 1, H, W] float32 or empty"""
    if backend == "native":
        return native_ssim(image, reference, data_range=data_range, with_gradient=with_gradient)
    from edgefuse.kernels.ssim.ssim_triton import triton_ssim

    return triton_ssim(image, reference, data_range=data_range, with_gradient=with_gradient)


def ssim(image: Tensor, reference: Tensor, *, data_range: float = 1.0, backend: Backend = "auto") -> Tensor:
    """Return the mean structural similarity of two images (Wang et al. 2004, Eq. 13), to be maximised.

    The window is an 11×11 Gaussian of 1.5 pixels, completed by zeros at the border, so that images of any size have a
    value at every pixel. Arithmetic is float32 whatever the images' types (float64 where one is float64).

    Args:
        image: The image to differentiate with respect to, any strides.  # [B, 1, H, W]
        reference: The image to hold it against.  # [B, 1, H, W]
        data_range: Largest possible difference between two values.
        backend: ``"triton"`` (NVIDIA GPU), ``"native"`` (C++ on the CPU, float32), ``"reference"`` (PyTorch), or
            ``"auto"`` for the fastest that takes these tensors. The first two differentiate with respect to ``image``
            only; where ``reference`` asks for its gradient, ``"auto"`` takes the reference implementation.

    Returns:
        The mean over all pixels, 1 for equal images.  # []

    Raises:
        InputError: The images are no equally shaped (B, 1, H, W) floating-point tensors on one device.
        UsageError: ``data_range`` is not positive, or the backend is unknown or cannot serve these tensors.

    Example:
        >>> image = torch.rand(1, 1, 16, 16)
        >>> round(ssim(image, image).item(), 4)
        1.0
    """
    if not (math.isfinite(data_range) and data_range > 0):
        raise UsageError(f"data_range must be positive, got {data_range!r}")
    for name, plane in (("image", image), ("reference", reference)):
        if plane.ndim != 4 or plane.shape[1] != 1 or plane.numel() == 0:
            raise InputError(f"{name} must be a non-empty (B, 1, H, W) tensor, got shape {tuple(plane.shape)}")
        if not plane.is_floating_point():
            raise InputError(f"{name} must hold floating-point values, got {plane.dtype}")
    if image.shape != reference.shape:
        raise InputError(f"image and reference differ in shape: {tuple(image.shape)} and {tuple(reference.shape)}")
    if image.device != reference.device:
        raise InputError(f"image is on {image.device}, reference on {reference.device}")
    chosen = choose_backend(backend, image, reference, constants=(reference,))
    if chosen == "reference":
        return reference_ssim(image, reference, data_range=data_range)
    compute = functools.partial(
        _operator if torch.compiler.is_compiling() else _one_pass,
        image,
        reference,
        data_range=float(data_range),
        backend=chosen,
        with_gradient=torch.is_grad_enabled() and image.requires_grad,
    )
    if torch.compiler.is_compiling():
        mean: Tensor = compute()[0][0]
        return mean
    return differentiable(image, compute)[0]
