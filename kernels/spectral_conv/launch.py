"""Launches of the spectral convolution's kernels: what lies between the transforms, forward and backward."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
import triton
from torch import Tensor

from edgefuse.kernels.spectral_conv import spectral_conv_triton as kernels

__all__ = [
    "MAX_REGISTERS",
    "NUM_WARPS",
    "MixGradients",
    "MixOutput",
    "Precision",
    "block_rows",
    "mix_backward",
    "mix_forward",
    "wide_of",
]

Precision = Literal["tf32", "ieee"]

_WIDE = {"statistics": 32, "mix": 64, "reduce": 16, "input_gradient": 32, "weight_gradient": 16}
_WIDE_CHUNKED = {**_WIDE, "input_gradient": 16}
NUM_WARPS = 8
MAX_REGISTERS = 255  # all that there are: left alone, the assembler spills a few bytes for the sake of occupancy
_MOST_PROGRAMS = 1024  # partial results that one program of a finishing kernel takes at a time


class MixOutput(NamedTuple):
    """Result of the forward pass and what the backward pass needs of it."""

    spectrum: Tensor  # [B, C, H, W//2+1] complex
    normalisation: Tensor  # [5, 2C]: mean, variance, 1 / sqrt(var + eps), scale, shift


class MixGradients(NamedTuple):
    """Gradients of what lies between the transforms."""

    spectrum: Tensor  # [B, C, H, W//2+1] complex, what the inverse transform takes to the images' gradient
    weight: Tensor  # [2C, 2C]
    gamma: Tensor  # [2C]
    beta: Tensor  # [2C]


def wide_of(kernel: str, rows: int) -> int:
    """Frequencies of a tile: the most with which a kernel spills on no target, in either precision."""
    return (_WIDE if rows <= block_rows(rows) else _WIDE_CHUNKED)[kernel]


def block_rows(rows: int) -> int:
    """Interleaved channels of one tile: a power of two, at least what a matrix product takes, at most 64."""
    return max(16, min(64, int(triton.next_power_of_2(rows))))


@functools.cache
def _multiprocessors(device: torch.device) -> int:
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 1


@dataclass(frozen=True)
class _Sizes:
    """Sizes of a call that its launches share."""

    batch: int
    rows: int
    n_frequencies: int
    half_width: int
    width: int
    precision: Precision
    device: torch.device

    @property
    def chunks(self) -> int:
        """Blocks of interleaved channels."""
        return -(-self.rows // block_rows(self.rows))

    def tiles(self, wide: int) -> int:
        """Tiles of one image."""
        return -(-self.n_frequencies // wide)

    def programs(self, wide: int, *, blocks: int) -> int:
        """Programs that share all tiles: two a multiprocessor, over all blocks of channels."""
        wanted = max(1, 2 * _multiprocessors(self.device) // blocks)
        return min(self.batch * self.tiles(wide), wanted, _MOST_PROGRAMS)

    def options(self, wide: int) -> dict[str, Any]:
        """Constants of a launch."""
        return {
            "ROWS": self.rows,
            "BLOCK": block_rows(self.rows),
            "WIDE": wide,
            "PRECISION": self.precision,
            "num_warps": NUM_WARPS,
            "num_stages": 1,
            "maxnreg": MAX_REGISTERS,
            "enable_fp_fusion": True,
        }


def _sizes(spectrum: Tensor, *, width: int, precision: Precision) -> _Sizes:
    batch, channels, height, half_width = spectrum.shape
    return _Sizes(batch, 2 * channels, height * half_width, half_width, width, precision, spectrum.device)


def _finish(programs: int, rows: int) -> dict[str, Any]:
    """Constants of a finishing kernel."""
    return {"ROWS": rows, "PROGRAMS": int(triton.next_power_of_2(programs)), "num_warps": 4, "enable_fp_fusion": True}


def mix_forward(
    spectrum: Tensor,
    weight: Tensor,
    gamma: Tensor,
    beta: Tensor,
    *,
    statistics: tuple[Tensor, Tensor] | None,
    eps: float,
    precision: Precision,
) -> MixOutput:
    """Return ReLU(batch normalisation(1×1 convolution)) of a spectrum.

    Args:
        spectrum: Half spectrum, contiguous complex64.  # [B, C, H, W//2+1]
        weight: Weight over interleaved channels, contiguous float32.  # [2C, 2C]
        gamma: Scale of the normalisation.  # [2C]
        beta: Shift of the normalisation.  # [2C]
        statistics: Mean and variance to use, None for those of the batch.  # [2C], [2C]
        eps: Added to the variance.
        precision: Arithmetic of the matrix products.

    Returns:
        The resulting spectrum, and the normalisation that was applied.
    """
    sizes = _sizes(spectrum, width=0, precision=precision)
    planes = torch.view_as_real(spectrum)
    if statistics is None:
        normalisation = _batch_normalisation(planes, weight, (gamma, beta), sizes=sizes, eps=eps)
    else:
        mean, variance = statistics
        inverse = torch.rsqrt(variance + eps)
        scale = gamma * inverse
        normalisation = torch.stack((mean, variance, inverse, scale, beta - mean * scale))
    out = torch.empty_like(planes)
    wide = wide_of("mix", sizes.rows)
    kernels.mix_kernel[(sizes.tiles(wide), sizes.chunks, sizes.batch)](
        planes, weight, normalisation[3], normalisation[4], out, sizes.n_frequencies, **sizes.options(wide)
    )
    return MixOutput(torch.view_as_complex(out), normalisation)


def _batch_normalisation(
    planes: Tensor, weight: Tensor, affine: tuple[Tensor, Tensor], *, sizes: _Sizes, eps: float
) -> Tensor:
    """Statistics of the convolution's output and the normalisation that they make.  # [5, 2C]"""
    wide = wide_of("statistics", sizes.rows)
    programs = sizes.programs(wide, blocks=sizes.chunks)
    partial = planes.new_empty(programs, 2, sizes.rows)
    count = planes.new_empty(programs)
    kernels.statistics_kernel[(programs, sizes.chunks)](
        planes, weight, partial, count, sizes.batch, sizes.n_frequencies, **sizes.options(wide)
    )
    result = planes.new_empty(5, sizes.rows)
    kernels.finish_statistics_kernel[(sizes.rows,)](
        partial, count, *affine, result, programs, eps, **_finish(programs, sizes.rows)
    )
    return result


