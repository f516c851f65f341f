"""The real matrices of one-axis transforms against numpy's FFT."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgefuse.export.dft._matrices import Transform, dense_matrix, two_step


def _as_parts(z: np.ndarray) -> np.ndarray:
    return np.stack([z.real, z.imag])


@given(n_in=st.integers(1, 40), n_fft=st.integers(1, 40), inverse=st.booleans(), seed=st.integers(0, 99))
def test_dense_matrix_is_the_padded_or_cut_transform(n_in: int, n_fft: int, inverse: bool, seed: int) -> None:
    """One product gives what numpy gives for any input and transform length."""
    z = np.random.default_rng(seed).standard_normal((2, n_in))
    matrix = dense_matrix(Transform(n_in, n_fft, inverse=inverse, scale=0.5))
    expected = (np.fft.ifft if inverse else np.fft.fft)(z[0] + 1j * z[1], n=n_fft) * 0.5
    np.testing.assert_allclose(np.einsum("ckdj,dj->ck", matrix, z), _as_parts(expected), atol=1e-12)


@given(n_in=st.integers(1, 24), n_fft=st.integers(1, 40), seed=st.integers(0, 99))
def test_half_spectrum_inverts_to_a_real_signal(n_in: int, n_fft: int, seed: int) -> None:
    """The one-sided inverse ignores what numpy's irfft ignores, with odd lengths and with missing frequencies."""
    z = np.random.default_rng(seed).standard_normal((2, n_in))
    matrix = dense_matrix(Transform(n_in, n_fft, inverse=True, complex_out=False, half_in=True))
    expected = np.fft.irfft(z[0] + 1j * z[1], n=n_fft)
    np.testing.assert_allclose(np.einsum("ckdj,dj->ck", matrix, z)[0], expected, atol=1e-12)


@pytest.mark.parametrize(("n", "n1"), [(4, 2), (6, 3), (15, 3), (15, 5), (48, 6), (45, 9), (640, 32), (64, 8)])
@pytest.mark.parametrize("kind", ["fft", "fft of real", "rfft", "ifft", "irfft", "ifft of real", "real part of ifft"])
def test_two_steps_equal_numpy(n: int, n1: int, kind: str) -> None:
    """The two products give the transform in their own order, for even and odd factors."""
    rng = np.random.default_rng(0)
    half = kind in ("rfft", "irfft")
    inverse = kind in ("ifft", "irfft", "ifft of real", "real part of ifft")
    real_in, real_out = kind in ("rfft", "fft of real", "ifft of real"), kind in ("irfft", "real part of ifft")
    n_in = n // 2 + 1 if kind == "irfft" else n
    z = rng.standard_normal(n_in) + (0 if real_in else 1j * rng.standard_normal(n_in))
    transform = Transform(
        n_in,
        n,
        inverse=inverse,
        complex_in=not real_in,
        complex_out=not real_out,
        half_in=kind == "irfft",
        half_out=kind == "rfft",
    )
    step, n2 = two_step(transform, n1), n // n1
    if inverse:
        stored = z[step.order].reshape(step.n_k1, n2)  # [k1, k2]
        parts = np.stack([stored.real] if real_in else [stored.real, stored.imag], axis=-1)  # [k1, k2, part]
        middle = np.einsum("kmp,kp->km", step.first, parts.reshape(step.n_k1, -1)).reshape(-1, n2)  # [(k1, part), j2]
        result = (step.second @ middle).reshape(1 if real_out else 2, n)
        expected = np.fft.irfft(z, n=n) if half else np.fft.ifft(z)
        np.testing.assert_allclose(result, _as_parts(expected + 0j)[: len(result)], atol=1e-12)
    else:
        parts = np.stack([z.real] if real_in else [z.real, z.imag]).reshape(-1, n2)  # [(part, j1), j2]
        middle = (step.first @ parts).reshape(step.n_k1, -1)  # [k1, (part, j2)]
        result = np.einsum("kmp,kp->km", step.second, middle).reshape(-1, 2)  # [(k1, k2), part]
        expected = (np.fft.rfft(z.real) if half else np.fft.fft(z))[step.order]
        np.testing.assert_allclose(result.T, _as_parts(expected), atol=1e-10)


def test_ortho_scale_is_split_over_the_steps() -> None:
    """No intermediate value of a unit-scaled transform can outgrow fp16 although the unscaled one would."""
    step = two_step(Transform(640, 640, scale=640**-0.5), 32)
    largest_middle = np.abs(step.first).sum(axis=1).max()
    assert largest_middle < 2 * 32**0.5 + 1e-9
