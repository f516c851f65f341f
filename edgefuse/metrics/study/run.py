"""Working through the jobs of a study, in this process or in several."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

import cv2

from edgefuse.errors import EdgeFuseError
from edgefuse.metrics.corruption import Corruption
from edgefuse.metrics.study.files import Item, Method, find_fused
from edgefuse.metrics.study.score import Job, Request, Row, score

__all__ = ["default_workers", "plan", "run"]

_JOBS_WORTH_A_WORKER = 8  # a worker takes as long to start as about this many 640x480 images to score


def plan(
    methods: Sequence[Method], items: Sequence[Item], disturbances: Sequence[tuple[Corruption, ...]] = ()
) -> list[Job]:
    """List the work of a study.

    Args:
        methods: What fuses.
        items: The scenes.
        disturbances: Each is applied to the inputs of every model, beside the clean ones.

    Returns:
        The jobs, method by method; one without its fused image gives a row with an error.

    Raises:
        InputError: A folder of fused images is missing or holds none of the scenes.
    """
    jobs: list[Job] = []
    for method in methods:
        if method.model is not None:
            jobs += [Job(method, item, None, chosen) for chosen in ((), *disturbances) for item in items]
        else:
            fused = find_fused(method, items)
            jobs += [Job(method, item, fused.get(item.name)) for item in items]
    return jobs


def default_workers(jobs: Sequence[Job]) -> int:
    """How many processes a study is worth: one where a model runs, since its runtime already uses every core."""
    if any(job.method.model is not None for job in jobs):
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, len(jobs) // _JOBS_WORTH_A_WORKER))


def run(jobs: Sequence[Job], request: Request, *, workers: int = 1) -> Iterator[Row]:
    """Score the jobs, scene by scene, so that an interruption leaves every method with the same scenes.

    Args:
        jobs: What to do.
        request: What to compute of each.
        workers: Processes; with 1 the work is done in this one.

    Yields:
        Rows in the order in which they are finished. Closing the iterator stops the workers.

    Raises:
        EdgeFuseError: A worker process died.
    """
    place = {name: index for index, name in enumerate(dict.fromkeys(job.item.name for job in jobs))}
    jobs = sorted(jobs, key=lambda job: place[job.item.name])
    if workers <= 1:
        yield from (score(job, request) for job in jobs)
        return
    # Fresh processes: a fork would copy the threads' locks of OpenCV and of inference runtimes.
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_start_worker)
    try:
        for future in as_completed([pool.submit(score, job, request) for job in jobs]):
            yield future.result()
    except BrokenProcessPool as error:
        raise EdgeFuseError("a worker process died, perhaps for want of memory: try fewer --workers") from error
    finally:
        # Waiting keeps the pool alive until it has cancelled what is queued; one that is collected first runs it all.
        pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    """Each worker is one thread and leaves Ctrl-C to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
