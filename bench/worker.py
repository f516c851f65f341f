"""The process of one job: ``python -m edgefuse.bench.worker JOB.json RESULT.json``."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgefuse.bench.processes import describe_failure
from edgefuse.manifest import write_atomically

__all__ = ["main"]


def main(job_path: str, result_path: str) -> None:
    """Run one job, pinned to its CPUs, and write what it found or why it failed.

    Args:
        job_path: JSON with the job.
        result_path: Where to write the result.
    """
    job = json.loads(Path(job_path).read_text())
    # Before any library is imported: its thread pool inherits the CPUs.
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, job["cpus"])
    try:
        result = _handler(job["kind"])(job)
    except Exception as error:  # whatever goes wrong in a row is that row's result
        if os.environ.get("EDGEFUSE_DEBUG") == "1":
            raise
        result = {"failed": describe_failure(error)}
    write_atomically(Path(result_path), json.dumps(result).encode())


def _handler(kind: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The function of a job; only what it needs is imported, since that is part of its memory."""
    if kind == "prepare":
        from edgefuse.bench.prepare import prepare

        return prepare
    if kind == "row":
        from edgefuse.bench.row import measure_row

        return measure_row
    if kind == "train":
        from edgefuse.bench.training import measure_training

        return measure_training
    if kind == "roofs":
        from edgefuse.bench.roofs import measure_roofs

        return measure_roofs
    from edgefuse.bench.overhead import measure_overhead

    return measure_overhead


if __name__ == "__main__":
    main(*sys.argv[1:])
