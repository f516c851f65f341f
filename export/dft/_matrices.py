"""Discrete Fourier transforms along one axis as real matrices: in one step, or in two for a composite length.

A complex vector is a pair of real ones, so a complex matrix Z acts as the real matrix [[Re Z, -Im Z], [Im Z, Re Z]].
All matrices are computed in float64 from a table of exact roots of unity and rounded once by the caller.

The two steps are Cooley and Tukey's with the twiddle factors folded into the second matrix. With n = n1 * n2,
j = j1 * n2 + j2 and k = k1 + n1 * k2::

    X[k1 + n1 k2] = sum_j2 w_n^(j2 (k1 + n1 k2)) * sum_j1 w_n1^(j1 k1) * x[j1 n2 + j2],    w_n = exp(-2 pi i / n)

The inner sum is one n1 x n1 matrix for all j2; the outer sum is one n2 x n2 matrix for each k1. The spectrum comes
out in the order (k1, k2), which is left as it is. A real signal needs only k1 <= n1 / 2, because X[n - k] is the
conjugate of X[k].
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Kind", "Transform", "TwoStep", "dense_matrix", "radix_order", "two_step"]

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What a ``DFT`` node computes, whatever its length.

    Attributes:
        inverse: Whether the exponent is positive and the result divided by the transform's length.
        complex_in: Whether the input has an imaginary part.
        complex_out: Whether the imaginary part of the result is wanted.
        half_in: Whether the input is the half spectrum of a real signal (inverse only).
        half_out: Whether only the first ``n_fft // 2 + 1`` frequencies are wanted (forward only).
        scale: Factor on the result, as an ortho normalisation brings.
    """

    inverse: bool = False
    complex_in: bool = True
    complex_out: bool = True
    half_in: bool = False
    half_out: bool = False
    scale: float = 1.0


