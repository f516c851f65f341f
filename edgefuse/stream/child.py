"""Programs that run beside a stream: they end with the process that started them, however that one ends."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from typing import IO

__all__ = ["end_child", "start_child"]


def start_child(
    arguments: Sequence[str], *, stdin: int = subprocess.DEVNULL, stdout: int = subprocess.DEVNULL, stderr: IO[bytes]
) -> subprocess.Popen[bytes]:
    """Start a program.

    Linux kills it when the thread that started it ends, also at a kill -9, through ``setpriv`` of util-linux. Where
    that is missing, it ends at the end of its input or output.

    Args:
        arguments: Program and arguments.
        stdin: As for ``subprocess.Popen``.
        stdout: As for ``subprocess.Popen``.
        stderr: A file: nobody reads a pipe of it, which could fill up.

    Returns:
        The process, in a session of its own: a Ctrl-C is for us to judge.
    """
    with_parent = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
    return subprocess.Popen(
        [*with_parent, *arguments], stdin=stdin, stdout=stdout, stderr=stderr, bufsize=0, start_new_session=True
    )


def end_child(process: subprocess.Popen[bytes], *, patience_seconds: float) -> None:
    """Close a program's pipes and wait for its end; one that takes longer is killed.

    Args:
        process: What :func:`start_child` started.
        patience_seconds: How long it may take.
    """
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()  # unbuffered: nothing is written here that could fail
    try:
        process.wait(patience_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
