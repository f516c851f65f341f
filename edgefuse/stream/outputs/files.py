"""Fused pictures as a video in segments, or as a folder of frames; a disk that fills up ends them in good order."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import cv2
import numpy as np

from edgefuse.errors import InputError, UsageError
from edgefuse.images import write_image
from edgefuse.stream.fusing import FusedFrame
from edgefuse.stream.outputs.output import Output

__all__ = ["RESERVE_BYTES", "FrameFolder", "VideoFile", "check_space"]

RESERVE_BYTES = 64 << 20
"""Recording stops while this much is left: enough to finish the file, and for the rest of the system."""

_SEGMENT_SECONDS = 60.0
_LARGEST_RATE_HZ = 1000.0
_CODECS = {".mp4": "mp4v", ".m4v": "mp4v", ".mov": "mp4v", ".mkv": "FFV1", ".avi": "MJPG"}


def check_space(folder: Path, *, reserve_bytes: int = RESERVE_BYTES) -> None:
    """Refuse to write where the disk is nearly full.

    Args:
        folder: Where is to be written.
        reserve_bytes: What must be left.

    Raises:
        InputError: Less is left.
    """
    free = shutil.disk_usage(folder).free
    if free < reserve_bytes:
        raise InputError(f"{folder}: only {free >> 20} MiB are left on this disk; recording stops, fusion goes on")


class VideoFile(Output):
    """A video, in segments of a minute: ``drive.mp4``, ``drive.0001.mp4``, … A kill loses the last one at most.

    Args:
        path: First file; its suffix chooses the codec (.mkv is lossless).
        segment_seconds: Length of a segment.
        reserve_bytes: See ``RESERVE_BYTES``.

    Raises:
        UsageError: The suffix is no video's.
        InputError: The file is there already, or its folder cannot be made.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        segment_seconds: float = _SEGMENT_SECONDS,
        reserve_bytes: int = RESERVE_BYTES,
    ) -> None:
        self._path = Path(path)
        if self._path.suffix.lower() not in _CODECS:
            raise UsageError(f"{path}: write a video as {', '.join(_CODECS)}")
        if self._path.exists():
            raise InputError(f"{path} is there already: give another --output, or move it away")
        self.name = str(self._path)
        self._segment_seconds, self._reserve = segment_seconds, reserve_bytes
        self._writer: cv2.VideoWriter | None = None
        self._segment = 0
        self._segment_began = 0.0
        self._size = (0, 0)
        _make_folder(self._path.parent)
        check_space(self._path.parent, reserve_bytes=reserve_bytes)

    def write(self, frame: FusedFrame) -> None:
        """Append a picture; a picture of another size begins a segment."""
        check_space(self._path.parent, reserve_bytes=self._reserve)
        picture = frame.fused if frame.fused.ndim == 3 else np.asarray(cv2.cvtColor(frame.fused, cv2.COLOR_GRAY2BGR))
        size = picture.shape[1], picture.shape[0]
        now = frame.pair.vis.captured_seconds
        if self._writer is None or size != self._size or now - self._segment_began >= self._segment_seconds:
            self.close()
            self._writer = self._open(size, frame.rate_hz)
            self._size, self._segment_began = size, now
        self._writer.write(picture)

    def _open(self, size: tuple[int, int], rate_hz: float) -> cv2.VideoWriter:
        path = self._path if self._segment == 0 else self._path.with_suffix(f".{self._segment:04d}{self._path.suffix}")
        self._segment += 1
        fourcc = cv2.VideoWriter.fourcc(*_CODECS[self._path.suffix.lower()])
        # MPEG-4 takes no time base finer than 1/65535 s: a measured rate with all its digits is refused at random.
        rate_hz = min(max(round(rate_hz, 1), 1.0), _LARGEST_RATE_HZ)
        writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, fourcc, rate_hz, size)
        if not writer.isOpened():
            raise InputError(f"{path}: cannot write a video there")
        return writer

    def close(self) -> None:
        """Finish the segment."""
        if self._writer is not None:
            self._writer.release()
            self._writer = None


class FrameFolder(Output):
    """Every picture as ``000000.png`` and so on.

    Args:
        folder: Made where it is missing; must be empty of frames.
        reserve_bytes: See ``RESERVE_BYTES``.

    Raises:
        InputError: It holds frames already, or cannot be made.
    """

    def __init__(self, folder: str | os.PathLike[str], *, reserve_bytes: int = RESERVE_BYTES) -> None:
        self._folder, self._reserve = Path(folder), reserve_bytes
        self.name = str(self._folder)
        _make_folder(self._folder)
        if any(self._folder.glob("*.png")):
            raise InputError(f"{folder} holds frames already: give another --output, or move them away")

    def write(self, frame: FusedFrame) -> None:
        """Write one file."""
        check_space(self._folder, reserve_bytes=self._reserve)
        write_image(self._folder / f"{frame.number:06d}.png", frame.fused)

    def close(self) -> None:
        """Nothing is open."""


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot make this folder ({error.strerror})") from error