@dataclass(frozen=True)
class Transform(Kind):
    """One ``DFT`` node of fixed length, free of where its axis lies.

    Attributes:
        n_in: Length of the input along the axis.
        n_fft: Length of the transform; a shorter input is padded with zeros, a longer one cut.
    """

    n_in: int
    n_fft: int

    @property
    def n_out(self) -> int:
        """Length of the result along the axis."""
        return self.n_fft // 2 + 1 if self.half_out else self.n_fft

    @property
    def n_used(self) -> int:
        """How many elements of the input enter the result."""
        return min(self.n_in, self.n_fft // 2 + 1 if self.half_in else self.n_fft)

    @property
    def gain(self) -> float:
        """Factor on the sum of products."""
        return self.scale / self.n_fft if self.inverse else self.scale

    @property
    def two_step_possible(self) -> bool:
        """Whether nothing is padded or cut, and both halves of the spectrum follow from what is stored."""
        full = self.n_in == (self.n_fft // 2 + 1 if self.half_in else self.n_fft)
        return full and not (self.half_out and self.complex_in)


@dataclass(frozen=True)
class TwoStep:
    """The matrices of a transform in two steps, with the order in which its spectrum is stored.

    Attributes:
        first: Matrix of the first step, (rows, columns) or one for each k1, (n_k1, rows, columns).
        second: Matrix of the second step, likewise.
        order: The frequency held at each position of the stored spectrum; a half spectrum holds some twice.
        n_k1: How many k1 are kept.
        n2: Length of the inner factor.
    """

    first: Array
    second: Array
    order: NDArray[np.int64]
    n_k1: int
    n2: int


def _roots(n: int) -> Array:
    """The n-th roots of unity exp(2 pi i k / n), exact at quarter turns."""
    k = np.arange(n)
    table: Array = np.exp(2j * np.pi * k / n)
    quarter = (4 * k) % n == 0
    table[quarter] = np.round(table[quarter].real) + 1j * np.round(table[quarter].imag)
    return table


def _power(n: int, exponent: Array, *, inverse: bool) -> Array:
    """exp(-2 pi i exponent / n), or with a plus for the inverse."""
    sign = 1 if inverse else -1
    table: Array = _roots(n)[(sign * exponent) % n]
    return table


def _real_form(z: Array, *, conjugate_out: Array | None = None, conjugate_in: Array | None = None) -> Array:
    """Write complex matrices as real ones on (real, imaginary) pairs.

    Args:
        z: Complex matrices.  # [..., M, K]
        conjugate_out: Which results are wanted conjugated.  # [..., M]
        conjugate_in: Which inputs arrive conjugated.  # [..., K]

    Returns:
        Real matrices.  # [..., 2, M, 2, K]
    """
    form = np.empty((*z.shape[:-2], 2, z.shape[-2], 2, z.shape[-1]))
    form[..., 0, :, 0, :] = z.real
    form[..., 0, :, 1, :] = -z.imag
    form[..., 1, :, 0, :] = z.imag
    form[..., 1, :, 1, :] = z.real
    if conjugate_out is not None:
        form[..., 1, :, :, :] *= np.where(conjugate_out, -1.0, 1.0)[..., :, None, None]
    if conjugate_in is not None:
        form[..., :, :, 1, :] *= np.where(conjugate_in, -1.0, 1.0)[..., None, None, :]
    return form


def _parts(form: Array, transform: Transform) -> Array:
    """Keep the real and imaginary parts that exist on either side of a real form."""
    parts_out, parts_in = (2 if is_complex else 1 for is_complex in (transform.complex_out, transform.complex_in))
    kept: Array = form[..., :parts_out, :, :parts_in, :]
    return kept


def dense_matrix(transform: Transform) -> Array:
    """The transform in one step.

    Args:
        transform: What to compute.

    Returns:
        Real matrix over (part, position) on both sides.  # [parts_out, n_out, parts_in, n_in]
    """
    z = np.zeros((transform.n_out, transform.n_in), dtype=np.complex128)
    k, j = np.arange(transform.n_out)[:, None], np.arange(transform.n_used)[None, :]
    z[:, : transform.n_used] = _power(transform.n_fft, k * j, inverse=transform.inverse) * transform.gain
    if transform.half_in:  # every frequency but 0 and n/2 stands for its conjugate too
        alone = (j == 0) | (2 * j == transform.n_fft)
        z[:, : transform.n_used] *= np.where(alone, 1.0, 2.0)
    return _parts(_real_form(z), transform)


def radix_order(n_fft: int, n1: int, *, half: bool) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The order (k1, k2) in which two steps leave a spectrum.

    Args:
        n_fft: Length of the transform.
        n1: Outer factor.
        half: Whether the signal is real and only frequencies up to ``n_fft // 2`` are named.

    Returns:
        The frequency held at each (k1, k2), and where its conjugate is what the two steps compute.  # [n_k1, n2] each
    """
    n_k1 = n1 // 2 + 1 if half else n1
    k = np.arange(n_k1)[:, None] + n1 * np.arange(n_fft // n1)[None, :]
    mirrored = (2 * k > n_fft) if half else np.zeros_like(k, dtype=bool)
    return np.where(mirrored, n_fft - k, k).astype(np.int64), mirrored


def two_step(transform: Transform, n1: int) -> TwoStep:
    """The transform in two steps.

    The matrices' rows and columns are ordered so that neither step needs a permutation: a forward transform reads
    (part, j1, j2) and leaves (k1, k2, part), an inverse one reads (k1, k2, part) and leaves (part, j1, j2).

    Args:
        transform: What to compute; ``two_step_possible`` must hold.
        n1: Outer factor, which must divide ``n_fft``.

    Returns:
        The matrices and the order of the spectrum.
    """
    n, n2 = transform.n_fft, transform.n_fft // n1
    half = transform.half_in if transform.inverse else transform.half_out
    order, mirrored = radix_order(n, n1, half=half)
    n_k1 = order.shape[0]
    # Each step carries its share of the normalisation, so that no intermediate value outgrows both ends (fp16).
    outer_gain = transform.gain ** (math.log(n1) / math.log(n)) if transform.gain > 0 else 1.0
    inner_gain = transform.gain / outer_gain
    j1, k1, j2 = np.arange(n1), np.arange(n_k1), np.arange(n2)
    k = k1[:, None] + n1 * np.arange(n2)[None, :]  # [n_k1, n2]
    outer = _power(n1, k1[:, None] * j1[None, :], inverse=transform.inverse) * outer_gain  # [n_k1, n1]
    inner = (
        _power(n, k[:, :, None] * j2[None, None, :], inverse=transform.inverse) * inner_gain
    )  # [n_k1, n2 of k2, n2 of j2]
    if transform.inverse:
        first, second = _inverse_steps(transform, outer, inner, mirrored)
    else:
        first, second = _forward_steps(transform, outer, inner, mirrored)
    return TwoStep(first, second, order.reshape(-1), n_k1, n2)


def _forward_steps(transform: Transform, outer: Array, inner: Array, mirrored: Array) -> tuple[Array, Array]:
    """(part, j1) -> (k1, part), then for each k1 (part, j2) -> (k2, part)."""
    first = _real_form(outer)  # [2, k1, 2, j1]
    first = first if transform.complex_in else first[:, :, :1]
    first = first.transpose(1, 0, 2, 3).reshape(2 * first.shape[1], -1)
    second = _real_form(inner, conjugate_out=mirrored)  # [k1, 2, k2, 2, j2]
    second = second.transpose(0, 2, 1, 3, 4).reshape(second.shape[0], 2 * second.shape[2], -1)
    return first, second


def _inverse_steps(transform: Transform, outer: Array, inner: Array, mirrored: Array) -> tuple[Array, Array]:
    """For each k1 (k2, part) -> (part, j2), then (k1, part) -> (part, j1)."""
    if transform.half_in:  # k1 and n1 - k1 give conjugate sums; 0 and n1 / 2 are their own mirror
        n1, k1 = outer.shape[1], np.arange(outer.shape[0])
        outer = outer * np.where((k1 == 0) | (2 * k1 == n1), 1.0, 2.0)[:, None]
    first = _real_form(inner.transpose(0, 2, 1), conjugate_in=mirrored)  # [k1, 2, j2, 2, k2]
    first = first if transform.complex_in else first[:, :, :, :1]
    first = first.transpose(0, 1, 2, 4, 3).reshape(first.shape[0], 2 * first.shape[2], -1)
    second = _real_form(outer.T)  # [2, j1, 2, k1]
    second = second if transform.complex_out else second[:1]
    second = second.transpose(0, 1, 3, 2).reshape(second.shape[0] * second.shape[1], -1)
    return first, second
