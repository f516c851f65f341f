"""Both streams as they came, lossless and with their times, and reading them again."""

from __future__ import annotations

import json
import os
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import cv2

from edgefuse.errors import InputError
from edgefuse.images import read_ir, read_vis
from edgefuse.stream.frame import Frame, Role
from edgefuse.stream.outputs.files import check_space

__all__ = ["RawRecorder", "read_recording"]

_INDEX = "frames.jsonl"
_FORMAT_VERSION = 1
_QUEUE_FRAMES = 32
_PNG_LEVEL = 1


class RawRecorder:
    """Writes every frame of both cameras as PNG, and its times as a line of ``frames.jsonl``.

    A line is written after its picture is whole, so a kill at any point leaves a recording that can be replayed.

    Args:
        folder: A new or empty folder.

    Raises:
        InputError: It holds a recording already, or cannot be made.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)
        self.name = f"raw:{folder}"
        self.written = 0
        self.dropped = 0
        self.error: str | None = None
        try:
            for role in ("ir", "vis"):
                (self._folder / role).mkdir(parents=True, exist_ok=True)
            if (self._folder / _INDEX).exists():
                raise InputError(f"{folder} holds a recording already: give another folder")
            self._index = (self._folder / _INDEX).open("x", encoding="utf-8")
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
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closing)
                if not self._queue:
                    return
                frame = self._queue.popleft()
            try:
                self._write(frame)
                self.written += 1
            except (InputError, OSError) as error:
                self.error = f"{self.name}: {error}"
                return

    def _write(self, frame: Frame) -> None:
        check_space(self._folder)
        file = f"{frame.role}/{frame.sequence:08d}.png"
        encoded, data = cv2.imencode(".png", frame.image, [cv2.IMWRITE_PNG_COMPRESSION, _PNG_LEVEL])
        if not encoded:
            raise InputError(f"cannot encode a frame of {frame.image.dtype} {frame.image.shape}")
        (self._folder / file).write_bytes(data.tobytes())
        times = {
            "pts_seconds": frame.pts_seconds,
            "captured_seconds": frame.captured_seconds,
            "changed_seconds": frame.changed_seconds,
        }
        line = {"version": _FORMAT_VERSION, "role": frame.role, "sequence": frame.sequence, "file": file, **times}
        self._index.write(json.dumps(line) + "\n")
        self._index.flush()

    def close(self) -> None:
        """Write what waits and end. Closing twice does nothing."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(5.0)
        self._index.close()


def read_recording(folder: str | os.PathLike[str], role: Role) -> Iterator[Frame]:
    """The frames of one camera, as they were captured.

    Args:
        folder: What ``RawRecorder`` wrote.
        role: Which camera.

    Returns:
        Frames in order of capture; pictures are read as they are asked for.

    Raises:
        InputError: No recording is there, or a line or picture of it is damaged. A last line that was cut off
            is passed over.
    """
    path = Path(folder) / _INDEX
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{folder}: no recording of edgefuse stream ({_INDEX} is missing or damaged)") from error
    entries = [
        entry for number, line in enumerate(lines) if (entry := _entry(path, lines, number, line))["role"] == role
    ]
    for entry in sorted(entries, key=lambda item: float(item["captured_seconds"])):
        file = Path(folder) / role / Path(str(entry["file"])).name
        image = read_ir(file) if role == "ir" else read_vis(file)
        pts = entry["pts_seconds"]
        yield Frame(
            role,
            image,
            int(entry["sequence"]),
            None if pts is None else float(pts),
            float(entry["captured_seconds"]),
            float(entry["changed_seconds"]),
        )


def _entry(path: Path, lines: list[str], number: int, line: str) -> dict[str, Any]:
    try:
        entry = cast("dict[str, Any]", json.loads(line))
        if entry["version"] != _FORMAT_VERSION:
            raise InputError(
                f"{path}: version {entry['version']} of a recording; this edgefuse reads {_FORMAT_VERSION}"
            )
        float(entry["captured_seconds"]), float(entry["changed_seconds"]), int(entry["sequence"]), entry["file"]
        return {"pts_seconds": None, **entry}
    except (ValueError, KeyError, TypeError) as error:
        if number == len(lines) - 1:
            return {"role": None}
        raise InputError(f"{path}, line {number + 1}: damaged") from error
