"""Triton kernels in Triton's interpreter, which needs a process of its own.

``TRITON_INTERPRET=1 pytest tests/kernels/on_device`` runs the slow cases too.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_kernels_agree_with_their_references_in_the_interpreter(repository: Path) -> None:
    """The fast tests of all kernels pass with the kernels interpreted on the CPU."""
    folder = repository / "tests" / "kernels" / "on_device"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-m",
        "not slow",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        str(folder),
    ]
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        command, check=False, cwd=repository, env=environment, capture_output=True, text=True, timeout=280
    )
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]
    assert " passed" in run.stdout
