"""The gradient loss on an NVIDIA GPU: value and derivative in one pass over the images.

A warp marches down a strip of 32 columns and holds in registers what the rows above left behind. Neighbouring columns
come from neighbouring lanes (``tl.gather`` along a row of 32 is a shuffle), so each image is loaded once: two columns
of halo on either side leave 28 of 32 lanes to write, and each strip of rows reads two more above and below.
"""

# Triton compiles the kernels: no types, and as many arguments and statements as one pass over memory needs.
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators
# ruff: noqa: PLR0915, PLR0917

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from edgefuse.kernels.autotune import Tuner, on_device
from edgefuse.kernels.gradient_loss.reference import ANGLE_EPSILON
from edgefuse.kernels.gradient_loss.weights import TERMS, TermWeights

__all__ = ["TILES", "Tile", "gradient_loss_kernel", "triton_loss"]

_LANES = tl.constexpr(32)
_HALO = tl.constexpr(2)
_TINY = tl.constexpr(1e-30)  # under any square of a gradient: keeps 1/sqrt finite, and 0 times it 0


@triton.jit
def _load_row(image, row, column, height, width, stride_h, stride_w, POOL: tl.constexpr):
    """Means of POOL×POOL pixels of a row, zero outside the image.  # [WARPS, 32]"""
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    total = tl.zeros(column.shape, tl.float32)
    for dy in range(POOL):
        for dx in range(POOL):
            offset = (row.to(tl.int64) * POOL + dy) * stride_h + (column.to(tl.int64) * POOL + dx) * stride_w
            total += tl.load(image + offset, mask=inside, other=0.0).to(tl.float32)
    return total * (1.0 / (POOL * POOL))


@triton.jit
def _split(u, v):
    """Horizontal half of the Sobel pair: differences of u, (1, 2, 1) sums of v; the outermost lanes are void."""
    lane = tl.broadcast_to(tl.arange(0, _LANES)[None, :], u.shape)
    left = tl.maximum(lane - 1, 0)
    right = tl.minimum(lane + 1, _LANES - 1)
    difference = tl.gather(u, right, 1) - tl.gather(u, left, 1)
    return difference, tl.gather(v, left, 1) + 2.0 * v + tl.gather(v, right, 1)


@triton.jit
def _sign(v):
    return tl.where(v > 0, 1.0, tl.where(v < 0, -1.0, 0.0))


