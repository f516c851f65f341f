"""Structural similarity on an NVIDIA GPU: the mean and its gradient in one pass over two images.

A warp marches down a strip of 32 columns. Each new row is blurred across as it is loaded, and added with the window's
weights to the eleven windows that it lies in. The window that it completes gives the similarity and its derivatives,
which are blurred the same way: down in registers, across by exchange between lanes (``tl.gather`` along a row of 32 is
a shuffle). Five columns of halo on either side leave 22 of 32 lanes to write, and each strip of rows reads ten more
above and below.
"""

# Triton compiles the kernels: no types, and as many arguments and statements as one pass over memory needs.
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators
# Nor does it know unpacking inside a tuple.
# ruff: noqa: PLR0915, PLR0917, RUF005

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from edgefuse.kernels.autotune import Tuner, on_device
from edgefuse.kernels.ssim.reference import RADIUS, WINDOW, constants

__all__ = ["TILES", "Tile", "ssim_kernel", "triton_ssim"]

_LANES = tl.constexpr(32)
_RADIUS = tl.constexpr(RADIUS)
_TAPS = tl.constexpr(2 * RADIUS + 1)


@triton.jit
def _load(image, row, column, height, width, stride_h, stride_w):
    """One value a lane, 0 outside the image.  # [WARPS, 32]"""
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    offset = row.to(tl.int64) * stride_h + column.to(tl.int64) * stride_w
    return tl.load(image + offset, mask=inside, other=0.0).to(tl.float32)


@triton.jit
def _descend(pending, value, WINDOW: tl.constexpr):
    """Add a row to the windows that it lies in; return the sum of the one that it completes, and the others."""
    left = ()
    for k in tl.static_range(_TAPS - 1):
        left = left + (pending[k + 1] + WINDOW[k + 1] * value,)  # type: ignore[assignment]
    return pending[0] + WINDOW[0] * value, left + (tl.zeros_like(value),)


@triton.jit
def _across(value, WINDOW: tl.constexpr):
    """Blur along the lanes; the five outermost on either side are void."""
    lane = tl.broadcast_to(tl.arange(0, _LANES)[None, :], value.shape)
    total = WINDOW[_RADIUS] * value
    for k in tl.static_range(1, _RADIUS + 1):
        left = tl.gather(value, tl.maximum(lane - k, 0), 1)
        total += WINDOW[_RADIUS + k] * (left + tl.gather(value, tl.minimum(lane + k, _LANES - 1), 1))
    return total


@triton.jit
def ssim_kernel(
    x_ptr,  # pointer to the image, shape (B, 1, H, W)
    y_ptr,  # pointer to the reference, same shape
    gradient_ptr,  # pointer to the gradient of the mean by x, shape (B, 1, H, W), contiguous float32
    partial_ptr,  # pointer to the share of the mean that each program has, shape (programs,)
    height,
    width,
    x_stride_b,
    x_stride_h,
    x_stride_w,
    y_stride_b,
    y_stride_h,
    y_stride_w,
    per_pixel,  # 1 / number of pixels
    c1,
    c2,
    WINDOW: tl.constexpr,  # weights of the window, which is symmetric
    WITH_GRADIENT: tl.constexpr,
    WARPS: tl.constexpr,
    ROWS: tl.constexpr,
):
    """Mean similarity of WARPS strips of 22 columns by ROWS rows, and its gradient there."""
    lane = tl.broadcast_to(tl.arange(0, _LANES)[None, :], (WARPS, _LANES))
    strip = tl.program_id(0) * WARPS + tl.arange(0, WARPS)[:, None]
    column = strip * (_LANES - 2 * _RADIUS) + lane - _RADIUS  # [WARPS, 32]
    # Row numbers are blocks, not scalars: Triton 3.9 makes an integer of a block mask and a scalar comparison.
    first = tl.program_id(1) * ROWS + tl.zeros((WARPS, _LANES), tl.int32)
    end = tl.minimum(first + ROWS, height)
    low, high = tl.maximum(first - _RADIUS, 0), tl.minimum(first + ROWS + _RADIUS, height)
    batch = tl.program_id(2).to(tl.int64)
    x_ptr += batch * x_stride_b
    y_ptr += batch * y_stride_b
    gradient_ptr += batch * height * width
    column_inside = (column >= 0) & (column < width)
    own_column = column_inside & (lane >= _RADIUS) & (lane < _LANES - _RADIUS)

    zero = tl.zeros((WARPS, _LANES), tl.float32)
    empty = (zero,) * _TAPS
    of_x, of_y, of_xx, of_yy, of_xy, of_a, of_b, of_c = empty, empty, empty, empty, empty, empty, empty, empty
    similarity_sum = zero
    for step in range(ROWS + 4 * _RADIUS):
        row = first + (step - 2 * _RADIUS)
        x = _load(x_ptr, row, column, height, width, x_stride_h, x_stride_w)
        y = _load(y_ptr, row, column, height, width, y_stride_h, y_stride_w)
        sum_x, sum_y = WINDOW[_RADIUS] * x, WINDOW[_RADIUS] * y
        sum_xx, sum_yy, sum_xy = sum_x * x, sum_y * y, sum_x * y
        for k in tl.static_range(1, _RADIUS + 1):
            x_left = _load(x_ptr, row, column - k, height, width, x_stride_h, x_stride_w)
            x_right = _load(x_ptr, row, column + k, height, width, x_stride_h, x_stride_w)
            y_left = _load(y_ptr, row, column - k, height, width, y_stride_h, y_stride_w)
            y_right = _load(y_ptr, row, column + k, height, width, y_stride_h, y_stride_w)
            sum_x += WINDOW[_RADIUS + k] * (x_left + x_right)
            sum_y += WINDOW[_RADIUS + k] * (y_left + y_right)
            sum_xx += WINDOW[_RADIUS + k] * (x_left * x_left + x_right * x_right)
            sum_yy += WINDOW[_RADIUS + k] * (y_left * y_left + y_right * y_right)
            sum_xy += WINDOW[_RADIUS + k] * (x_left * y_left + x_right * y_right)
        mean_x, of_x = _descend(of_x, sum_x, WINDOW)
        mean_y, of_y = _descend(of_y, sum_y, WINDOW)
        mean_xx, of_xx = _descend(of_xx, sum_xx, WINDOW)
        mean_yy, of_yy = _descend(of_yy, sum_yy, WINDOW)
        mean_xy, of_xy = _descend(of_xy, sum_xy, WINDOW)
        # The window of row `row - 5` is complete.
        centre = row - _RADIUS
        luminance_over = 2.0 * mean_x * mean_y + c1
        luminance_under = 1.0 / (mean_x * mean_x + mean_y * mean_y + c1)
        structure_over = 2.0 * (mean_xy - mean_x * mean_y) + c2
        structure_under = 1.0 / ((mean_xx - mean_x * mean_x) + (mean_yy - mean_y * mean_y) + c2)
        under = luminance_under * structure_under
        similarity = luminance_over * structure_over * under
        similarity_sum += tl.where(own_column & (centre >= first) & (centre < end), similarity, 0.0)
        if WITH_GRADIENT:
            # Derivatives of the similarity by the windowed means of x, x² and xy.
            inside = column_inside & (centre >= low) & (centre < high)
            a = 2.0 * mean_y * (structure_over - luminance_over) * under
            a -= 2.0 * mean_x * similarity * (luminance_under - structure_under)
            a, of_a = _descend(of_a, tl.where(inside, a, 0.0), WINDOW)
            b, of_b = _descend(of_b, tl.where(inside, -similarity * structure_under, 0.0), WINDOW)
            c, of_c = _descend(of_c, tl.where(inside, 2.0 * luminance_over * under, 0.0), WINDOW)
            # Those of all windows that hold a pixel of row `row - 10` are known.
            out_row = row - 2 * _RADIUS
            out = own_column & (out_row >= first) & (out_row < end)
            x = _load(x_ptr, out_row, column, height, width, x_stride_h, x_stride_w)
            y = _load(y_ptr, out_row, column, height, width, y_stride_h, y_stride_w)
            gradient = _across(a, WINDOW) + 2.0 * x * _across(b, WINDOW) + y * _across(c, WINDOW)
            tl.store(gradient_ptr + out_row.to(tl.int64) * width + column, per_pixel * gradient, mask=out)

    program = tl.program_id(0) + tl.num_programs(0) * (tl.program_id(1) + tl.num_programs(1) * tl.program_id(2))
    tl.store(partial_ptr + program, tl.sum(similarity_sum) * per_pixel)


