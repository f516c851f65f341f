"""From what a user types behind ``--output`` to an output."""

from __future__ import annotations

import re
import time
from pathlib import Path

from edgefuse.errors import UsageError
from edgefuse.pairs import VIDEO_SUFFIXES
from edgefuse.stream.outputs.files import FrameFolder, VideoFile
from edgefuse.stream.outputs.live import Pipeline, Pushed, Window
from edgefuse.stream.outputs.output import Output
from edgefuse.stream.outputs.zeromq import Published
from edgefuse.stream.uri import redact

__all__ = ["create_output", "dated"]

_FILE_SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,3}")
_PUSHED = ("rtsp://", "rtmp://", "udp://", "http://", "srt://")


def create_output(text: str) -> Output:
    """Make an output.

    Args:
        text: ``window``; a video file; a folder for frames; an ``rtsp://``, ``rtmp://``, ``udp://``, ``srt://`` or
            ``http://`` address that ffmpeg pushes to; ``zmq://HOST:PORT`` or ``zmq+ipc:///path`` for another process;
            ``gst:PIPELINE`` for a GStreamer pipeline with its sink. Files and folders may name the time of the start,
            as in ``drive-%Y%m%d-%H%M%S.mp4``.

    Returns:
        The output.

    Raises:
        UsageError: It is none of these.
        InputError: It cannot be written.
        MissingDependencyError: It needs ffmpeg, GStreamer, pyzmq or an OpenCV with windows.
    """
    if text == "window":
        return Window()
    if text.lower().startswith(_PUSHED):
        return Pushed(text)
    if text.lower().startswith(("zmq:", "zmq+ipc:")):
        return Published(text)
    if text.startswith("gst:"):
        return Pipeline(text.removeprefix("gst:"))
    if "://" in text:
        scheme = redact(text).partition("://")[0]
        raise UsageError(
            f"{scheme}:// is no output: give {', '.join(_PUSHED)}, zmq://, zmq+ipc://, a video or a folder"
        )
    text = dated(text)
    if Path(text).suffix.lower() in VIDEO_SUFFIXES:
        return VideoFile(text)
    if _FILE_SUFFIX.fullmatch(Path(text).suffix) and not text.endswith("/") and not Path(text).is_dir():
        raise UsageError(f"{text}: videos end in .mkv, .mp4, .mov or .avi; for a folder of frames write {text}/")
    return FrameFolder(text)


def dated(path: str) -> str:
    """Put the time of the start into a name, so that a service that is started again writes a file of its own.

    Args:
        path: As for ``strftime``; only ``%Y %m %d %H %M %S`` are replaced.

    Returns:
        The path, in local time.
    """
    return re.sub(r"%[YmdHMS]", lambda found: time.strftime(found[0]), path)