@triton.jit
def gradient_loss_kernel(
    fused_ptr,  # pointer to the fused image, shape (B, 1, H * POOL, W * POOL)
    ir_ptr,  # pointer to the infrared image, same shape
    vis_ptr,  # pointer to the visible image, same shape
    gradient_ptr,  # pointer to the gradient, shape (B, 1, H, W), contiguous float32; written where WITH_GRADIENT
    coarse_ptr,  # pointer to the next scale's gradient, shape (B, 1, H // 2, W // 2); read where WITH_COARSE
    partial_ptr,  # pointer to the partial sums of all programs, shape (5, partial_stride)
    height,
    width,
    fused_stride_b,
    fused_stride_h,
    fused_stride_w,
    ir_stride_b,
    ir_stride_h,
    ir_stride_w,
    vis_stride_b,
    vis_stride_h,
    vis_stride_w,
    partial_stride,
    partial_first,  # number of programs of the finer scales, whose partial sums come first
    per_pixel,  # 1 / number of pixels
    magnitude,
    angle,
    direction,
    direction_scale,  # weight of this scale inside the direction term
    max_magnitude,
    epsilon_squared,
    MAGNITUDE: tl.constexpr,  # 0 off, 1 absolute, 2 squared
    ANGLE: tl.constexpr,
    DIRECTION: tl.constexpr,
    MAX_MAGNITUDE: tl.constexpr,
    WITH_GRADIENT: tl.constexpr,
    WITH_COARSE: tl.constexpr,
    POOL: tl.constexpr,
    WARPS: tl.constexpr,
    ROWS: tl.constexpr,
):
    """Sum the terms over WARPS strips of 28 columns by ROWS rows, and write the derivative there."""
    lane = tl.broadcast_to(tl.arange(0, _LANES)[None, :], (WARPS, _LANES))
    strip = tl.program_id(0) * WARPS + tl.arange(0, WARPS)[:, None]
    column = strip * (_LANES - 2 * _HALO) + lane - _HALO  # [WARPS, 32]
    # Row numbers are blocks, not scalars: Triton 3.9 makes an integer of a block mask and a scalar comparison.
    first = tl.program_id(1) * ROWS + tl.zeros((WARPS, _LANES), tl.int32)
    end = tl.minimum(first + ROWS, height)
    low, high = tl.maximum(first - 1, 0), tl.minimum(first + ROWS + 1, height)
    batch = tl.program_id(2).to(tl.int64)
    fused_ptr += batch * fused_stride_b
    ir_ptr += batch * ir_stride_b
    vis_ptr += batch * vis_stride_b
    gradient_ptr += batch * height * width
    coarse_ptr += batch * (height // 2) * (width // 2)
    column_inside = (column >= 0) & (column < width)
    own_column = column_inside & (lane >= _HALO) & (lane < _LANES - _HALO)

    zero = tl.zeros((WARPS, _LANES), tl.float32)
    fd0, fd1, fs0, fs1 = zero, zero, zero, zero  # differences and sums of the last two rows: fused,
    id0, id1, is0, is1 = zero, zero, zero, zero  # infrared,
    vd0, vd1, vs0, vs1 = zero, zero, zero, zero  # visible,
    xd0, xd1, ys0, ys1 = zero, zero, zero, zero  # and the loss's derivatives
    magnitude_sum, angle_sum, direction_sum, max_sum = zero, zero, zero, zero
    f = _load_row(fused_ptr, first - 2, column, height, width, fused_stride_h, fused_stride_w, POOL)
    i = _load_row(ir_ptr, first - 2, column, height, width, ir_stride_h, ir_stride_w, POOL)
    v = _load_row(vis_ptr, first - 2, column, height, width, vis_stride_h, vis_stride_w, POOL)
    for step in range(ROWS + 4):
        # The next row is asked for before this one is worked on.
        ahead = first + (step - 1)
        f_ahead = _load_row(fused_ptr, ahead, column, height, width, fused_stride_h, fused_stride_w, POOL)
        i_ahead = _load_row(ir_ptr, ahead, column, height, width, ir_stride_h, ir_stride_w, POOL)
        v_ahead = _load_row(vis_ptr, ahead, column, height, width, vis_stride_h, vis_stride_w, POOL)
        fd2, fs2 = _split(f, f)
        id2, is2 = _split(i, i)
        vd2, vs2 = _split(v, v)
        fx, fy = fd0 + 2.0 * fd1 + fd2, fs2 - fs0
        ix, iy = id0 + 2.0 * id1 + id2, is2 - is0
        vx, vy = vd0 + 2.0 * vd1 + vd2, vs2 - vs0
        # Sobel derivatives are now those of row `first + step - 3`.
        row = first + (step - 3)
        own = own_column & (row >= first) & (row < end)
        x, y = zero, zero
        if MAGNITUDE > 0 or ANGLE:
            f_squared, i_squared, v_squared = fx * fx + fy * fy, ix * ix + iy * iy, vx * vx + vy * vy
            from_ir = i_squared > v_squared
            r_squared = tl.where(from_ir, i_squared, v_squared)
            if MAGNITUDE > 0:
                f_inverse = tl.rsqrt(tl.maximum(f_squared, _TINY))
                distance = f_squared * f_inverse - r_squared * tl.rsqrt(tl.maximum(r_squared, _TINY))
                if MAGNITUDE == 1:
                    magnitude_sum += tl.where(own, tl.abs(distance), 0.0)
                    slope = magnitude * _sign(distance) * f_inverse
                else:
                    magnitude_sum += tl.where(own, distance * distance, 0.0)
                    slope = magnitude * 2.0 * distance * f_inverse
                x += slope * fx
                y += slope * fy
            if ANGLE:
                rx, ry = tl.where(from_ir, ix, vx), tl.where(from_ir, iy, vy)
                f_inverse = tl.rsqrt(f_squared + epsilon_squared)
                r_inverse = tl.rsqrt(r_squared + epsilon_squared)
                cosine = (fx * rx + fy * ry + epsilon_squared) * (f_inverse * r_inverse)
                angle_sum += tl.where(own, 1.0 - cosine, 0.0)
                slope = angle * f_inverse
                x += slope * (cosine * f_inverse * fx - r_inverse * rx)
                y += slope * (cosine * f_inverse * fy - r_inverse * ry)
        if DIRECTION:
            off_x = fx - tl.where(tl.abs(ix) > tl.abs(vx), ix, vx)
            off_y = fy - tl.where(tl.abs(iy) > tl.abs(vy), iy, vy)
            direction_sum += tl.where(own, 0.5 * (tl.abs(off_x) + tl.abs(off_y)), 0.0)
            x += 0.5 * direction * direction_scale * _sign(off_x)
            y += 0.5 * direction * direction_scale * _sign(off_y)
        if MAX_MAGNITUDE:
            target = tl.maximum(tl.abs(ix) + tl.abs(iy), tl.abs(vx) + tl.abs(vy))
            distance = tl.abs(fx) + tl.abs(fy) - target
            max_sum += tl.where(own, tl.abs(distance), 0.0)
            slope = max_magnitude * _sign(distance)
            x += slope * _sign(fx)
            y += slope * _sign(fy)
        if WITH_GRADIENT:
            inside = column_inside & (row >= low) & (row < high)
            xd2, ys2 = _split(tl.where(inside, x, 0.0), tl.where(inside, y, 0.0))
            # The transposed Sobel completes row `first + step - 4`.
            out_row = row - 1
            out = own_column & (out_row >= first) & (out_row < end)
            out_gradient = per_pixel * (ys0 - ys2 - (xd0 + 2.0 * xd1 + xd2))
            if WITH_COARSE:
                under = out & (out_row // 2 < height // 2) & (column // 2 < width // 2)
                offset = (out_row // 2).to(tl.int64) * (width // 2) + column // 2
                out_gradient += 0.25 * tl.load(coarse_ptr + offset, mask=under, other=0.0)
            tl.store(gradient_ptr + out_row.to(tl.int64) * width + column, out_gradient, mask=out)
            xd0, xd1, ys0, ys1 = xd1, xd2, ys1, ys2
        fd0, fd1, fs0, fs1 = fd1, fd2, fs1, fs2
        id0, id1, is0, is1 = id1, id2, is1, is2
        vd0, vd1, vs0, vs1 = vd1, vd2, vs1, vs2
        f, i, v = f_ahead, i_ahead, v_ahead

    program = tl.program_id(0) + tl.num_programs(0) * (tl.program_id(1) + tl.num_programs(1) * tl.program_id(2))
    partial_ptr += partial_first + program
    m, a = tl.sum(magnitude_sum) * per_pixel, tl.sum(angle_sum) * per_pixel
    d, x = tl.sum(direction_sum) * per_pixel * direction_scale, tl.sum(max_sum) * per_pixel
    tl.store(partial_ptr, magnitude * m + angle * a + direction * d + max_magnitude * x)
    tl.store(partial_ptr + partial_stride, m)
    tl.store(partial_ptr + 2 * partial_stride, a)
    tl.store(partial_ptr + 3 * partial_stride, d)
    tl.store(partial_ptr + 4 * partial_stride, x)


@dataclass(frozen=True)
class Tile:
    """Launch configuration: warps (each a strip of 28 columns) and rows of one program."""

    warps: int
    rows: int


# The first serves without timing. Few rows make enough programs at 16×128×128, many waste less halo on frames.
_COLUMNS = 32 - 2 * 2  # that a warp writes
TILES = (Tile(4, 16), Tile(1, 8), Tile(1, 16), Tile(1, 32), Tile(4, 32), Tile(4, 64))
_tuner = Tuner(TILES)


def triton_loss(
    fused: Tensor, ir: Tensor, vis: Tensor, *, weights: TermWeights, with_gradient: bool
) -> tuple[Tensor, Tensor]:
    """Return the loss and its terms, and its gradient with respect to the fused image, without synchronising.

    Args:
        fused: The fused luminance, float32, bfloat16 or float16, any strides.  # [B, 1, H, W]
        ir: The infrared image.  # [B, 1, H, W]
        vis: The visible luminance.  # [B, 1, H, W]
        weights: Which terms are on, and their weights.
        with_gradient: Whether the gradient is wanted.

    Returns:
        The weighted sum followed by the unweighted terms in the order of ``TERMS`` (0 for those that are off), and the
        gradient in float32, empty where it is not wanted.  # [5], [B, 1, H, W]
    """
    batch, _, height, width = fused.shape
    key = (
        weights.active,
        weights.n_scales,
        fused.dtype,
        with_gradient,
        (batch * height * width).bit_length(),
        width.bit_length(),
    )
    with on_device(fused.device):
        tile = _tuner.pick(key, fused.device, lambda tile: _launch(fused, ir, vis, weights, with_gradient, tile))
        return _launch(fused, ir, vis, weights, with_gradient, tile)


def _launch(
    fused: Tensor, ir: Tensor, vis: Tensor, weights: TermWeights, with_gradient: bool, tile: Tile
) -> tuple[Tensor, Tensor]:
    """Launch one kernel a scale, the coarsest first, and one sum over all their partial results."""
    batch, _, height, width = fused.shape
    columns = _COLUMNS * tile.warps
    # Rounded up by hand: triton.cdiv costs more than everything else here.
    grids = [
        (-(-(width >> scale) // columns), -(-(height >> scale) // tile.rows), batch)
        for scale in range(weights.n_scales)
    ]
    programs = [across * down * batch for across, down, _ in grids]
    partial = torch.empty(1 + len(TERMS), sum(programs), dtype=torch.float32, device=fused.device)
    gradient = fused  # stands for the missing gradient of a coarser scale, which is not read
    for scale in reversed(range(weights.n_scales)):
        h, w, coarse = height >> scale, width >> scale, gradient
        size = (batch, 1, h, w) if with_gradient else (0,)
        gradient = torch.empty(size, dtype=torch.float32, device=fused.device)
        finest = scale == 0
        gradient_loss_kernel[grids[scale]](
            fused,
            ir,
            vis,
            gradient,
            coarse,
            partial,
            h,
            w,
            *(fused.stride(0), fused.stride(2), fused.stride(3)),
            *(ir.stride(0), ir.stride(2), ir.stride(3)),
            *(vis.stride(0), vis.stride(2), vis.stride(3)),
            partial.stride(0),
            sum(programs[:scale]),
            1.0 / (batch * h * w),
            weights.magnitude,
            weights.angle,
            weights.direction,
            weights.scale_weights[scale] if weights.direction != 0 else 0.0,
            weights.max_magnitude,
            ANGLE_EPSILON**2,
            MAGNITUDE=(0 if weights.magnitude == 0 else 1 if weights.magnitude_norm == "l1" else 2) if finest else 0,
            ANGLE=finest and weights.angle != 0,
            DIRECTION=weights.direction != 0,
            MAX_MAGNITUDE=finest and weights.max_magnitude != 0,
            WITH_GRADIENT=with_gradient,
            WITH_COARSE=with_gradient and scale + 1 < weights.n_scales,
            POOL=1 << scale,
            WARPS=tile.warps,
            ROWS=tile.rows,
            num_warps=tile.warps,
            num_stages=1,
            enable_fp_fusion=True,
        )
    return partial.sum(dim=1), gradient
