"""Rank of ranks: one order of methods from many metrics, as RPFNet's Tables 1 and 2 have it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from edgefuse.errors import UsageError
from edgefuse.metrics.conventions import LOWER_IS_BETTER

__all__ = ["average_ranks", "is_better", "rank_of_ranks", "ranks"]


def is_better(metric: str, one: float, other: float) -> bool:
    """Whether one value of a metric beats another one; an undefined value beats nothing and loses to any."""
    if math.isnan(one) or math.isnan(other):
        return not math.isnan(one) and math.isnan(other)
    return one < other if metric in LOWER_IS_BETTER else one > other


def ranks(values: Mapping[str, float], metric: str) -> dict[str, float]:
    """Rank methods by one metric.

    Args:
        values: One value a method.
        metric: Name of the metric, which says whether larger or smaller is better.

    Returns:
        1 for the best; methods of equal value share the mean of their places.
    """
    places = {}
    for method, value in values.items():
        ahead = sum(is_better(metric, other, value) for other in values.values())
        behind = sum(is_better(metric, value, other) for other in values.values())
        places[method] = (ahead + 1 + len(values) - behind) / 2
    return places


def average_ranks(table: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Mean over the metrics of each method's rank.

    Args:
        table: Methods to metrics to values; every method has the same metrics.

    Returns:
        One mean rank a method; lower is better.

    Raises:
        UsageError: The methods do not have the same metrics.
    """
    methods = list(table)
    metrics: Sequence[str] = list(table[methods[0]]) if methods else []
    for method in methods:
        if set(table[method]) != set(metrics):
            raise UsageError(f"{method} has {', '.join(table[method])}, {methods[0]} has {', '.join(metrics)}")
    by_metric = [ranks({method: table[method][metric] for method in methods}, metric) for metric in metrics]
    return {method: sum(places[method] for places in by_metric) / max(len(metrics), 1) for method in methods}


def rank_of_ranks(table: Mapping[str, Mapping[str, float]]) -> dict[str, int]:
    """RoR: rank the methods by each metric, average the ranks of a method, rank the averages.

    Args:
        table: Methods to metrics to values; every method has the same metrics.

    Returns:
        1 for the best; methods of equal average share the better place.

    Raises:
        UsageError: The methods do not have the same metrics.
    """
    averages = average_ranks(table)
    # Averages are sums of halves over one denominator: values closer than 1e-9 are equal.
    return {
        method: 1 + sum(other < average - 1e-9 for other in averages.values()) for method, average in averages.items()
    }
