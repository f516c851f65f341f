"""Synthesised reference: sharpened maximum, partly equalised (AngularFuse Eq. 6-8)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from edgefuse.errors import UsageError
from edgefuse.losses._boundary import check_images, in_full_precision
from edgefuse.losses._protocol import Loss

__all__ = ["SynthesisedReferenceLoss", "synthesise_reference", "synthesised_reference"]


@in_full_precision
def synthesised_reference(fused: Tensor, ir: Tensor, vis: Tensor, *, alpha: float = 0.75) -> Tensor:
    """Return the mean absolute difference to the reference picture that ``synthesise_reference`` makes.

    Args:
        fused: The fused luminance, in [0, 1].  # [B, 1, H, W]
        ir: The infrared image.  # [B, 1, H, W]
        vis: The visible luminance.  # [B, 1, H, W]
        alpha: Share of the sharpened picture in the reference; the rest is its equalised form.

    Returns:
        ``mean |fused - reference|`` (Eq. 8).  # []

    Raises:
        InputError: The pictures differ in shape or are no (B, 1, H, W) tensors.
        UsageError: ``alpha`` is not in [0, 1].
    """
    check_images(fused=fused, ir=ir, vis=vis)
    return (fused - synthesise_reference(ir, vis, alpha=alpha)).abs().mean()


class SynthesisedReferenceLoss(Loss):
    """``synthesised_reference`` as a module."""

    def __init__(self, *, alpha: float = 0.75) -> None:
        _check_alpha(alpha)
        super().__init__(synthesised_reference, alpha=alpha)


@in_full_precision
@torch.no_grad()
def synthesise_reference(ir: Tensor, vis: Tensor, *, alpha: float = 0.75) -> Tensor:
    """Make the picture that a fused one is held against: the brighter source, sharpened, and partly equalised.

    ``alpha I_en + (1 - alpha) H(I_en)`` with ``I_en = T(L(ir + vis) + max(ir, vis))`` (Eq. 6-8), T cutting to [0, 1].
    L is the Laplacian of four neighbours with a positive centre: Eq. 6 adds ∇², whose negative centre would blur, where
    the text says that it sharpens. H is the histogram equalisation of Eq. 7 over the 256 levels of the whole picture;
    only the abstract calls it adaptive.

    Args:
        ir: The infrared image, in [0, 1].  # [B, 1, H, W]
        vis: The visible luminance.  # [B, 1, H, W]
        alpha: Share of the sharpened picture.

    Returns:
        The reference in [0, 1], outside any graph.  # [B, 1, H, W]

    Raises:
        InputError: The pictures differ in shape or are no (B, 1, H, W) tensors.
        UsageError: ``alpha`` is not in [0, 1].

    Example:
        >>> synthesise_reference(torch.rand(1, 1, 8, 8), torch.rand(1, 1, 8, 8)).shape
        torch.Size([1, 1, 8, 8])
    """
    check_images(ir=ir, vis=vis)
    _check_alpha(alpha)
    sharpened = (_edges(ir + vis) + torch.maximum(ir, vis)).clamp(0, 1)
    return torch.lerp(_equalise(sharpened), sharpened, alpha)


def _check_alpha(alpha: float) -> None:
    """Refuse a share that is none."""
    if not 0 <= alpha <= 1:
        raise UsageError(f"alpha must be in [0, 1], got {alpha!r}")


def _edges(image: Tensor) -> Tensor:
    """Four times each pixel less its four neighbours, the border continued so that it makes no edge."""
    padded = functional.pad(image, (1, 1, 1, 1), mode="replicate")  # [B, 1, H+2, W+2]
    vertical = padded[..., :-2, 1:-1] + padded[..., 2:, 1:-1]
    return 4 * image - vertical - padded[..., 1:-1, :-2] - padded[..., 1:-1, 2:]


def _equalise(image: Tensor) -> Tensor:
    """Equalise the 256-level histogram of each picture; one of a single level stays as it is.

    Counts come from sorting, not from scattering, which on a GPU is neither deterministic nor free of synchronisation.
    """
    levels = (image * 255).round().flatten(1)  # [B, H*W]
    steps = torch.arange(256, dtype=image.dtype, device=image.device).expand(len(levels), 256).contiguous()
    at_most = torch.searchsorted(levels.sort(dim=1).values, steps, right=True).double()  # [B, 256]
    darkest = at_most.gather(1, levels.amin(dim=1, keepdim=True).long())  # pixels of the lowest level  # [B, 1]
    spread = levels.shape[1] - darkest
    equalised = (255 * (at_most - darkest) / spread.clamp(min=1)).round()
    table = torch.where(spread > 0, equalised.to(image.dtype), steps) / 255
    return table.gather(1, levels.long()).view_as(image)
