"""What every output does, and the thread that feeds it."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import deque
from typing import ClassVar

from edgefuse.errors import EdgeFuseError
from edgefuse.stream.fusing import FusedFrame
from edgefuse.stream.uri import redact

__all__ = ["Output", "OutputThread"]

_QUEUE_FRAMES = 4
_QUEUE_FRAMES_EVERY = 30
_LOOK_SECONDS = 0.1
_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 30.0
_CLOSE_SECONDS = 2.0
_ABORT_SECONDS = 0.5


class Output(ABC):
    """Takes fused pictures in order, from one thread.

    Attributes:
        name: For logs and counters, without credentials.
        comes_back: Whether it is worth trying again after an error, after ``close``.
    """

    name: str
    comes_back: ClassVar[bool] = False

    @abstractmethod
    def write(self, frame: FusedFrame) -> None:
        """Take one picture.

        Args:
            frame: The picture.

        Raises:
            EdgeFuseError: The output cannot go on; it is closed, fusion continues.
        """

    def abort(self) -> None:  # noqa: B027  # most outputs have nothing that could be cut off
        """Make a ``write`` that hangs in another thread return, where that can be done."""

    @abstractmethod
    def close(self) -> None:
        """Finish the output; a ``write`` after it begins anew where ``comes_back``. Closing twice does nothing."""


class OutputThread:
    """Feeds an output through a bounded queue.

    An output that takes no more, or that fails, costs its own pictures only; they are counted. One that may come back,
    as a network stream may, is tried again with growing pauses.

    Args:
        output: The output, owned from here on.
        every: Let more pictures wait before the oldest is dropped.
        wait_until: Wait for a slow output instead of dropping, for recorded sources, until this is set; None never
            waits.
    """

    def __init__(self, output: Output, *, every: bool = False, wait_until: threading.Event | None = None) -> None:
        self.name = output.name
        self.written = 0
        self.dropped = 0
        self.error: str | None = None
        self._output, self._wait_until = output, wait_until
        self._room = _QUEUE_FRAMES_EVERY if every else _QUEUE_FRAMES
        self._queue: deque[FusedFrame] = deque()
        self._changed = threading.Condition()
        self._closing = self._ended = False
        self._thread = threading.Thread(target=self._feed, name=f"output-{output.name}", daemon=True)
        self._thread.start()

    def offer(self, frame: FusedFrame) -> None:
        """Hand a picture over. After an error for good this does nothing."""
        with self._changed:
            while self._must_wait():
                self._changed.wait(_LOOK_SECONDS)
            if self._closing or self._ended:
                return
            if len(self._queue) >= self._room:
                self._queue.popleft()
                self.dropped += 1
            self._queue.append(frame)
            self._changed.notify_all()

    def _must_wait(self) -> bool:
        waiting = self._wait_until is not None and not self._wait_until.is_set() and self.error is None
        return waiting and not self._closing and not self._ended and len(self._queue) >= self._room

    def _feed(self) -> None:
        pause_seconds = _FIRST_PAUSE_SECONDS
        while (frame := self._next()) is not None:
            try:
                self._output.write(frame)
                self.written += 1
                self.error, pause_seconds = None, _FIRST_PAUSE_SECONDS
            except (EdgeFuseError, OSError) as error:
                self._note(error)
                if not self._output.comes_back:
                    break
                self._output.close()
                with self._changed:
                    self._changed.wait_for(lambda: self._closing, pause_seconds)
                pause_seconds = min(2 * pause_seconds, _LONGEST_PAUSE_SECONDS)
        with self._changed:
            self._ended = True
            self.dropped += len(self._queue)
            self._queue.clear()
            self._changed.notify_all()
        try:
            self._output.close()
        except (EdgeFuseError, OSError) as error:
            self._note(error)

    def _next(self) -> FusedFrame | None:
        """The next picture, or None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closing)
            # What still waits is written at the end, but not to an output that does not work.
            if not self._queue or (self._closing and self.error is not None):
                return None
            frame = self._queue.popleft()
            self._changed.notify_all()
            return frame

    def _note(self, error: Exception) -> None:
        with self._changed:
            self.error = redact(str(error))
            self.dropped += 1
            self._changed.notify_all()

    def close(self) -> None:
        """Write what waits, finish the output, and end. An output that hangs is left behind after two seconds."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(_CLOSE_SECONDS)
        if self._thread.is_alive():
            self._output.abort()
            self._thread.join(_ABORT_SECONDS)
            self.error = f"{self.name}: it took over {_CLOSE_SECONDS:g} s to finish and was left"
