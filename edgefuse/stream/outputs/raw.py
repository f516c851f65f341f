"""Both streams as they came, lossless and with their times."""

from __future__ import annotations

import json
import os
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path

import cv2

from edgefuse.errors import InputError
from edgefuse.stream.frame import Frame
from edgefuse.stream.outputs.files import RESERVE_BYTES, check_space
from edgefuse.stream.recording import FORMAT_VERSION, INDEX

__all__ = ["RawRecorder"]

_QUEUE_FRAMES = 32
_PNG_LEVEL = 1
_CLOSE_SECONDS = 1.0


class RawRecorder:
    """Writes every frame of both cameras as PNG, and its times as a line of ``frames.jsonl``.

    A line is written after its picture is whole, so a kill at any point leaves a recording that can be replayed.

    Args:
        folder: A new or empty folder.
        reserve_bytes: Recording stops while less than this is left on the disk.

    Raises:
        InputError: It holds a recording already, or cannot be made.
    """

    def __init__(self, folder: str | os.PathLike[str], *, reserve_bytes: int = RESERVE_BYTES) -> None:
        self._folder, self._reserve = Path(folder), reserve_bytes
        self.name = f"raw:{folder}"
        self.written = 0
        self.dropped = 0
        self.error: str | None = None
        try:
            for role in ("ir", "vis"):
                (self._folder / role).mkdir(parents=True, exist_ok=True)
            if (self._folder / INDEX).exists():
                raise InputError(f"{folder} holds a recording already: give another folder")
            self._index = (self._folder / INDEX).open("x", encoding="utf-8")
        except OSError as error:
            raise InputError(f"{folder}: cannot record there ({error.strerror})") from error
        self._queue: deque[Frame] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._write_all, name="raw-recorder", daemon=True)
        self._thread.start()

    def offer(self, frame: Frame) -> None:
        """Take a frame, from any thread; one that finds the queue full is dropped and counted."""
        with self._changed:
            if self._closing or self.error is not None:
                return
            if len(self._queue) >= _QUEUE_FRAMES:
                self.dropped += 1
                return
            self._queue.append(frame)
            self._changed.notify_all()

    def _write_all(self) -> None:
        try:
            while (frame := self._next()) is not None:
                self._write(frame)
                self.written += 1
        except (InputError, OSError) as error:
            with self._changed:
                self.error = f"{self.name}: {error}"
                self.dropped += 1 + len(self._queue)
                self._queue.clear()
        with suppress(OSError):  # closing writes what is left, and a full disk takes nothing
            self._index.close()

    def _next(self) -> Frame | None:
        """The next frame, or None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closing)
            return self._queue.popleft() if self._queue else None

    def _write(self, frame: Frame) -> None:
        check_space(self._folder, reserve_bytes=self._reserve)
        file = f"{frame.role}/{frame.sequence:08d}.png"
        encoded, data = cv2.imencode(".png", frame.image, [cv2.IMWRITE_PNG_COMPRESSION, _PNG_LEVEL])
        if not encoded:
            raise InputError(f"cannot encode a frame of {frame.image.dtype} {frame.image.shape}")
        (self._folder / file).write_bytes(data.tobytes())
        times = {
            "pts_seconds": frame.pts_seconds,
            "captured_seconds": frame.captured_seconds,
            "changed_seconds": frame.changed_seconds,
            "offset_seconds": frame.offset_seconds,
        }
        line = {"version": FORMAT_VERSION, "role": frame.role, "sequence": frame.sequence, "file": file, **times}
        self._index.write(json.dumps(line) + "\n")
        self._index.flush()

    def close(self) -> None:
        """Write what waits and end; what a slow disk does not take in time is dropped. Closing twice does nothing."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(_CLOSE_SECONDS)
        with self._changed:
            self.dropped += len(self._queue)
            self._queue.clear()
        self._thread.join(_CLOSE_SECONDS)
