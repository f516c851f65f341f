"""The threads of the compiled kernels: results do not depend on them, nor on who else asks for them, nor on a fork."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray

from edgefuse.kernels import _native

THREADS = 3


def _gradient(threads: int) -> NDArray[np.float32]:
    """Gradient of a loss of 8 pictures, which is work for several threads."""
    images = np.random.default_rng(0).random((3, 8, 1, 128, 128), dtype=np.float32)
    gradient = np.full_like(images[0], np.nan)
    _native.gradient_loss(
        *images,
        gradient,
        magnitude=1.0,
        squared=False,
        angle=1.0,
        direction=1.0,
        scale_weights=[1.0, 1.0],
        max_magnitude=1.0,
        angle_epsilon=1e-3,
        threads=threads,
    )
    return gradient


def test_calls_at_the_same_time_give_the_same_bits() -> None:
    """The pool serves one of them at a time; the others work alone."""
    alone = _gradient(1)
    with ThreadPoolExecutor(4) as executor:
        for result in executor.map(lambda _: _gradient(THREADS), range(40)):
            np.testing.assert_array_equal(result, alone)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_has_threads_of_its_own() -> None:
    """As the worker of a data loader: the parent's threads are gone there, and asking for them would wait for good."""
    before = _gradient(THREADS)
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # ends a child that waits for threads that are not there
        os._exit(0 if np.array_equal(_gradient(THREADS), before) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    np.testing.assert_array_equal(_gradient(THREADS), before)
