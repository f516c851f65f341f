"""What this machine can do at best: single-precision matrix products and copies, the two roofs over every network."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

__all__ = ["Roofs", "measure_roofs"]

_MATRIX_SIDE = 1024
_COPY_BYTES = 256 << 20
_ROUNDS = 8


@dataclass(frozen=True)
class Roofs:
    """The fastest that was seen on the CPU, with the threads that rows have.

    Attributes:
        flops_per_second: Operations of a large single-precision matrix product.
        bytes_per_second: Bytes read and written while copying far more than the caches hold.
    """

    flops_per_second: float
    bytes_per_second: float


def measure_roofs(job: dict[str, Any]) -> dict[str, Any]:
    """Measure both roofs, in a process that is pinned like a row's.

    Args:
        job: ``threads``.

    Returns:
        :class:`Roofs` as JSON.
    """
    random = np.random.default_rng(0)
    left, right = (random.random((_MATRIX_SIDE, _MATRIX_SIDE), dtype=np.float32) for _ in range(2))
    product_seconds = _fastest(lambda: np.matmul(left, right))
    threads = int(job["threads"])
    source = np.ones(_COPY_BYTES // 4 // threads * threads, np.float32)
    target = np.zeros_like(source)
    parts = list(zip(np.split(target, threads), np.split(source, threads), strict=True))
    with ThreadPoolExecutor(threads) as pool:
        copy_seconds = _fastest(lambda: list(pool.map(lambda part: np.copyto(*part), parts)))
    roofs = Roofs(
        flops_per_second=2 * _MATRIX_SIDE**3 / product_seconds, bytes_per_second=2 * source.nbytes / copy_seconds
    )
    return asdict(roofs)


def _fastest(call: Callable[[], object]) -> float:
    """Seconds of the fastest of a few calls: a roof is the best case."""
    seconds = []
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds)
