"""What lies between the two transforms of a spectral convolution, on an NVIDIA GPU.

The spectrum is read as the FFT wrote it, real and imaginary parts interleaved in memory, and written the same way: no
stack, permutation or copy. The 1×1 convolution over interleaved channels is one matrix product a tile. Its output is
never stored: it is computed once for the statistics of the normalisation, once for the result, and again backward.
"""

# Triton compiles the kernels: no types, and as many arguments and statements as one pass over memory needs.
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators
# ruff: noqa: PLR0917

from __future__ import annotations

import triton
import triton.language as tl

__all__ = [
    "finish_reduction_kernel",
    "finish_statistics_kernel",
    "input_gradient_kernel",
    "mix_kernel",
    "reduce_kernel",
    "statistics_kernel",
    "weight_gradient_kernel",
]


@triton.jit
def _tile(first, frequency, n_frequencies, ROWS: tl.constexpr, BLOCK: tl.constexpr, WIDE: tl.constexpr):
    """Offsets and mask of BLOCK interleaved channels from `first` by WIDE frequencies.  # [BLOCK // 2, 2 * WIDE]"""
    channel = first // 2 + tl.arange(0, BLOCK // 2)
    pair = 2 * frequency + tl.arange(0, 2 * WIDE)
    offset = channel[:, None] * (2 * n_frequencies) + pair[None, :]
    return offset, (channel < ROWS // 2)[:, None] & (pair < 2 * n_frequencies)[None, :]


@triton.jit
def _load(spectrum, first, frequency, n_frequencies, ROWS: tl.constexpr, BLOCK: tl.constexpr, WIDE: tl.constexpr):
    """Interleaved channels of a spectrum, 0 outside it.  # [BLOCK, WIDE]"""
    offset, inside = _tile(first, frequency, n_frequencies, ROWS, BLOCK, WIDE)
    pairs = tl.reshape(tl.load(spectrum + offset, mask=inside, other=0.0), (BLOCK // 2, WIDE, 2))
    return tl.reshape(tl.permute(pairs, (0, 2, 1)), (BLOCK, WIDE))


@triton.jit
def _store(
    spectrum, planes, first, frequency, n_frequencies, ROWS: tl.constexpr, BLOCK: tl.constexpr, WIDE: tl.constexpr
):
    """Write interleaved channels back as a spectrum."""
    offset, inside = _tile(first, frequency, n_frequencies, ROWS, BLOCK, WIDE)
    pairs = tl.permute(tl.reshape(planes, (BLOCK // 2, 2, WIDE)), (0, 2, 1))
    tl.store(spectrum + offset, tl.reshape(pairs, (BLOCK // 2, 2 * WIDE)), mask=inside)


@triton.jit
def _load_weight(weight_ptr, row, column, ROWS: tl.constexpr):
    """A block of the weight, 0 outside it.  # [row, column]"""
    inside = (row < ROWS)[:, None] & (column < ROWS)[None, :]
    return tl.load(weight_ptr + row[:, None] * (ROWS) + column[None, :], mask=inside, other=0.0)


@triton.jit
def _mix(
    spectrum, weight_ptr, first, frequency, n_frequencies,
    ROWS: tl.constexpr, BLOCK: tl.constexpr, WIDE: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The 1×1 convolution at a tile: BLOCK interleaved channels of its output from `first`.  # [BLOCK, WIDE]"""
    mixed = tl.zeros((BLOCK, WIDE), tl.float32)
    row = first + tl.arange(0, BLOCK)
    for chunk in range(tl.cdiv(ROWS, BLOCK)):
        planes = _load(spectrum, chunk * BLOCK, frequency, n_frequencies, ROWS, BLOCK, WIDE)
        weight = _load_weight(weight_ptr, row, chunk * BLOCK + tl.arange(0, BLOCK), ROWS)
        mixed = tl.dot(weight, planes, mixed, input_precision=PRECISION)
    return mixed


@triton.jit
def statistics_kernel(
    spectrum_ptr,  # pointer to the spectrum, shape (B, C, F, 2)
    weight_ptr,  # pointer to the weight, shape (2C, 2C)
    partial_ptr,  # pointer to what each program found, shape (programs, 2, 2C): mean, sum of squared deviations
    count_ptr,  # pointer to the number of values a channel of each program, shape (programs,)
    batch,
    n_frequencies,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
    WIDE: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Mean and squared deviation of the convolution's output over every programs-th tile, by Chan's update."""
    first = tl.program_id(1) * BLOCK
    tiles = tl.cdiv(n_frequencies, WIDE)
    mean = tl.zeros((BLOCK,), tl.float32)
    squares = tl.zeros((BLOCK,), tl.float32)
    count = 0.0
    tile = tl.program_id(0)
    while tile < batch * tiles:
        frequency = (tile % tiles) * WIDE
        image = (tile // tiles).to(tl.int64) * ROWS * n_frequencies
        mixed = _mix(spectrum_ptr + image, weight_ptr, first, frequency, n_frequencies, ROWS, BLOCK, WIDE, PRECISION)
        n_new = tl.minimum(WIDE, n_frequencies - frequency).to(tl.float32)
        valid = (frequency + tl.arange(0, WIDE) < n_frequencies)[None, :]
        tile_mean = tl.sum(mixed, axis=1) / n_new  # outside the spectrum `mixed` is 0
        deviation = tl.where(valid, mixed - tile_mean[:, None], 0.0)
        shift = tile_mean - mean
        squares += tl.sum(deviation * deviation, axis=1) + shift * shift * (count * n_new / (count + n_new))
        count += n_new
        mean += shift * (n_new / count)
        tile += tl.num_programs(0)
    row = first + tl.arange(0, BLOCK)
    at = partial_ptr + tl.program_id(0) * 2 * ROWS + row
    tl.store(at, mean, mask=row < ROWS)
    tl.store(at + ROWS, squares, mask=row < ROWS)
    if tl.program_id(1) == 0:
        tl.store(count_ptr + tl.program_id(0), count)


@triton.jit
def finish_statistics_kernel(
    partial_ptr,  # pointer to what the programs of statistics_kernel found, shape (programs, 2, 2C)
    count_ptr,  # pointer to the number of values a channel of each, shape (programs,)
    gamma_ptr,  # pointer to gamma, shape (2C,)
    beta_ptr,  # pointer to beta, shape (2C,)
    result_ptr,  # pointer to the result, shape (5, 2C): mean, variance, 1 / sqrt(var + eps), scale, shift
    programs,
    eps,
    ROWS: tl.constexpr,
    PROGRAMS: tl.constexpr,  # power of two of at least `programs`
):
    """Statistics of one channel from those of all programs, and the normalisation that they make."""
    row = tl.program_id(0)
    program = tl.arange(0, PROGRAMS)
    inside = program < programs
    count = tl.load(count_ptr + program, mask=inside, other=0.0)
    means = tl.load(partial_ptr + program * 2 * ROWS + row, mask=inside, other=0.0)
    squares = tl.load(partial_ptr + program * 2 * ROWS + ROWS + row, mask=inside, other=0.0)
    total = tl.sum(count)
    mean = tl.sum(count * means) / total
    variance = tl.sum(squares + count * (means - mean) * (means - mean)) / total
    inverse = 1.0 / tl.sqrt(variance + eps)
    scale = tl.load(gamma_ptr + row) * inverse
    tl.store(result_ptr + row, mean)
    tl.store(result_ptr + ROWS + row, variance)
    tl.store(result_ptr + 2 * ROWS + row, inverse)
    tl.store(result_ptr + 3 * ROWS + row, scale)
    tl.store(result_ptr + 4 * ROWS + row, tl.load(beta_ptr + row) - mean * scale)


@triton.jit
def mix_kernel(
    spectrum_ptr,  # pointer to the spectrum, shape (B, C, F, 2)
    weight_ptr,  # pointer to the weight, shape (2C, 2C)
    scale_ptr,  # pointer to gamma / sqrt(var + eps), shape (2C,)
    shift_ptr,  # pointer to beta - mean * scale, shape (2C,)
    out_ptr,  # pointer to the result, shape (B, C, F, 2)
    n_frequencies,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
    WIDE: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """ReLU(scale × convolution + shift) at one tile."""
    frequency = tl.program_id(0) * WIDE
    first = tl.program_id(1) * BLOCK
    image = tl.program_id(2).to(tl.int64) * ROWS * n_frequencies
    mixed = _mix(spectrum_ptr + image, weight_ptr, first, frequency, n_frequencies, ROWS, BLOCK, WIDE, PRECISION)
    row = first + tl.arange(0, BLOCK)
    scale = tl.load(scale_ptr + row, mask=row < ROWS, other=0.0)[:, None]
    shift = tl.load(shift_ptr + row, mask=row < ROWS, other=0.0)[:, None]
    result = tl.maximum(mixed * scale + shift, 0.0)
    _store(out_ptr + image, result, first, frequency, n_frequencies, ROWS, BLOCK, WIDE)


@triton.jit
def _multiplicity(frequency, half_width, width, WIDE: tl.constexpr):
    """How many columns of the whole spectrum each column of the half one stands for: 1 or 2.  # [1, WIDE]"""
    column = (frequency + tl.arange(0, WIDE)) % half_width
    return tl.where((column == 0) | (2 * column == width), 1.0, 2.0)[None, :]


@triton.jit
def _before_relu(
    incoming, mixed, scale_ptr, shift_ptr, first, frequency, n_frequencies, half_width, width,
    ROWS: tl.constexpr, BLOCK: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """Gradient before the ReLU: the adjoint of the inverse transform, where the ReLU was open.  # [BLOCK, WIDE]"""
    row = first + tl.arange(0, BLOCK)
    scale = tl.load(scale_ptr + row, mask=row < ROWS, other=0.0)[:, None]
    shift = tl.load(shift_ptr + row, mask=row < ROWS, other=0.0)[:, None]
    gradient = _load(incoming, first, frequency, n_frequencies, ROWS, BLOCK, WIDE)
    open_gate = mixed * scale + shift > 0
    return tl.where(open_gate, gradient * _multiplicity(frequency, half_width, width, WIDE), 0.0)


@triton.jit
def reduce_kernel(
    spectrum_ptr,  # pointer to the spectrum, shape (B, C, F, 2)
    weight_ptr,  # pointer to the weight, shape (2C, 2C)
    incoming_ptr,  # pointer to the forward transform of the incoming gradient, shape (B, C, F, 2)
    mean_ptr,  # pointer to the mean, shape (2C,)
    inverse_ptr,  # pointer to 1 / sqrt(var + eps), shape (2C,)
    scale_ptr,  # pointer to gamma / sqrt(var + eps), shape (2C,)
    shift_ptr,  # pointer to beta - mean * scale, shape (2C,)
    partial_ptr,  # pointer to what each program found, shape (programs, 2, 2C): gradients of beta and gamma
    batch,
    n_frequencies,
    half_width,
    width,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
    WIDE: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Sums of the gradient before the ReLU, and of it times the normalised value, over every programs-th tile."""
    first = tl.program_id(1) * BLOCK
    row = first + tl.arange(0, BLOCK)
    own = row < ROWS
    tiles = tl.cdiv(n_frequencies, WIDE)
    mean = tl.load(mean_ptr + row, mask=own, other=0.0)[:, None]
    inverse = tl.load(inverse_ptr + row, mask=own, other=0.0)
    beta = tl.zeros((BLOCK,), tl.float32)
    gamma = tl.zeros((BLOCK,), tl.float32)
    tile = tl.program_id(0)
    while tile < batch * tiles:
        frequency = (tile % tiles) * WIDE
        image = (tile // tiles).to(tl.int64) * ROWS * n_frequencies
        mixed = _mix(spectrum_ptr + image, weight_ptr, first, frequency, n_frequencies, ROWS, BLOCK, WIDE, PRECISION)
        gradient = _before_relu(
            incoming_ptr + image, mixed, scale_ptr, shift_ptr, first, frequency, n_frequencies, half_width, width,
            ROWS, BLOCK, WIDE,
        )  # fmt: skip
        beta += tl.sum(gradient, axis=1)
        gamma += tl.sum(gradient * (mixed - mean), axis=1) * inverse
        tile += tl.num_programs(0)
    at = partial_ptr + tl.program_id(0) * 2 * ROWS + row
    tl.store(at, beta, mask=own)
    tl.store(at + ROWS, gamma, mask=own)


@triton.jit
def finish_reduction_kernel(
    partial_ptr,  # pointer to what the programs of reduce_kernel found, shape (programs, 2, 2C)
    mean_ptr,  # pointer to the mean, shape (2C,)
    inverse_ptr,  # pointer to 1 / sqrt(var + eps), shape (2C,)
    scale_ptr,  # pointer to gamma / sqrt(var + eps), shape (2C,)
    result_ptr,  # pointer to the result, shape (4, 2C): gradients of beta and gamma, offset, slope
    programs,
    per_value,  # 1 / number of values a channel where the statistics are those of the batch, else 0
    ROWS: tl.constexpr,
    PROGRAMS: tl.constexpr,  # power of two of at least `programs`
):
    """Gradients of beta and gamma of one channel, and what the batch's statistics add to the gradient before them."""
    row = tl.program_id(0)
    program = tl.arange(0, PROGRAMS)
    at = partial_ptr + program * 2 * ROWS + row
    beta = tl.sum(tl.load(at, mask=program < programs, other=0.0))
    gamma = tl.sum(tl.load(at + ROWS, mask=program < programs, other=0.0))
    scale = tl.load(scale_ptr + row) * per_value
    slope = -scale * gamma * tl.load(inverse_ptr + row)
    tl.store(result_ptr + row, beta)
    tl.store(result_ptr + ROWS + row, gamma)
    tl.store(result_ptr + 2 * ROWS + row, -scale * beta - slope * tl.load(mean_ptr + row))
    tl.store(result_ptr + 3 * ROWS + row, slope)


@triton.jit
def _before_normalisation(
    spectrum, weight_ptr, incoming, scale_ptr, shift_ptr, offset_ptr, slope_ptr, first, frequency,
    n_frequencies, half_width, width,
    ROWS: tl.constexpr, BLOCK: tl.constexpr, WIDE: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Gradient of the convolution's output: scale × gradient before the ReLU + slope × output + offset.

    Slope and offset are what the statistics of the batch add; they are 0 where running statistics were used.
    """
    mixed = _mix(spectrum, weight_ptr, first, frequency, n_frequencies, ROWS, BLOCK, WIDE, PRECISION)
    gradient = _before_relu(
        incoming, mixed, scale_ptr, shift_ptr, first, frequency, n_frequencies, half_width, width, ROWS, BLOCK, WIDE
    )
    row = first + tl.arange(0, BLOCK)
    own = row < ROWS
    scale = tl.load(scale_ptr + row, mask=own, other=0.0)[:, None]
    offset = tl.load(offset_ptr + row, mask=own, other=0.0)[:, None]
    slope = tl.load(slope_ptr + row, mask=own, other=0.0)[:, None]
    inside = (frequency + tl.arange(0, WIDE) < n_frequencies)[None, :]
    return tl.where(inside, scale * gradient + slope * mixed + offset, 0.0)


@triton.jit
def input_gradient_kernel(
    spectrum_ptr,  # pointer to the spectrum, shape (B, C, F, 2)
    weight_ptr,  # pointer to the weight, shape (2C, 2C)
    incoming_ptr,  # pointer to the forward transform of the incoming gradient, shape (B, C, F, 2)
    scale_ptr,  # pointer to gamma / sqrt(var + eps), shape (2C,)
    shift_ptr,  # pointer to beta - mean * scale, shape (2C,)
    offset_ptr,  # pointer to the constant part of the normalisation's gradient, shape (2C,)
    slope_ptr,  # pointer to its part proportional to the output, shape (2C,)
    out_ptr,  # pointer to what the inverse transform turns into the images' gradient, shape (B, C, F, 2)
    n_frequencies,
    half_width,
    width,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
    WIDE: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Gradient of the spectrum at one tile, divided by the multiplicity that the inverse transform puts back."""
    frequency = tl.program_id(0) * WIDE
    first = tl.program_id(1) * BLOCK
    image = tl.program_id(2).to(tl.int64) * ROWS * n_frequencies
    result = tl.zeros((BLOCK, WIDE), tl.float32)
    for chunk in range(tl.cdiv(ROWS, BLOCK)):
        gradient = _before_normalisation(
            spectrum_ptr + image, weight_ptr, incoming_ptr + image, scale_ptr, shift_ptr, offset_ptr, slope_ptr,
            chunk * BLOCK, frequency, n_frequencies, half_width, width, ROWS, BLOCK, WIDE, PRECISION,
        )  # fmt: skip
        weight = _load_weight(weight_ptr, chunk * BLOCK + tl.arange(0, BLOCK), first + tl.arange(0, BLOCK), ROWS)
        result = tl.dot(tl.trans(weight), gradient, result, input_precision=PRECISION)
    result = result / _multiplicity(frequency, half_width, width, WIDE)
    _store(out_ptr + image, result, first, frequency, n_frequencies, ROWS, BLOCK, WIDE)


@triton.jit
def weight_gradient_kernel(
    spectrum_ptr,  # pointer to the spectrum, shape (B, C, F, 2)
    weight_ptr,  # pointer to the weight, shape (2C, 2C)
    incoming_ptr,  # pointer to the forward transform of the incoming gradient, shape (B, C, F, 2)
    scale_ptr,  # pointer to gamma / sqrt(var + eps), shape (2C,)
    shift_ptr,  # pointer to beta - mean * scale, shape (2C,)
    offset_ptr,  # pointer to the constant part of the normalisation's gradient, shape (2C,)
    slope_ptr,  # pointer to its part proportional to the output, shape (2C,)
    partial_ptr,  # pointer to what each program found, shape (programs, 2C, 2C)
    batch,
    n_frequencies,
    half_width,
    width,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
    WIDE: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Gradient of a square of the weight over every programs-th tile."""
    first_out = (tl.program_id(1) // tl.cdiv(ROWS, BLOCK)) * BLOCK
    first_in = (tl.program_id(1) % tl.cdiv(ROWS, BLOCK)) * BLOCK
    tiles = tl.cdiv(n_frequencies, WIDE)
    result = tl.zeros((BLOCK, BLOCK), tl.float32)
    tile = tl.program_id(0)
    while tile < batch * tiles:
        frequency = (tile % tiles) * WIDE
        image = (tile // tiles).to(tl.int64) * ROWS * n_frequencies
        gradient = _before_normalisation(
            spectrum_ptr + image, weight_ptr, incoming_ptr + image, scale_ptr, shift_ptr, offset_ptr, slope_ptr,
            first_out, frequency, n_frequencies, half_width, width, ROWS, BLOCK, WIDE, PRECISION,
        )  # fmt: skip
        planes = _load(spectrum_ptr + image, first_in, frequency, n_frequencies, ROWS, BLOCK, WIDE)
        result = tl.dot(gradient, tl.trans(planes), result, input_precision=PRECISION)
        tile += tl.num_programs(0)
    row, column = first_out + tl.arange(0, BLOCK), first_in + tl.arange(0, BLOCK)
    inside = (row < ROWS)[:, None] & (column < ROWS)[None, :]
    at = partial_ptr + tl.program_id(0).to(tl.int64) * (ROWS * ROWS)
    tl.store(at + row[:, None] * (ROWS) + column[None, :], result, mask=inside)
