"""Statistics of timings, held against numpy and the standard library."""

from __future__ import annotations

import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgefuse.bench.summary import compare, percentile, summarize

times = st.lists(st.floats(min_value=1e-3, max_value=1e4), min_size=1, max_size=60)


@given(times, st.floats(min_value=0, max_value=100))
def test_a_percentile_is_numpys(values: list[float], percent: float) -> None:
    """Linear interpolation between neighbours, as numpy's default."""
    assert percentile(sorted(values), percent) == pytest.approx(float(np.percentile(values, percent)), rel=1e-9)


@given(times)
def test_a_summary_is_consistent(values: list[float]) -> None:
    """Order statistics are in order, and mean and deviation are the standard library's."""
    summary = summarize(values)
    order = [summary.min_ms, summary.p50_ms, summary.p90_ms, summary.p99_ms, summary.max_ms]
    assert order == sorted(order)
    assert summary.runs == len(values)
    assert summary.mean_ms == pytest.approx(statistics.fmean(values))
    assert summary.stdev_ms == pytest.approx(np.std(values, ddof=1) if len(values) > 1 else 0.0, abs=1e-9)
    assert summary.spread_ms >= 0.0


def test_jitter_is_no_outlier_and_a_stall_is() -> None:
    """A run ten times as long as the others stands out; a percent of jitter does not."""
    jitter = [10.0 + 0.1 * (index % 3) for index in range(30)]
    assert summarize(jitter).outliers == 0
    assert summarize([*jitter, 100.0]).outliers == 1


def test_equal_times_have_no_outliers() -> None:
    """Times without any deviation cannot tell what is far."""
    assert summarize([5.0] * 20).outliers == 0


def test_drift_compares_the_halves() -> None:
    """Runs that become twice as slow half-way have a drift of 2."""
    assert summarize([1.0] * 10 + [2.0] * 10).drift == 2.0
    assert summarize([3.0]).drift == 1.0


def test_no_times_have_no_summary() -> None:
    """An empty series is an error, never NaN."""
    with pytest.raises(ValueError, match="no timings"):
        summarize([])


def test_a_ratio_carries_both_spreads() -> None:
    """Twice as fast, with a tenth of relative spread on each side: 2 ± 2·√0.02."""
    old = summarize([20.0] * 5 + [18.0] * 5 + [22.0] * 5)
    new = summarize([10.0] * 5 + [9.0] * 5 + [11.0] * 5)
    assert old.spread_ms / old.p50_ms == pytest.approx(0.1)
    ratio = compare(old, new)
    assert ratio.value == pytest.approx(2.0)
    assert ratio.spread == pytest.approx(2.0 * 0.02**0.5)
    assert ratio.is_significant


def test_a_difference_inside_the_spread_is_not_significant() -> None:
    """Two noisy series with medians 1 % apart cannot be told apart."""
    old = summarize([9.0, 10.0, 11.0])
    new = summarize([9.1, 10.1, 11.1])
    assert not compare(old, new).is_significant
