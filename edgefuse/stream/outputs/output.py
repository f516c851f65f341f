"""What every output does, and the thread that feeds it."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import deque

from edgefuse.errors import EdgeFuseError
from edgefuse.stream.fusing import FusedFrame
from edgefuse.stream.uri import redact

__all__ = ["Output", "OutputThread"]

_QUEUE_FRAMES = 4
_CLOSE_SECONDS = 2.0


class Output(ABC):
    """Takes fused pictures in order, from one thread.

    Attributes:
        name: For logs and counters, without credentials.
    """

    name: str

    @abstractmethod
    def write(self, frame: FusedFrame) -> None:
        """Take one picture.

        Args:
            frame: The picture.

        Raises:
            EdgeFuseError: The output cannot go on; it is closed, fusion continues.
        """

    @abstractmethod
    def close(self) -> None:
        """Finish the output. Closing twice does nothing."""


class OutputThread:
    """Feeds an output through a bounded queue.

    Args:
        output: The output, owned from here on.
        every: Wait for a slow output; otherwise its oldest waiting picture is dropped and counted.
    """

    def __init__(self, output: Output, *, every: bool = False) -> None:
        self.name = output.name
        self.written = 0
        self.dropped = 0
        self.error: str | None = None
        self._output, self._every = output, every
        self._queue: deque[FusedFrame] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._feed, name=f"output-{output.name}", daemon=True)
        self._thread.start()

    def offer(self, frame: FusedFrame) -> None:
        """Hand a picture over. After an error of the output this does nothing."""
        with self._changed:
            if self._every:
                self._changed.wait_for(lambda: len(self._queue) < _QUEUE_FRAMES or self._stopped)
            if self._stopped:
                return
            if len(self._queue) >= _QUEUE_FRAMES:
                self._queue.popleft()
                self.dropped += 1
            self._queue.append(frame)
            self._changed.notify_all()

    @property
    def _stopped(self) -> bool:
        return self._closing or self.error is not None

    def _feed(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closing)
                if not self._queue:
                    break
                frame = self._queue.popleft()
                self._changed.notify_all()
            try:
                self._output.write(frame)
                self.written += 1
            except (EdgeFuseError, OSError) as error:
                with self._changed:
                    self.error = redact(str(error))
                    self._queue.clear()
                    self._changed.notify_all()
                break
        self._output.close()

    def close(self) -> None:
        """Write what waits, finish the output, and end. An output that hangs is left behind after two seconds."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(_CLOSE_SECONDS)
        if self._thread.is_alive():
            self.error = self.error or f"{self.name}: it took over {_CLOSE_SECONDS:g} s to finish and was left"
