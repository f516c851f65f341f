"""What the harness itself takes: a network that does nothing, timed the way every row is."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgefuse.bench.measure import Budget, time_calls
from edgefuse.bench.record import Series
from edgefuse.runtime import Runner

__all__ = ["measure_overhead"]


class _NoOpRunner(Runner):
    """A network that hands out one finished output: what remains of its latency is the harness."""

    name = "no-op"

    def __init__(self, output: NDArray[np.float32]) -> None:
        self._output = output

    def activate(self) -> None:
        """Nothing to load."""

    def infer(self, ir: NDArray[np.float32], vis: NDArray[np.float32]) -> NDArray[np.float32]:  # noqa: ARG002
        """Return the output."""
        return self._output

    def deactivate(self) -> None:
        """Nothing to free."""


def measure_overhead(document: dict[str, Any]) -> dict[str, Any]:
    """Time a network that does nothing, the way every row is timed.

    Args:
        document: ``budget``, as JSON.

    Returns:
        The series, as JSON.
    """
    output = np.zeros((1, 1, 8, 8), np.float32)
    with _NoOpRunner(output) as runner:
        timing = time_calls(lambda: runner.infer(output, output), Budget(**document["budget"]))
    return {"overhead": asdict(Series.of(timing))}
