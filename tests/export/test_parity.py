"""Comparison of two outputs, and what passes."""

from __future__ import annotations

import numpy as np
import pytest

from edgefuse.errors import ArtifactError
from edgefuse.export.parity import LIMITS, compare, measure

RNG = np.random.default_rng(0)
PAIR = [RNG.random((1, 1, 48, 64), dtype=np.float32) for _ in range(2)]
NAMES = ("reference", "runtime", "data")


def average(images: list[np.ndarray]) -> np.ndarray:
    """A plain fusion."""
    return np.asarray((images[0] + images[1]) / 2, dtype=np.float32)


def test_equal_outputs_differ_by_nothing() -> None:
    """All errors are 0 and the cosine is 1."""
    found = compare(PAIR[0], PAIR[0])
    assert found.max_abs_error == found.mean_abs_error == found.median_relative_error == 0
    assert found.cosine == pytest.approx(1)


def test_differences_are_those_of_numpy() -> None:
    """Against the formulas written out."""
    got, wanted = PAIR
    found = compare(got, wanted)
    error = np.abs(got.astype(float) - wanted)
    assert found.max_abs_error == pytest.approx(error.max())
    assert found.mean_abs_error == pytest.approx(error.mean())
    assert found.median_abs_error == pytest.approx(np.median(error))
    assert found.cosine == pytest.approx((got * wanted).sum() / np.sqrt((got**2).sum() * (wanted**2).sum()), rel=1e-5)
    assert found.max_relative_error == pytest.approx((error / np.maximum(wanted, 1 / 255)).max())


def test_other_shape_is_refused() -> None:
    """The message names both shapes."""
    with pytest.raises(ArtifactError, match=r"\(1, 1, 48, 64\).*\(1, 1, 48, 63\)"):
        compare(PAIR[0], PAIR[1][..., 1:])


@pytest.mark.parametrize("precision", list(LIMITS))
def test_error_over_the_limit_fails_with_the_reason(precision: str) -> None:
    """Just within passes, just beyond does not, for every precision."""
    limit = LIMITS[precision].mean_abs_error

    def shifted(factor: float) -> bool:
        infer = lambda images: average(images) + np.float32(limit * factor)  # noqa: E731
        result = measure(infer, average, [PAIR], precision=precision, names=NAMES)
        assert result.passed == (not result.complaint())
        return result.passed

    assert shifted(0.9)
    assert not shifted(1.2)


def test_nan_never_passes() -> None:
    """A graph that overflows is not equal to anything."""
    result = measure(lambda images: average(images) * np.float32("nan"), average, [PAIR], precision="int8", names=NAMES)
    assert not result.passed
    assert "mean error nan" in result.complaint()


def test_metric_changes_are_recorded() -> None:
    """A darker picture has less entropy and spread."""
    result = measure(lambda images: average(images) / 4, average, [PAIR], precision="fp32", names=NAMES)
    assert set(result.metrics) == {"EN", "SD", "Qabf", "SSIM"}
    assert result.metrics["EN"]["change"] < -1
    assert result.metrics["SD"]["change"] == pytest.approx(-0.75 * result.metrics["SD"]["reference"], rel=0.05)
    flat = result.as_dict()
    assert flat["pairs"] == 1
    assert flat["limits"]["cosine"] == LIMITS["fp32"].cosine
