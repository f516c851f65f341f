"""Stopping a run between two steps, when asked or when its time is up."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any, Literal

__all__ = ["Reason", "StopRequest"]

Reason = Literal["finished", "time limit", "interrupted"]


class StopRequest:
    """Turns the first Ctrl-C or termination signal, and a time limit, into a request that the training loop looks at.

    A second Ctrl-C interrupts at once. Used as a context manager; handlers are set only from the main thread.

    Args:
        max_minutes: Time limit from entering, or None.
    """

    def __init__(self, max_minutes: float | None = None) -> None:
        self._limit_seconds = None if max_minutes is None else 60 * max_minutes
        self._started = time.monotonic()
        self._signalled = False
        self._previous: dict[signal.Signals, Any] = {}

    @property
    def reason(self) -> Reason | None:
        """Why to stop, or None."""
        if self._signalled:
            return "interrupted"
        if self._limit_seconds is not None and time.monotonic() - self._started >= self._limit_seconds:
            return "time limit"
        return None

    def __enter__(self) -> StopRequest:
        self._started = time.monotonic()
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._signalled and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._signalled = True
