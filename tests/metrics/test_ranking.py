"""Ranks of methods."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgefuse.errors import UsageError
from edgefuse.metrics.ranking import average_ranks, rank_of_ranks, ranks


def test_larger_is_better_unless_the_metric_says_otherwise() -> None:
    """EN ranks downwards, MSE upwards."""
    assert ranks({"a": 1.0, "b": 3.0, "c": 2.0}, "EN") == {"a": 3, "b": 1, "c": 2}
    assert ranks({"a": 1.0, "b": 3.0, "c": 2.0}, "MSE") == {"a": 1, "b": 3, "c": 2}


def test_equal_values_share_the_mean_of_their_places() -> None:
    """Two methods on places 1 and 2 both get 1.5."""
    assert ranks({"a": 2.0, "b": 2.0, "c": 1.0}, "EN") == {"a": 1.5, "b": 1.5, "c": 3}


def test_an_undefined_value_is_last() -> None:
    """A method without a value does not profit from it."""
    assert ranks({"a": math.nan, "b": 1.0, "c": 2.0}, "EN") == {"a": 3, "b": 2, "c": 1}


def test_rank_of_ranks_averages_before_it_ranks() -> None:
    """The method that is second everywhere beats two that are first once and last twice."""
    table = {
        "steady": {"EN": 2.0, "SD": 2.0, "SF": 2.0},
        "one": {"EN": 3.0, "SD": 1.0, "SF": 1.0},
        "two": {"EN": 1.0, "SD": 3.0, "SF": 1.0},
    }
    assert average_ranks(table)["steady"] == pytest.approx((2 + 2 + 1) / 3)
    assert rank_of_ranks(table) == {"steady": 1, "one": 2, "two": 2}


def test_methods_with_different_metrics_cannot_be_ranked() -> None:
    """The error names both."""
    with pytest.raises(UsageError, match="b has EN, a has EN, SD"):
        rank_of_ranks({"a": {"EN": 1.0, "SD": 1.0}, "b": {"EN": 1.0}})


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=8))
def test_ranks_always_sum_to_the_same(values: list[float]) -> None:
    """However many values are equal, n methods share n (n + 1) / 2."""
    places = ranks({str(index): value for index, value in enumerate(values)}, "EN")
    assert sum(places.values()) == pytest.approx(len(values) * (len(values) + 1) / 2)
