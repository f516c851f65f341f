"""Latencies of days in a few kilobytes."""

from __future__ import annotations

import math

__all__ = ["LatencyHistogram"]

_PER_DECADE = 100
_LOWEST_MS = 1e-3
_BINS = 12 * _PER_DECADE


class LatencyHistogram:
    """Counts of durations in logarithmic bins 2.3 % wide, from a microsecond to eleven days."""

    def __init__(self) -> None:
        self._counts = [0] * _BINS
        self.total = 0
        self.largest_ms = 0.0

    def add(self, duration_ms: float) -> None:
        """Count one duration."""
        position = math.log10(max(duration_ms, _LOWEST_MS) / _LOWEST_MS) * _PER_DECADE
        self._counts[min(_BINS - 1, int(position))] += 1
        self.total += 1
        self.largest_ms = max(self.largest_ms, duration_ms)

    def percentile_ms(self, percent: float) -> float | None:
        """A percentile, within 1.2 %; None where nothing was counted.

        Args:
            percent: From 0 to 100.
        """
        if not self.total:
            return None
        wanted, seen = math.ceil(self.total * percent / 100.0), 0
        for number, count in enumerate(self._counts):
            seen += count
            if count and seen >= wanted:
                return min(self.largest_ms, _LOWEST_MS * 10 ** ((number + 0.5) / _PER_DECADE))
        return self.largest_ms

    def summary(self) -> dict[str, float | int | None]:
        """Number, p50, p90, p99 and the largest, in milliseconds."""
        return {
            "count": self.total,
            "p50_ms": self.percentile_ms(50),
            "p90_ms": self.percentile_ms(90),
            "p99_ms": self.percentile_ms(99),
            "max_ms": self.largest_ms if self.total else None,
        }
