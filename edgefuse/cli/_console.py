"""What every command shares: logs on stderr, JSON on stdout, progress bars, and errors as one line."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

__all__ = ["SCHEMA_VERSION", "emit_json", "log", "out", "progress"]

SCHEMA_VERSION = 1
"""Version of the JSON that commands print; raised when a field changes meaning or goes away."""

_stderr = Console(stderr=True, highlight=False, soft_wrap=True)
_stdout = Console(highlight=False, soft_wrap=True)


def emit_json(command: str, payload: dict[str, Any]) -> None:
    """Print the one JSON document of a command on stdout.

    Args:
        command: Name of the command, as typed.
        payload: Its result; NaN and infinity become null, since JSON has neither.
    """
    document = {"schema_version": SCHEMA_VERSION, "command": command, **payload}
    sys.stdout.write(json.dumps(_finite(document), indent=2, default=str) + "\n")
    sys.stdout.flush()


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def log(message: object, *, style: str | None = None) -> None:
    """Print a line for a person on stderr, so that stdout stays clean for results.

    Args:
        message: Text, without markup: square brackets are shown as they are. Rich renderables are rendered.
        style: Rich style of the whole line, as in ``"yellow"``.
    """
    _stderr.print(message, style=style, markup=False)


def out(message: object, *, style: str | None = None) -> None:
    """Print a line or a rich renderable of a command's result on stdout."""
    _stdout.print(message, style=style, markup=False)


@contextmanager
def progress(description: str, total: int | None) -> Iterator[Callable[..., None]]:
    """Show a progress bar on stderr while work goes on; nothing is drawn where stderr is no terminal.

    Args:
        description: What is being done, as in ``"Fusing"``.
        total: Number of steps, or None where it is not known.

    Yields:
        ``advance(steps=1, description=None)``.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=_stderr, transient=True, disable=not _stderr.is_terminal) as bar:
        task = bar.add_task(description, total=total)

        def advance(steps: int = 1, description: str | None = None) -> None:
            bar.update(task, advance=steps, description=description)

        yield advance
