"""Which implementation of an operation serves a call: Triton, C++ or the PyTorch reference."""

from __future__ import annotations

import importlib.util
import os
from typing import Literal, get_args

import torch
from torch import Tensor

from edgefuse.errors import UsageError

__all__ = ["Backend", "choose_backend", "interpreting", "why_not_triton"]

Backend = Literal["auto", "triton", "native", "reference"]


_ALL = get_args(Backend)
_TRITON_INSTALLED = importlib.util.find_spec("triton") is not None
_OLDEST_TRITON_GPU = (7, 5)
"""Compute capability of Turing. Triton compiles nothing for what came before, and says so with a compiler's error."""


def interpreting() -> bool:
    """Whether Triton kernels run in its interpreter, on the CPU, as ``TRITON_INTERPRET=1`` asks."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def why_not_triton(images: tuple[Tensor, ...]) -> str | None:
    """Return why Triton kernels cannot serve these tensors, or None where they can."""
    device = images[0].device
    if not _TRITON_INSTALLED:
        return "Triton is not installed: pip install 'edgefuse[train]'"
    if not (device.type == "cuda" and torch.version.cuda is not None) and not (device.type == "cpu" and interpreting()):
        return f"it runs on an NVIDIA GPU and the tensors are on {device}"
    if device.type == "cuda" and (found := _capability(device)) < _OLDEST_TRITON_GPU:
        return "it needs a GPU of compute capability {}.{} and this one has {}.{}".format(*_OLDEST_TRITON_GPU, *found)
    return _why_not_types(images, (torch.float32, torch.float16, torch.bfloat16))


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]  # no question for a graph: a device keeps it
def _capability(device: torch.device) -> tuple[int, int]:
    return torch.cuda.get_device_capability(device)


def _why_not_native(images: tuple[Tensor, ...]) -> str | None:
    device = images[0].device
    if device.type != "cpu":
        return f"it runs on the CPU and the tensors are on {device}"
    return _why_not_types(images, (torch.float32,))


def _why_not_types(images: tuple[Tensor, ...], taken: tuple[torch.dtype, ...]) -> str | None:
    for image in images:
        if image.dtype not in taken:
            return f"it takes {', '.join(map(str, taken))} and a tensor is {image.dtype}"
    return None


_REASONS = {"triton": why_not_triton, "native": _why_not_native}


def choose_backend(
    requested: Backend, *images: Tensor, constants: tuple[Tensor, ...] = (), has_native: bool = True
) -> Backend:
    """Return the backend that serves a call, never ``"auto"``.

    Args:
        requested: What the caller asked for.
        images: All tensors of the call, on one device.
        constants: Those of them that the fused backends do not differentiate with respect to.
        has_native: Whether the operation has a C++ implementation.

    Returns:
        ``requested``, or for ``"auto"`` Triton on a GPU, C++ on the CPU, the reference for what neither takes, as GPUs
        older than Turing. The
        environment variable ``EDGEFUSE_KERNELS=reference`` makes ``"auto"`` the reference everywhere, to compare.

    Raises:
        UsageError: The request is unknown, or cannot serve these tensors; the message says why.
    """
    if requested not in _ALL or (requested == "native" and not has_native):
        allowed = ", ".join(repr(name) for name in _ALL if has_native or name != "native")
        raise UsageError(f"backend must be one of {allowed}, got {requested!r}")
    chosen: Backend = requested
    if requested == "auto":
        if os.environ.get("EDGEFUSE_KERNELS") == "reference":
            return "reference"
        chosen = "triton" if images[0].is_cuda else "native" if has_native else "reference"
    if chosen == "reference":
        return chosen
    reason = _REASONS[chosen](images)
    if reason is None and torch.is_grad_enabled() and any(image.requires_grad for image in constants):
        reason = "only the reference differentiates with respect to the sources"
    if reason is None:
        return chosen
    if requested == "auto":
        return "reference"
    raise UsageError(f"backend {requested!r} cannot serve this call: {reason}")
