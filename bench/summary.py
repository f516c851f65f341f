"""Statistics of repeated timings: what is printed, computed from the raw times that are kept."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Ratio", "Summary", "compare", "percentile", "summarize"]

# Ten standard deviations of a normal distribution that has this median absolute deviation (σ = 1.4826 MAD): jitter of a
# quiet machine stays far inside, a preempted run falls far outside.
_OUTLIER_MADS = 10 * 1.4826

# Below this many runs the 99th percentile is interpolated between the slowest two.
FEW_RUNS = 100


@dataclass(frozen=True)
class Summary:
    """Statistics of one series of timings, in milliseconds.

    Attributes:
        runs: Number of timings.
        p50_ms: Median.
        p90_ms: 90th percentile.
        p99_ms: 99th percentile.
        mean_ms: Mean.
        stdev_ms: Standard deviation of the sample.
        min_ms: Fastest run.
        max_ms: Slowest run.
        spread_ms: Half the distance from the 10th to the 90th percentile: the ± of every table.
        outliers: Runs further from the median than jitter explains.
        drift: Median of the second half over that of the first: above 1 the machine slowed down meanwhile.
    """

    runs: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    mean_ms: float
    stdev_ms: float
    min_ms: float
    max_ms: float
    spread_ms: float
    outliers: int
    drift: float


@dataclass(frozen=True)
class Ratio:
    """How much faster one series is than another.

    Attributes:
        value: Median of the old over median of the new: above 1 the new one is faster.
        spread: Uncertainty of the value, from the spreads of both.
    """

    value: float
    spread: float

    @property
    def is_significant(self) -> bool:
        """Whether the ratio differs from 1 by more than its spread."""
        return abs(self.value - 1.0) > self.spread


def percentile(ordered: Sequence[float], percent: float) -> float:
    """A percentile of ascending values, interpolated linearly between neighbours.

    Args:
        ordered: The values, ascending; at least one.
        percent: From 0 to 100.

    Returns:
        The percentile.
    """
    position = (len(ordered) - 1) * percent / 100.0
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def summarize(times_ms: Sequence[float]) -> Summary:
    """Summarise timings.

    Args:
        times_ms: The raw times in the order in which they were taken.

    Returns:
        Their statistics.

    Raises:
        ValueError: There is none.
    """
    if not times_ms:
        raise ValueError("no timings to summarise")
    ordered = sorted(times_ms)
    median = percentile(ordered, 50)
    deviation = statistics.median(abs(time - median) for time in times_ms)
    half = len(times_ms) // 2
    return Summary(
        runs=len(times_ms),
        p50_ms=median,
        p90_ms=percentile(ordered, 90),
        p99_ms=percentile(ordered, 99),
        mean_ms=statistics.fmean(times_ms),
        stdev_ms=statistics.stdev(times_ms) if len(times_ms) > 1 else 0.0,
        min_ms=ordered[0],
        max_ms=ordered[-1],
        spread_ms=(percentile(ordered, 90) - percentile(ordered, 10)) / 2,
        outliers=sum(abs(time - median) > _OUTLIER_MADS * deviation for time in times_ms) if deviation > 0 else 0,
        drift=statistics.median(times_ms[-half:]) / statistics.median(times_ms[:half]) if half else 1.0,
    )


def compare(old: Summary, new: Summary) -> Ratio:
    """How much faster the new series is, with the uncertainty that follows from both spreads.

    The relative spreads add in quadrature, as for any ratio of two independent quantities.

    Args:
        old: The series to compare with.
        new: The series in question.

    Returns:
        The ratio of the medians.
    """
    value = old.p50_ms / new.p50_ms
    return Ratio(value=value, spread=value * math.hypot(old.spread_ms / old.p50_ms, new.spread_ms / new.p50_ms))
