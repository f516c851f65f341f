"""Running one job in a fresh process, so that its memory, threads and failures are its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from edgefuse.errors import EdgeFuseError

__all__ = ["JobError", "describe_failure", "is_out_of_memory", "run_job"]

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_OUT_OF_MEMORY = re.compile(
    r"out of memory|can't allocate|cannot allocate|failed to allocate|bad_alloc|bad allocation|unable to allocate", re.I
)
_LONGEST_REASON = 500


class JobError(EdgeFuseError):
    """A job that gave no result; its text is the reason."""


def run_job(
    kind: str, job: dict[str, Any], *, threads: int, cpus: tuple[int, ...], timeout_seconds: float | None = None
) -> dict[str, Any]:
    """Run a job of :mod:`edgefuse.bench.worker` in a fresh process.

    Args:
        kind: Name of the job.
        job: Its arguments, as JSON.
        threads: Threads of one operation on the CPU.
        cpus: CPUs to stay on.
        timeout_seconds: Longest time it may take, or None.

    Returns:
        Its result.

    Raises:
        JobError: It failed, was killed or took too long.
    """
    environment = {**os.environ, **dict.fromkeys(_THREAD_VARIABLES, str(threads)), "PYTHONSAFEPATH": "1"}
    with tempfile.TemporaryDirectory(prefix="edgefuse-bench-") as folder:
        job_path, result_path, log_path = (Path(folder) / name for name in ("job.json", "result.json", "log.txt"))
        job_path.write_text(json.dumps({**job, "kind": kind, "threads": threads, "cpus": cpus}))
        command = [sys.executable, "-m", "edgefuse.bench.worker", str(job_path), str(result_path)]
        with log_path.open("wb") as log:
            try:
                status = subprocess.run(
                    command, stdout=log, stderr=log, env=environment, timeout=timeout_seconds, check=False
                ).returncode
            except subprocess.TimeoutExpired as error:
                raise JobError(f"no result after {timeout_seconds:g} s") from error
        if not result_path.is_file():
            raise JobError(_describe_death(status, log_path.read_text(errors="replace")))
        result: dict[str, Any] = json.loads(result_path.read_text())
    if "failed" in result and result["failed"] is not None:
        raise JobError(str(result["failed"]))
    return result


def describe_failure(error: BaseException) -> str:
    """One line that says why a job failed.

    Args:
        error: What was raised.

    Returns:
        The reason; running out of memory is said in those words, whatever library noticed it.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = (lines[0] if lines else "")[:_LONGEST_REASON]
    if is_out_of_memory(error):
        return f"out of memory: {text}" if text else "out of memory"
    if isinstance(error, EdgeFuseError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of any library says that memory ran out."""
    return isinstance(error, MemoryError) or bool(_OUT_OF_MEMORY.search(str(error)))


def _describe_death(status: int, log: str) -> str:
    """Say why a process ended without a result."""
    if status < 0:
        name = signal.Signals(-status).name
        hint = ", as the system does when memory runs out" if name == "SIGKILL" else ""
        return f"its process was killed by {name}{hint}"
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return f"its process ended with status {status}: {lines[-1][:_LONGEST_REASON] if lines else 'no output'}"