@dataclass(frozen=True)
class Tile:
    """Launch configuration: warps (each a strip of 22 columns) and rows of one program."""

    warps: int
    rows: int


# The first serves without timing. Few rows make enough programs at 16×128×128, many waste less halo on frames.
_COLUMNS = 32 - 2 * RADIUS  # that a warp writes
TILES = (Tile(4, 32), Tile(1, 16), Tile(1, 32), Tile(1, 64), Tile(4, 64))
_tuner = Tuner(TILES)


def triton_ssim(image: Tensor, reference: Tensor, *, data_range: float, with_gradient: bool) -> tuple[Tensor, Tensor]:
    """Return the mean structural similarity and its gradient with respect to the image, without synchronising.

    Args:
        image: An image, float32, bfloat16 or float16, any strides.  # [B, 1, H, W]
        reference: Another one.  # [B, 1, H, W]
        data_range: Largest possible difference between two values.
        with_gradient: Whether the gradient is wanted.

    Returns:
        The mean, and its gradient in float32, empty where it is not wanted.  # [1], [B, 1, H, W]
    """
    batch, _, height, width = image.shape
    key = (image.dtype, with_gradient, (batch * height * width).bit_length(), width.bit_length())
    with on_device(image.device):
        tile = _tuner.pick(key, image.device, lambda tile: _launch(image, reference, data_range, with_gradient, tile))
        return _launch(image, reference, data_range, with_gradient, tile)


def _launch(
    image: Tensor, reference: Tensor, data_range: float, with_gradient: bool, tile: Tile
) -> tuple[Tensor, Tensor]:
    """Launch the kernel and the sum over what its programs found."""
    batch, _, height, width = image.shape
    # Rounded up by hand: triton.cdiv costs more than everything else here.
    grid = (-(-width // (_COLUMNS * tile.warps)), -(-height // tile.rows), batch)
    partial = torch.empty(grid[0] * grid[1] * grid[2], dtype=torch.float32, device=image.device)
    gradient = torch.empty(image.shape if with_gradient else 0, dtype=torch.float32, device=image.device)
    ssim_kernel[grid](
        image,
        reference,
        gradient,
        partial,
        height,
        width,
        *(image.stride(0), image.stride(2), image.stride(3)),
        *(reference.stride(0), reference.stride(2), reference.stride(3)),
        1.0 / (batch * height * width),
        *constants(data_range),
        WINDOW=WINDOW,
        WITH_GRADIENT=with_gradient,
        WARPS=tile.warps,
        ROWS=tile.rows,
        num_warps=tile.warps,
        num_stages=1,
        enable_fp_fusion=True,
    )
    return partial.sum(dim=0, keepdim=True), gradient
