"""Frequency contrastive loss with adaptive weights (RPFNet Eq. 9-12)."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor

from edgefuse.errors import UsageError
from edgefuse.losses._boundary import check_images, in_full_precision
from edgefuse.losses._protocol import Loss

__all__ = ["FrequencyContrastiveLoss", "adaptive_weight", "frequency_contrastive"]

Negatives = Literal["consistent", "printed"]
Saliency = Literal["joint", "printed"]

_LEAST_NEGATIVE = 1e-3
"""Smallest negative distance, as a share of the sources' spectra.

A fused picture may come as close to a black infrared frame as to a positive; without a limit the quotient and its
gradient would leave the range of half precision. On natural pairs the share is above a half.
"""

_LEAST_DEVIATION = 1e-6
"""Standard deviation below which a picture is flat: one gray level in one pixel of a 4096×4096 picture."""


@in_full_precision
def frequency_contrastive(
    fused: Tensor,
    ir: Tensor,
    vis: Tensor,
    *,
    saliency: Saliency = "joint",
    negatives: Negatives = "consistent",
    epsilon: float = 1e-9,
) -> Tensor:
    """Draw the fused spectrum to the infrared's where w is 1 and to the visible's elsewhere, away from the reverse.

    ``D_pos / (D_neg + ε)`` (Eq. 10), each distance the mean over frequencies of ``|FFT(a) - FFT(b)|``, taken picture by
    picture. Eq. 12 prints four negative pairs of which the last, (F w̄, vis w̄), is also a positive one of Eq. 11: the
    sources of its last two pairs have changed places. Put back, the negatives are every pair of a part of the fused
    picture and a part of a source that is not its positive, as in the released code.

    Args:
        fused: The fused luminance, in [0, 1].  # [B, 1, H, W]
        ir: The infrared image.  # [B, 1, H, W]
        vis: The visible luminance.  # [B, 1, H, W]
        saliency: Which w; see ``adaptive_weight``.
        negatives: ``"consistent"``, or Eq. 12's pairs as ``"printed"``.
        epsilon: ε of Eq. 10.

    Returns:
        The mean quotient over the batch.  # []

    Raises:
        InputError: The pictures differ in shape or are no (B, 1, H, W) tensors.
        UsageError: The kind of saliency or of negatives is unknown, or ε is not positive.
    """
    check_images(fused=fused, ir=ir, vis=vis)
    _check_options(saliency, negatives, epsilon)
    inside = adaptive_weight(ir, vis, saliency=saliency)
    outside = 1 - inside
    parts = torch.cat([image * part for image in (fused, ir, vis) for part in (inside, outside)], dim=1)  # [B, 6, H, W]
    fused_in, fused_out, ir_in, ir_out, vis_in, vis_out = torch.fft.rfft2(parts, norm="ortho").unbind(1)
    width = fused.shape[-1]
    positive = _mean_modulus(fused_in - ir_in, width=width) + _mean_modulus(fused_out - vis_out, width=width)
    if negatives == "consistent":
        pairs = [(fused_in, ir_out), (fused_in, vis_in), (fused_out, ir_out), (fused_out, vis_in)]
    else:
        pairs = [(fused_in, ir_out), (fused_in, vis_in), (fused_out, ir_in), (fused_out, vis_out)]
    negative = torch.stack([_mean_modulus(first - second, width=width) for first, second in pairs]).sum(0)  # [B]
    spectra = torch.stack([_mean_modulus(part, width=width) for part in (ir_in, ir_out, vis_in, vis_out)]).sum(0)
    return (positive / (torch.maximum(negative, _LEAST_NEGATIVE * spectra) + epsilon)).mean()


class FrequencyContrastiveLoss(Loss):
    """``frequency_contrastive`` as a module."""

    def __init__(
        self, *, saliency: Saliency = "joint", negatives: Negatives = "consistent", epsilon: float = 1e-9
    ) -> None:
        _check_options(saliency, negatives, epsilon)
        super().__init__(frequency_contrastive, saliency=saliency, negatives=negatives, epsilon=epsilon)


@in_full_precision
@torch.no_grad()
def adaptive_weight(ir: Tensor, vis: Tensor, *, saliency: Saliency = "joint") -> Tensor:
    """Return where the infrared counts: w of Eq. 9, the pixels of combined saliency above its mean plus deviation.

    Eq. 9 combines the saliencies a of the infrared and b of ``ir - vis`` as ``(a (1 - b) + b (1 - a)) / 2``, which is
    largest where one is high and the other low: lamps, which the infrared does not see, and not people. With the signs
    of the released code, ``(a (1 + b) + b (1 + a)) / 2``, it is largest where the infrared is bright and brighter than
    the visible, the foreground that the text wants marked.

    Args:
        ir: The infrared image, in [0, 1].  # [B, 1, H, W]
        vis: The visible luminance.  # [B, 1, H, W]
        saliency: ``"joint"``, with (1 + b) and (1 + a), or ``"printed"``.

    Returns:
        1 at those pixels and 0 elsewhere; statistics are those of one picture, and a flat one has none.  # [B, 1, H, W]

    Raises:
        InputError: The pictures differ in shape or are no (B, 1, H, W) tensors.
        UsageError: The kind of saliency is unknown.
    """
    check_images(ir=ir, vis=vis)
    _check_saliency(saliency)
    sign = 1 if saliency == "joint" else -1
    of_ir, of_difference = _saliency(ir), _saliency(ir - vis)
    combined = (of_ir * (1 + sign * of_difference) + of_difference * (1 + sign * of_ir)) / 2
    deviation, mean = torch.std_mean(combined, dim=(1, 2, 3), correction=0, keepdim=True)
    return (combined > mean + deviation).to(ir.dtype)


def _check_options(saliency: str, negatives: str, epsilon: float) -> None:
    """Refuse weights and pairs that do not exist, and a quotient that could divide by zero."""
    _check_saliency(saliency)
    if negatives not in get_args(Negatives):
        raise UsageError(f"negatives must be one of {', '.join(get_args(Negatives))}, got {negatives!r}")
    if not (math.isfinite(epsilon) and epsilon > 0):
        raise UsageError(f"epsilon must be finite and above 0, got {epsilon!r}")


def _check_saliency(saliency: str) -> None:
    """Refuse a combination that does not exist."""
    if saliency not in get_args(Saliency):
        raise UsageError(f"saliency must be one of {', '.join(get_args(Saliency))}, got {saliency!r}")


def _saliency(image: Tensor) -> Tensor:
    """Sigmoid of the standardised picture, S of Eq. 9."""
    deviation, mean = torch.std_mean(image, dim=(1, 2, 3), correction=0, keepdim=True)
    return torch.sigmoid((image - mean) / deviation.clamp(min=_LEAST_DEVIATION))


def _mean_modulus(spectrum: Tensor, *, width: int) -> Tensor:
    """Mean modulus over the full spectrum of a real picture of that width, from its half.

    Args:
        spectrum: One-sided spectrum.  # [B, H, W // 2 + 1]
        width: Number of pixels in a row of the picture.

    Returns:
        Each column but the first, and for even widths the last, counted twice, divided by all.  # [B]
    """
    columns = spectrum.abs().mean(dim=1)  # [B, W // 2 + 1]
    return (2 * columns.sum(1) - columns[:, 0] - (columns[:, -1] if width % 2 == 0 else 0)) / width
