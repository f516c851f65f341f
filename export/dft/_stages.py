"""One transform along one axis of a laid value, as one matrix product or two."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgefuse.export.dft._cost import FLOPS_PER_BYTE, Target
from edgefuse.export.dft._free import FreeTransform, free_lengths, free_matrix
from edgefuse.export.dft._layout import Axis, Emitter, Laid
from edgefuse.export.dft._matrices import Array, Transform, dense_matrix, radix_order, two_step

__all__ = ["TRANSFORM", "Signal", "best_factor", "dense_stage", "two_step_stage"]

TRANSFORM = "transform"
"""Part of the name of every product with a DFT matrix: later passes tell them from the network's own by it."""


@dataclass(frozen=True)
class Signal:
    """A laid value in the middle of a chain of transforms.

    Attributes:
        laid: The value, without picks. Its dimensions are those of the chain's input.
        part: The axis of real and imaginary parts, or None while the signal is real.
    """

    laid: Laid
    part: Axis | None


def _divisors(n: int) -> list[int]:
    return [d for d in range(2, n // 2 + 1) if n % d == 0]


def best_factor(transform: Transform, target: Target, *, force: bool = False) -> int | None:
    """The outer factor that makes two steps cheapest, or None where one step is cheaper.

    Args:
        transform: The transform.
        target: Kind of machine.
        force: Take two steps wherever the length has a factor.

    Returns:
        A divisor of ``n_fft``, or None.
    """
    if not transform.two_step_possible:
        return None
    ratio = FLOPS_PER_BYTE[target]

    def cost(steps: list[tuple[int, int, int]]) -> float:
        return sum(batch * (4 * (rows + columns) + 2 * rows * columns / ratio) for batch, rows, columns in steps)

    parts_in, parts_out = 1 + transform.complex_in, 1 + transform.complex_out
    dense = cost([(1, parts_out * transform.n_out, parts_in * transform.n_in)])
    candidates: list[tuple[float, int]] = []
    for n1 in _divisors(transform.n_fft):
        n2 = transform.n_fft // n1
        n_k1 = n1 // 2 + 1 if transform.half_in or transform.half_out else n1
        if transform.inverse:
            steps = [(n_k1, 2 * n2, parts_in * n2), (n2, parts_out * n1, 2 * n_k1)]
        else:
            steps = [(n2, 2 * n_k1, parts_in * n1), (n_k1, 2 * n2, 2 * n2)]
        candidates.append((cost(steps), n1))
    if not candidates:
        return None
    cheapest, n1 = min(candidates)
    return n1 if force or cheapest < dense else None


def _replaced(signal: Signal, axis: Axis, new: Axis, *, part: Axis | None, stored: list[Axis], value: Any) -> Signal:
    """The signal after a stage: an axis transformed, and its parts as they are now."""
    dims = tuple(tuple(new if one is axis else one for one in dim) for dim in signal.laid.dims)
    return Signal(Laid(value, tuple(stored), dims), part)


def _beside(emitter: Emitter, signal: Signal, axis: Axis, *, before: bool | None) -> tuple[Signal, bool]:
    """Move the part axis next to an axis: before it, after it, or where it is nearest; report whether it is before."""
    stored = [one for one in signal.laid.stored if one is not signal.part]
    if signal.part is None:
        return signal, True
    place, now = stored.index(axis), signal.laid.stored.index(signal.part)
    if before is None:
        before = not (now > 0 and signal.laid.stored[now - 1] is axis)
    stored.insert(place if before else place + 1, signal.part)
    return replace(signal, laid=emitter.arrange(signal.laid, stored)), before


def dense_stage(
    emitter: Emitter, signal: Signal, axis: Axis, transform: Transform | FreeTransform, *, part_first: bool
) -> Signal:
    """Transform an axis by one matrix product, wherever it is stored.

    Args:
        emitter: Where nodes go.
        signal: The signal.
        axis: Its axis to transform.
        transform: What to compute.
        part_first: Store the result as (part, axis) and not (axis, part).

    Returns:
        The transformed signal.
    """
    signal, before = _beside(emitter, signal, axis, before=None)
    laid, stored = signal.laid, signal.laid.stored
    touched = [one for one in stored if one is axis or one is signal.part]
    start = stored.index(touched[0])
    outer, inner = stored[:start], stored[start + len(touched) :]
    columns = (2, 3) if before else (3, 2)
    rows = (0, 1) if part_first else (1, 0)
    value = emitter.grouped(laid, outer, touched, inner)
    new = Axis(transform.n_out, spectral=not transform.inverse)
    if isinstance(transform, FreeTransform):
        lengths = free_lengths(emitter, transform, emitter.extent_of(axis))
        new = replace(new, extent=lengths.n_out)
        order = (*rows, *columns) if inner else (*columns, *rows)
        matrix = free_matrix(emitter, transform, lengths, order=order, dtype=value.dtype)
    else:
        grid = _stored_columns(dense_matrix(transform), axis)  # [parts_out, n_out, parts_in, size]
        grid = grid.transpose(*rows, *columns)
        grid = grid.reshape(grid.shape[0] * grid.shape[1], -1)
        matrix = emitter.constant(_cast(grid if inner else grid.T, value))
    part = Axis(2) if transform.complex_out else None
    made = [new] if part is None else [part, new] if part_first else [new, part]
    value = _product_along(emitter, value, matrix, _stored_size(made), has_outer=bool(outer))
    emitter.hold(value, outer, made, inner)
    return _replaced(signal, axis, new, part=part, stored=[*outer, *made, *inner], value=value)


def _stored_columns(matrix: Array, axis: Axis) -> Array:
    """Order a matrix's columns as its input is stored; of a frequency stored twice only the first enters."""
    if axis.order is None:
        return matrix
    columns = np.zeros((*matrix.shape[:-1], len(axis.order)))
    columns[..., axis.first_positions()] = matrix
    return columns


def _product_along(emitter: Emitter, value: Any, matrix: Any, n_out: int | None, *, has_outer: bool) -> Any:
    """Multiply dimension 1 (0 without an outer one) of at most three by a matrix: from the right where it is last."""
    shape = emitter.shape_of(value)
    place = 1 if has_outer else 0
    result = (*shape[:place], n_out, *shape[place + 1 :])
    flops = 2.0 * emitter.elements(matrix) * math.prod(dim or 1 for i, dim in enumerate(shape) if i != place)
    operands = [value, matrix] if place == len(shape) - 1 else [matrix, value]
    return emitter.emit("MatMul", operands, result, flops=flops, dtype=value.dtype, label=TRANSFORM)


def _cast(matrix: Array, like: Any) -> Array:
    return matrix.astype(like.dtype.numpy())


def two_step_stage(emitter: Emitter, signal: Signal, axis: Axis, transform: Transform, n1: int) -> Signal:
    """Transform an axis by two matrix products; the spectrum is stored in the order of `radix_order`.

    Args:
        emitter: Where nodes go.
        signal: The signal.
        axis: Its axis to transform.
        transform: What to compute.
        n1: Outer factor.

    Returns:
        The transformed signal, a forward one stored as (axis, part), an inverse one as (part, axis).
    """
    step = two_step(transform, n1)
    if transform.inverse:
        signal, axis = _in_radix_order(emitter, signal, axis, transform, n1)
    signal, _ = _beside(emitter, signal, axis, before=not transform.inverse)
    stored = signal.laid.stored
    touched = [one for one in stored if one is axis or one is signal.part]
    start = stored.index(touched[0])
    outer, inner = stored[:start], stored[start + len(touched) :]
    n_outer, n_inner = (_stored_size(list(axes)) for axes in (outer, inner))
    outer_shape = (n_outer,) if outer else ()
    length = transform.n_fft // n1
    matrices = [step.first, step.second]
    if transform.inverse:
        shapes = [(step.n_k1, matrices[0].shape[2], n_inner), (matrices[1].shape[1], _times(length, n_inner))]
    else:
        shapes = [(matrices[0].shape[1], _times(length, n_inner)), (step.n_k1, matrices[1].shape[2], n_inner)]
    value = signal.laid.value
    for matrix, shape in zip(matrices, shapes, strict=True):
        value = _left_product(emitter, emitter.view(value, (*outer_shape, *shape)), matrix)
    part = Axis(2) if transform.complex_out else None
    new = Axis(transform.n_out, None if transform.inverse else step.order, spectral=not transform.inverse)
    made = [one for one in ([part, new] if transform.inverse else [new, part]) if one is not None]
    return _replaced(signal, axis, new, part=part, stored=[*outer, *made, *inner], value=value)


def _in_radix_order(emitter: Emitter, signal: Signal, axis: Axis, transform: Transform, n1: int) -> tuple[Signal, Axis]:
    """Bring a spectrum to the order that an inverse in two steps reads, unless it was left in that order."""
    wanted = radix_order(transform.n_fft, n1, half=transform.half_in)[0].reshape(-1)
    if axis.order is not None and np.array_equal(axis.order, wanted):
        return signal, axis
    place = signal.laid.stored.index(axis)
    before, after = signal.laid.stored[:place], signal.laid.stored[place + 1 :]
    positions = axis.first_positions()[wanted]
    value = emitter.take(emitter.grouped(signal.laid, before, [axis], after), 1 if before else 0, positions)
    ordered = Axis(axis.length, wanted, spectral=True)
    return _replaced(signal, axis, ordered, part=signal.part, stored=[*before, ordered, *after], value=value), ordered


def _left_product(emitter: Emitter, value: Any, matrix: Array) -> Any:
    """Multiply the last but one dimension by one matrix, or by one for each index of the dimension before it."""
    shape = emitter.shape_of(value)
    flops = 2.0 * matrix.shape[-2] * math.prod(dim or 1 for dim in shape)
    result = (*shape[:-2], matrix.shape[-2], shape[-1])
    constant = emitter.constant(_cast(matrix, value))
    return emitter.emit("MatMul", [constant, value], result, flops=flops, dtype=value.dtype, label=TRANSFORM)


def _stored_size(axes: list[Axis]) -> int | None:
    sizes = [axis.size for axis in axes]
    return None if None in sizes else math.prod(size or 1 for size in sizes)


def _times(factor: int, size: int | None) -> int | None:
    return None if size is None else factor * size