def mix_backward(
    incoming: Tensor,
    spectrum: Tensor,
    weight: Tensor,
    normalisation: Tensor,
    *,
    by_batch: bool,
    width: int,
    precision: Precision,
) -> MixGradients:
    """Return the gradients of ``mix_forward`` between the adjoints of the two transforms.

    The adjoint of the inverse transform is the forward one times the multiplicity of each column of the half spectrum,
    that of the forward transform is the inverse one of the spectrum divided by it; both factors are applied here.

    Args:
        incoming: Forward transform of the gradient of the images that came out, contiguous.  # [B, C, H, W//2+1]
        spectrum: The spectrum that went in.  # [B, C, H, W//2+1]
        weight: Weight over interleaved channels.  # [2C, 2C]
        normalisation: As returned by the forward pass.  # [5, 2C]
        by_batch: Whether the statistics were those of the batch.
        width: W of the images.
        precision: Arithmetic of the matrix products.

    Returns:
        The gradients.
    """
    sizes = _sizes(spectrum, width=width, precision=precision)
    planes, gradient = torch.view_as_real(spectrum), torch.view_as_real(incoming)
    mean, _, inverse, scale, shift = normalisation
    shared = (sizes.batch, sizes.n_frequencies, sizes.half_width, sizes.width)
    wide = wide_of("reduce", sizes.rows)
    programs = sizes.programs(wide, blocks=sizes.chunks)
    partial = planes.new_empty(programs, 2, sizes.rows)
    kernels.reduce_kernel[(programs, sizes.chunks)](
        planes, weight, gradient, mean, inverse, scale, shift, partial, *shared, **sizes.options(wide)
    )
    beta_gradient, gamma_gradient, offset, slope = result = planes.new_empty(4, sizes.rows)
    per_value = 1.0 / (sizes.batch * sizes.n_frequencies) if by_batch else 0.0
    kernels.finish_reduction_kernel[(sizes.rows,)](
        partial, mean, inverse, scale, result, programs, per_value, **_finish(programs, sizes.rows)
    )
    inputs = (planes, weight, gradient, scale, shift, offset, slope)
    out = torch.empty_like(planes)
    wide = wide_of("input_gradient", sizes.rows)
    kernels.input_gradient_kernel[(sizes.tiles(wide), sizes.chunks, sizes.batch)](
        *inputs, out, *shared[1:], **sizes.options(wide)
    )
    wide, squares = wide_of("weight_gradient", sizes.rows), sizes.chunks**2
    programs = sizes.programs(wide, blocks=squares)
    partial = planes.new_empty(programs, sizes.rows, sizes.rows)
    kernels.weight_gradient_kernel[(programs, squares)](*inputs, partial, *shared, **sizes.options(wide))
    return MixGradients(torch.view_as_complex(out), partial.sum(0), gamma_gradient, beta_gradient)
