"""The gradient loss as a differentiable operation: arguments checked, backend chosen, compiler and autograd served."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast, overload

import torch
from torch import Tensor

from edgefuse.errors import InputError
from edgefuse.kernels.backend import Backend, choose_backend
from edgefuse.kernels.gradient_loss.gradient_loss_native import native_loss
from edgefuse.kernels.gradient_loss.reference import reference_terms
from edgefuse.kernels.gradient_loss.weights import TERMS, MagnitudeNorm, TermWeights
from edgefuse.kernels.one_pass import differentiable, register_gradient

__all__ = ["gradient_loss"]


@dataclass(frozen=True)
class _Call:
    """What a call asks for beside its images."""

    weights: TermWeights
    backend: Backend
    with_gradient: bool


def _one_pass(fused: Tensor, ir: Tensor, vis: Tensor, call: _Call) -> tuple[Tensor, Tensor]:
    """Total and terms, and the gradient of the total, by a fused backend.  # [5], [B, 1, H, W] float32 or empty"""
    if call.backend == "native":
        return native_loss(fused, ir, vis, weights=call.weights, with_gradient=call.with_gradient)
    from edgefuse.kernels.gradient_loss.gradient_loss_triton import triton_loss

    return triton_loss(fused, ir, vis, weights=call.weights, with_gradient=call.with_gradient)


@torch.library.custom_op("edgefuse::gradient_loss", mutates_args=())
def _operator(
    fused: Tensor,
    ir: Tensor,
    vis: Tensor,
    *,
    weights: list[float],
    scale_weights: list[float],
    magnitude_norm: str,
    backend: str,
    with_gradient: bool,
) -> tuple[Tensor, Tensor]:
    """The one-pass loss as an operator that ``torch.compile`` calls without looking inside."""
    magnitude, angle, direction, max_magnitude = weights
    norm = cast(MagnitudeNorm, magnitude_norm)
    restored = TermWeights(magnitude, norm, angle, direction, tuple(scale_weights), max_magnitude)
    return _one_pass(fused, ir, vis, _Call(restored, cast(Backend, backend), with_gradient))


@_operator.register_fake
def _(fused: Tensor, ir: Tensor, vis: Tensor, *, with_gradient: bool, **_: object) -> tuple[Tensor, Tensor]:
    del ir, vis
    values = fused.new_empty(1 + len(TERMS), dtype=torch.float32)
    return values, fused.new_empty(fused.shape if with_gradient else (0,), dtype=torch.float32)


register_gradient(_operator, n_constants=2)


