"""The spectral convolution as a differentiable operation: arguments checked, backend chosen."""

from __future__ import annotations

from typing import Any, Literal, cast

import torch
from torch import Tensor

from edgefuse.errors import InputError, UsageError
from edgefuse.kernels.autotune import on_device
from edgefuse.kernels.backend import Backend, choose_backend
from edgefuse.kernels.spectral_conv.normalisation import Normalisation
from edgefuse.kernels.spectral_conv.reference import view_form
from edgefuse.kernels.spectral_conv.transforms import Transform, choose_transform, from_spectrum, to_spectrum

__all__ = ["spectral_conv"]

_TRANSFORMS = ("auto", "fft", "matmul")


def _precision(x: Tensor) -> Literal["tf32", "ieee"]:
    """That of PyTorch's convolutions: asked inside the operators, since the compiler cannot look into the setting."""
    return "tf32" if x.is_cuda and torch.backends.cudnn.conv.fp32_precision == "tf32" else "ieee"  # type: ignore[attr-defined]


@torch.library.custom_op("edgefuse::spectral_conv", mutates_args=())
def _forward(
    x: Tensor,
    weight: Tensor,
    gamma: Tensor,
    beta: Tensor,
    running: Tensor | None,
    *,
    eps: float,
    transform: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """Images, and for the backward pass their spectrum and the normalisation applied to it.

    ``running`` holds the mean and the variance to use, None for those of the batch.  # [2, 2C]
    """
    from edgefuse.kernels.spectral_conv.launch import mix_forward

    with on_device(x.device):
        by = cast(Transform, transform)
        spectrum = to_spectrum(x.detach().float(), by=by)
        mixed, normalisation = mix_forward(
            spectrum,
            weight.detach().contiguous(),
            gamma.detach().contiguous(),
            beta.detach().contiguous(),
            statistics=None if running is None else (running[0], running[1]),
            eps=eps,
            precision=_precision(x),
        )
        images = from_spectrum(mixed, size=(x.shape[2], x.shape[3]), by=by)
    return images, spectrum, normalisation


@_forward.register_fake
def _(x: Tensor, weight: Tensor, gamma: Tensor, beta: Tensor, running: Tensor | None, **_: object) -> Any:
    del gamma, beta, running
    batch, channels, height, width = x.shape
    spectrum = x.new_empty(batch, channels, height, width // 2 + 1, dtype=torch.complex64)
    return x.new_empty(x.shape, dtype=torch.float32), spectrum, weight.new_empty(5, 2 * channels)


@torch.library.custom_op("edgefuse::spectral_conv_backward", mutates_args=())
def _gradients(
    incoming: Tensor,
    spectrum: Tensor,
    weight: Tensor,
    normalisation: Tensor,
    *,
    by_batch: bool,
    transform: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of images, weight, gamma and beta."""
    from edgefuse.kernels.spectral_conv.launch import mix_backward

    with on_device(incoming.device):
        by = cast(Transform, transform)
        gradients = mix_backward(
            to_spectrum(incoming, by=by),
            spectrum,
            weight.contiguous(),
            normalisation,
            by_batch=by_batch,
            width=incoming.shape[3],
            precision=_precision(incoming),
        )
        images = from_spectrum(gradients.spectrum, size=(incoming.shape[2], incoming.shape[3]), by=by)
    return images, gradients.weight, gradients.gamma.clone(), gradients.beta.clone()


@_gradients.register_fake
def _(incoming: Tensor, spectrum: Tensor, weight: Tensor, normalisation: Tensor, **_: object) -> Any:
    del spectrum
    vector = normalisation.new_empty(normalisation.shape[1])
    return incoming.new_empty(incoming.shape), weight.new_empty(weight.shape), vector, torch.empty_like(vector)


def _setup(ctx: Any, inputs: tuple[Any, ...], keyword_only_inputs: dict[str, Any], output: tuple[Tensor, ...]) -> None:
    ctx.save_for_backward(output[1], inputs[1], output[2])
    ctx.by_batch = inputs[4] is None
    ctx.transform = keyword_only_inputs["transform"]
    ctx.dtype = inputs[0].dtype


def _backward(ctx: Any, incoming: Tensor, *_: Tensor | None) -> tuple[Tensor | None, ...]:
    spectrum, weight, normalisation = ctx.saved_tensors
    images, of_weight, gamma, beta = _gradients(
        incoming, spectrum, weight, normalisation, by_batch=ctx.by_batch, transform=ctx.transform
    )
    return images.to(ctx.dtype), of_weight, gamma, beta, None


_forward.register_autograd(_backward, setup_context=_setup)


def spectral_conv(  # noqa: PLR0917  the order of torch.nn.functional.batch_norm, after the weight
    x: Tensor,
    weight: Tensor,
    gamma: Tensor,
    beta: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    *,
    training: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    backend: Backend = "auto",
    transform: Transform | Literal["auto"] = "auto",
) -> Tensor:
    """Filter images over all frequencies: FFT, 1×1 convolution, batch normalisation, ReLU, inverse FFT.

    Both transforms are orthonormal. The convolution mixes the real and imaginary parts of all channels, interleaved
    (c0.re, c0.im, c1.re, ...), at each frequency alike; the normalisation is over batch and frequencies. This is the
    global branch of Fast Fourier Convolution (Chi et al. 2020) and of RPFNet Eq. 4.

    Args:
        x: Real images of any size.  # [B, C, H, W]
        weight: Weight of the convolution.  # [2C, 2C] or [2C, 2C, 1, 1]
        gamma: Scale of the normalisation.  # [2C]
        beta: Shift of the normalisation.  # [2C]
        running_mean: Running mean, moved in place where ``training``.  # [2C]
        running_var: Running variance, moved in place where ``training``.  # [2C]
        training: Use the statistics of the batch, as is also done where no running ones are given.
        momentum: Share of the batch in the moved running statistics.
        eps: Added to the variance.
        backend: ``"triton"`` keeps the spectrum alone for the backward pass and fuses all between the transforms;
            ``"reference"`` is PyTorch; ``"auto"`` takes Triton on an NVIDIA GPU.
        transform: Of the Triton backend: ``"fft"``, ``"matmul"`` (matrix products, for tensor cores), or ``"auto"`` for
            the faster, timed once for each device and size.

    Returns:
        Filtered images in the type of ``x``; half precision is widened to float32 between the transforms.
        # [B, C, H, W]

    Raises:
        InputError: ``x`` is no non-empty (B, C, H, W) tensor, or a parameter does not fit its channels.
        UsageError: The backend or transform is unknown, or the backend cannot serve these tensors.

    Example:
        >>> x = torch.rand(2, 4, 16, 15)
        >>> spectral_conv(x, torch.randn(8, 8), torch.ones(8), torch.zeros(8)).shape
        torch.Size([2, 4, 16, 15])
    """
    _check(x, weight, gamma=gamma, beta=beta, running_mean=running_mean, running_var=running_var)
    if transform not in _TRANSFORMS:
        raise UsageError(f"transform must be one of {', '.join(map(repr, _TRANSFORMS))}, got {transform!r}")
    norm = Normalisation(gamma, beta, running_mean, running_var, training=training, momentum=momentum, eps=eps)
    count = x.shape[0] * x.shape[2] * (x.shape[3] // 2 + 1)
    if norm.by_batch and count < 2:
        raise InputError(f"statistics of a batch need more than one value a channel, got images of {tuple(x.shape)}")
    chosen = choose_backend(backend, x, weight, gamma, beta, has_native=False)
    if chosen == "triton" and 2 * x[0].numel() > 2**31 - 1:  # offsets within an image are 32 bits wide
        if backend != "auto":
            raise UsageError(f"backend 'triton' takes images of up to 2^30 values, got {tuple(x.shape[1:])}")
        chosen = "reference"
    with torch.autocast(x.device.type, enabled=False):  # it would narrow the transforms' matrix products
        if chosen == "reference":
            wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
            return view_form(wide, weight.reshape(*weight.shape[:2], 1, 1), norm).to(x.dtype)
        return _fused(x, weight, norm, transform=transform)


def _fused(x: Tensor, weight: Tensor, norm: Normalisation, *, transform: Transform | Literal["auto"]) -> Tensor:
    """The Triton backend.  # [B, C, H, W]"""
    running = None
    if not norm.by_batch and norm.running_mean is not None and norm.running_var is not None:
        running = torch.stack((norm.running_mean, norm.running_var)).float()
    if transform == "auto":
        transform = "fft" if torch.compiler.is_compiling() else choose_transform(x.detach())
    parameters = (weight.reshape(weight.shape[:2]).float(), norm.gamma.float(), norm.beta.float())
    images: Tensor
    images, _, applied = _forward(x, *parameters, running, eps=norm.eps, transform=transform)
    with torch.no_grad():
        norm.update(applied[0], applied[1], x.shape[0] * x.shape[2] * (x.shape[3] // 2 + 1))
    return images.to(x.dtype)


def _check(x: Tensor, weight: Tensor, **vectors: Tensor | None) -> None:
    """Refuse shapes that do not fit together."""
    if x.ndim != 4 or x.numel() == 0 or not x.is_floating_point():
        raise InputError(f"x must be a non-empty floating-point (B, C, H, W) tensor, got {x.dtype} {tuple(x.shape)}")
    rows = 2 * x.shape[1]
    if tuple(weight.shape) not in ((rows, rows), (rows, rows, 1, 1)):
        raise InputError(f"weight must be ({rows}, {rows}) for {x.shape[1]} channels, got {tuple(weight.shape)}")
    for name, vector in vectors.items():
        if vector is not None and tuple(vector.shape) != (rows,):
            raise InputError(f"{name} must have {rows} values for {x.shape[1]} channels, got {tuple(vector.shape)}")
