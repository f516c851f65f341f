"""Discrete Fourier transforms whose length is known at run time only: nodes of the graph make their matrices.

With angles counted in quarters of an n-th of a turn, every element of the real form of a DFT matrix is::

    cos(2 pi u / 4n),    u = (4 (k j mod n) + n q) mod 4n,

where q turns the cosine into the sine that joins real and imaginary parts. ``u`` is computed in integers, so that no
angle grows with k j; and as cos(2 pi u / 4n) = sin((abs(u - 2n) - n) pi / 2n), the sine is only asked for angles within
a quarter turn, where fp32 is finest. Elements are within 1e-7 of the exact ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from edgefuse.export.dft._matrices import Kind

if TYPE_CHECKING:
    from edgefuse.export.graph_editing import NodeEmitter, Shape

__all__ = ["MATRIX", "FreeTransform", "Lengths", "free_lengths", "free_matrix"]

MATRIX = "matrix"
"""Part of the name of every node that makes a matrix: later passes leave those in fp32."""

# k j is below 2^31 up to n = 46340, and a matrix of that length is of 8 GB and more.
_INTEGER = ir.DataType.INT32


@dataclass(frozen=True)
class FreeTransform(Kind):
    """One ``DFT`` node of an axis or a length that is known at run time only.

    Attributes:
        n_fft: Length of the transform: a number, a value of one integer, or None for what the input's length says.
        factors: Values of one number each that scale the result, with whether they divide it.
    """

    n_fft: Any
    factors: tuple[tuple[Any, bool], ...] = ()

    @property
    def n_out(self) -> int | None:
        """Length of the result along the axis, or None where it is known at run time only."""
        if not isinstance(self.n_fft, int):
            return None
        return self.n_fft // 2 + 1 if self.half_out else self.n_fft

    def with_lengths(self, of_number: Callable[[Any], Any]) -> FreeTransform:
        """The transform with its length, where the graph computes it, as an int64 value of shape [1]."""
        return self if self.n_fft is None or isinstance(self.n_fft, int) else replace(self, n_fft=of_number(self.n_fft))


@dataclass(frozen=True)
class Lengths:
    """Lengths of one transform as values of the graph, int64 of shape [1]: input, transform, result."""

    n_in: Any
    n_fft: Any
    n_out: Any


def free_lengths(emitter: NodeEmitter, transform: FreeTransform, n_in: Any) -> Lengths:
    """Emit the nodes that compute the lengths of a transform.

    Args:
        emitter: Where nodes go.
        transform: The transform, with lengths.
        n_in: Length of its input, int64.  # [1]

    Returns:
        The lengths.
    """

    def emit(op_type: str, *inputs: Any, **attributes: Any) -> Any:
        values = [emitter.constant(np.array([one])) if isinstance(one, int) else one for one in inputs]
        return emitter.emit(op_type, values, (1,), attributes=attributes, dtype=ir.DataType.INT64, label=MATRIX)

    if isinstance(transform.n_fft, int):
        n_fft = emitter.constant(np.array([transform.n_fft]))
    elif transform.n_fft is not None:
        n_fft = transform.n_fft
    else:
        n_fft = emit("Mul", emit("Sub", n_in, 1), 2) if transform.half_in else n_in
    return Lengths(n_in, n_fft, emit("Add", emit("Div", n_fft, 2), 1) if transform.half_out else n_fft)


def free_matrix(
    emitter: NodeEmitter, transform: FreeTransform, lengths: Lengths, *, order: Sequence[int], dtype: Any
) -> Any:
    """Emit the nodes that make the matrix of a transform in one step.

    Args:
        emitter: Where nodes go.
        transform: What to compute.
        lengths: Its lengths.
        order: Which of (parts_out, n_out, parts_in, n_in) comes first, second, third and fourth; the first two make up
            the rows of the matrix and the last two its columns.
        dtype: Element type of the matrix.

    Returns:
        The matrix.  # [rows, columns]
    """
    return _Maker(emitter, transform, lengths, order, dtype).matrix()


class _Maker:
    """Makes one matrix, as a grid of the four dimensions of ``free_matrix`` in the order wanted."""

    def __init__(
        self, emitter: NodeEmitter, transform: FreeTransform, lengths: Lengths, order: Sequence[int], dtype: Any
    ) -> None:
        self._emitter = emitter
        self._transform = transform
        self._sizes = (1 + transform.complex_out, lengths.n_out, 1 + transform.complex_in, lengths.n_in)
        self._order = list(order)
        self._dtype = dtype
        self._float = ir.DataType.DOUBLE if dtype == ir.DataType.DOUBLE else ir.DataType.FLOAT
        self._n_fft = self._number(lengths.n_fft)
        self._whole = lengths.n_fft is lengths.n_in or transform.n_fft is None  # nothing is padded or cut
        if lengths.n_fft is not lengths.n_in:
            # The remainder by it is taken in integers, where a zero would end ONNX Runtime's process.
            self._n_fft = self._emit("Max", self._n_fft, self._integers(1))

    def matrix(self) -> Any:
        """The matrix in the order of its dimensions.  # [rows, columns]"""
        n, real_n = self._n_fft, self._cast(self._n_fft, self._float)
        k, j = self._count_along(1), self._count_along(3)
        steps = self._emit("Mul", self._emit("Mod", self._emit("Mul", k, j), n), self._integers(4))
        turned = self._emit("Add", steps, self._emit("Mul", n, self._quarter_turns()))
        u = self._cast(self._emit("Mod", turned, self._emit("Mul", n, self._integers(4))), self._float)
        from_half_way = self._emit("Abs", self._emit("Sub", u, self._emit("Mul", real_n, self._reals(2.0))))
        step = self._emit("Div", self._reals(math.pi / 2), real_n)
        matrix = self._emit("Sin", self._emit("Mul", self._emit("Sub", from_half_way, real_n), step))
        weights = self._weights(j, real_n)
        matrix = matrix if weights is None else self._emit("Mul", matrix, weights)
        return self._flat(self._cast(matrix, self._dtype))

    def _count_along(self, which: int) -> Any:
        """0, 1, 2, ... along one of the four dimensions."""
        limits = [self._integers(0), self._number(self._sizes[which]), self._integers(1)]
        numbers = self._emit("Range", *limits, shape=(None,))
        dims = [-1 if one == which else 1 for one in self._order]
        shape = tuple(None if dim == -1 else 1 for dim in dims)
        return self._emit("Reshape", numbers, self._emitter.constant(np.array(dims)), shape=shape)

    def _quarter_turns(self) -> Any:
        """By how many quarter turns a cosine is ahead, over (parts_out, parts_in)."""
        turns = np.array([[0, 1], [3, 0]] if self._transform.inverse else [[0, 3], [1, 0]])
        turns = turns[: self._sizes[0], None, : self._sizes[2], None].transpose(self._order)
        return self._emitter.constant(turns.astype(_INTEGER.numpy()))

    def _weights(self, j: Any, real_n: Any) -> Any:
        """Factors on the columns: none past what enters, two for a frequency that stands for its conjugate too."""
        n, weights = self._n_fft, self._gain(real_n)
        if not self._whole:
            used = n
            if self._transform.half_in:
                used = self._emit("Add", self._emit("Div", n, self._integers(2)), self._integers(1))
            enters = self._cast(self._test("Less", j, used), self._float)
            weights = enters if weights is None else self._emit("Mul", enters, weights)
        if self._transform.half_in:
            middle = self._test("Equal", self._emit("Mul", j, self._integers(2)), n)
            alone = self._cast(self._test("Or", self._test("Equal", j, self._integers(0)), middle), self._float)
            weights = self._emit("Mul", self._emit("Sub", self._reals(2.0), alone), weights)
        return weights

    def _gain(self, real_n: Any) -> Any:
        """The factor on all elements, or None for 1."""
        gain = None if self._transform.scale == 1.0 else self._reals(self._transform.scale)
        scalar = self._emitter.constant(np.array([], dtype=np.int64))
        factors = [
            (self._cast(self._emit("Reshape", factor, scalar, shape=()), self._float), divides)
            for factor, divides in self._transform.factors
        ]
        for factor, divides in [*factors, *([(real_n, True)] if self._transform.inverse else [])]:
            if gain is None and not divides:
                gain = factor
            else:
                gain = self._emit("Div" if divides else "Mul", self._reals(1.0) if gain is None else gain, factor)
        return gain

    def _flat(self, grid: Any) -> Any:
        """Join the first two dimensions and the last two."""
        last = [self._sizes[one] for one in self._order[2:]]
        length = next(one for one in last if not isinstance(one, int))
        parts = self._emitter.constant(np.array([next(one for one in last if isinstance(one, int))]))
        dims = [self._emitter.constant(np.array([-1])), self._emit("Mul", length, parts)]
        target = self._emitter.emit("Concat", dims, (2,), attributes={"axis": 0}, label=MATRIX)
        return self._emit("Reshape", grid, target, shape=(None, None))

    def _number(self, length: Any) -> Any:
        """A length to compute with.  # []"""
        return self._cast(self._emit("Squeeze", length, self._emitter.constant(np.array([0])), shape=()), _INTEGER)

    def _emit(self, op_type: str, *inputs: Any, shape: Shape | None = None) -> Any:
        shape = self._broadcast(inputs) if shape is None else shape
        return self._emitter.emit(op_type, inputs, shape, label=MATRIX)

    def _broadcast(self, values: Sequence[Any]) -> Shape:
        shapes = [self._emitter.shape_of(value) for value in values]
        rank = max(map(len, shapes))
        columns = zip(*((1,) * (rank - len(shape)) + shape for shape in shapes), strict=True)
        return tuple(None if None in sizes else max(size or 1 for size in sizes) for sizes in columns)

    def _test(self, op_type: str, left: Any, right: Any) -> Any:
        shape = self._broadcast((left, right))
        return self._emitter.emit(op_type, [left, right], shape, dtype=ir.DataType.BOOL, label=MATRIX)

    def _cast(self, value: Any, dtype: Any) -> Any:
        if value.dtype == dtype:
            return value
        shape = self._emitter.shape_of(value)
        return self._emitter.emit("Cast", [value], shape, attributes={"to": dtype}, dtype=dtype, label=MATRIX)

    def _integers(self, number: int) -> Any:
        return self._emitter.constant(np.array(number, dtype=_INTEGER.numpy()))

    def _reals(self, number: float) -> Any:
        return self._emitter.constant(np.array(number, dtype=self._float.numpy()))