@overload
def gradient_loss(
    fused: Tensor,
    ir: Tensor,
    vis: Tensor,
    *,
    magnitude: float = ...,
    magnitude_norm: MagnitudeNorm = ...,
    angle: float = ...,
    direction: float = ...,
    scales: int | Sequence[float] = ...,
    max_magnitude: float = ...,
    backend: Backend = ...,
    return_terms: Literal[False] = ...,
) -> Tensor: ...
@overload
def gradient_loss(
    fused: Tensor,
    ir: Tensor,
    vis: Tensor,
    *,
    magnitude: float = ...,
    magnitude_norm: MagnitudeNorm = ...,
    angle: float = ...,
    direction: float = ...,
    scales: int | Sequence[float] = ...,
    max_magnitude: float = ...,
    backend: Backend = ...,
    return_terms: Literal[True],
) -> tuple[Tensor, dict[str, Tensor]]: ...
def gradient_loss(
    fused: Tensor,
    ir: Tensor,
    vis: Tensor,
    *,
    magnitude: float = 0.0,
    magnitude_norm: MagnitudeNorm = "l1",
    angle: float = 0.0,
    direction: float = 0.0,
    scales: int | Sequence[float] = 3,
    max_magnitude: float = 0.0,
    backend: Backend = "auto",
    return_terms: bool = False,
) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
    """Hold the Sobel gradients of a fused image against those of its sources; every gradient term of the five systems.

    Gradients are unnormalised Sobel derivatives of images continued by zeros. With the reference gradient R of
    AngularFuse Eq. 12 (at each pixel the longer gradient vector of the two sources, the visible one on a tie):

    - ``magnitude``: mean of ``|‖∇f‖ − ‖R‖|`` (``"l1"``) or of its square (``"l2"``), AngularFuse Eq. 15;
    - ``angle``: mean of ``1 − cos(∇f, R)``, AngularFuse Eq. 16-17, made smooth by ``ANGLE_EPSILON``;
    - ``direction``: mean over pixels and axes of ``|Gf − Gt|``, Gt being on each axis the source derivative of larger
      absolute value, sign kept, visible on a tie; weighted and summed over 2×2 average-pooled scales
      (arXiv 2510.13067);
    - ``max_magnitude``: mean of ``|(|Gx| + |Gy|) − max over the sources of (|Gx| + |Gy|)|``, DFECF Eq. 22 and SSPFusion
      Eq. 14 with the gradient magnitude that their cited building blocks take.

    Derivatives where an absolute value or a length is 0 are 0. Arithmetic is float32 whatever the images' types
    (float64 where one is float64), also under autocast.

    Args:
        fused: The fused luminance, any strides.  # [B, 1, H, W]
        ir: The infrared image.  # [B, 1, H, W]
        vis: The visible luminance.  # [B, 1, H, W]
        magnitude: Weight of the magnitude term; a term of weight 0 is not computed.
        magnitude_norm: ``"l1"`` or ``"l2"``.
        angle: Weight of the angle term.
        direction: Weight of the direction term.
        scales: Number of scales of the direction term, each of weight 1, or one weight a scale, the finest first.
        max_magnitude: Weight of the max-magnitude term.
        backend: ``"triton"`` (NVIDIA GPU), ``"native"`` (C++ on the CPU, float32), ``"reference"`` (PyTorch), or
            ``"auto"`` for the fastest that takes these tensors. The first two differentiate with respect to ``fused``
            only; where a source asks for its gradient, ``"auto"`` takes the reference.
        return_terms: Return the unweighted terms as well, detached, by name.

    Returns:
        The weighted sum, or that and the terms.  # []

    Raises:
        InputError: The images are no equally shaped (B, 1, H, W) floating-point tensors on one device, or too small for
            the number of scales.
        UsageError: A weight is not finite, all are 0, a choice is unknown, or the backend cannot serve these tensors.

    Example:
        >>> fused, ir, vis = torch.rand(3, 2, 1, 16, 16)
        >>> gradient_loss(fused, ir, vis, magnitude=5.0, angle=1.0).shape
        torch.Size([])
    """
    weights = TermWeights.build(
        magnitude=magnitude,
        magnitude_norm=magnitude_norm,
        angle=angle,
        direction=direction,
        scales=scales,
        max_magnitude=max_magnitude,
    )
    _check_images(fused=fused, ir=ir, vis=vis, n_scales=weights.n_scales)
    chosen = choose_backend(backend, fused, ir, vis, constants=(ir, vis))
    if chosen == "reference":
        terms = reference_terms(fused, ir, vis, weights=weights)
        total = torch.stack([getattr(weights, name) * value for name, value in terms.items()]).sum()
        return (total, {name: value.detach() for name, value in terms.items()}) if return_terms else total
    call = _Call(weights, chosen, with_gradient=torch.is_grad_enabled() and fused.requires_grad)
    if torch.compiler.is_compiling():
        total, values = _compiled(fused, ir, vis, call)
    else:
        total, values = differentiable(fused, lambda: _one_pass(fused, ir, vis, call))
    if not return_terms:
        return total
    return total, {name: value for name, value in zip(TERMS, values, strict=True) if name in weights.active}


def _compiled(fused: Tensor, ir: Tensor, vis: Tensor, call: _Call) -> tuple[Tensor, Tensor]:
    """Total, differentiable, and terms.  # [], [4]"""
    values, _ = _operator(
        fused,
        ir,
        vis,
        weights=[getattr(call.weights, name) for name in TERMS],
        scale_weights=list(call.weights.scale_weights),
        magnitude_norm=call.weights.magnitude_norm,
        backend=call.backend,
        with_gradient=call.with_gradient,
    )
    return values[0], values[1:].detach()


def _check_images(*, fused: Tensor, ir: Tensor, vis: Tensor, n_scales: int) -> None:
    """Refuse what no backend could give a meaning to."""
    for name, image in (("fused", fused), ("ir", ir), ("vis", vis)):
        if image.ndim != 4 or image.shape[1] != 1 or image.numel() == 0:
            raise InputError(f"{name} must be a non-empty (B, 1, H, W) tensor, got shape {tuple(image.shape)}")
        if not image.is_floating_point():
            raise InputError(f"{name} must hold floating-point values, got {image.dtype}")
        if image.shape != fused.shape:
            raise InputError(f"{name} and fused differ in shape: {tuple(image.shape)} and {tuple(fused.shape)}")
        if image.device != fused.device:
            raise InputError(f"{name} is on {image.device}, fused on {fused.device}")
    smallest = 2 ** (n_scales - 1)
    if min(fused.shape[2:]) < smallest:
        raise InputError(f"{n_scales} scales need images of at least {smallest}x{smallest}, got {tuple(fused.shape)}")
