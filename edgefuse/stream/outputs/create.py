"""From what a user types behind ``--output`` to an output."""

from __future__ import annotations

from pathlib import Path

from edgefuse.pairs import VIDEO_SUFFIXES
from edgefuse.stream.outputs.files import FrameFolder, VideoFile
from edgefuse.stream.outputs.live import Pushed, Window
from edgefuse.stream.outputs.output import Output

__all__ = ["create_output"]

_PUSHED = ("rtsp://", "rtmp://", "udp://", "http://", "srt://")


def create_output(text: str) -> Output:
    """Make an output.

    Args:
        text: ``window``; a video file; a folder for frames; or an ``rtsp://``, ``rtmp://``, ``udp://``, ``srt://`` or ``http://``
            address that ffmpeg pushes to.

    Returns:
        The output.

    Raises:
        UsageError: It is none of these.
        InputError: It cannot be written.
        MissingDependencyError: It needs ffmpeg, or an OpenCV with windows.
    """
    if text == "window":
        return Window()
    if text.lower().startswith(_PUSHED):
        return Pushed(text)
    if Path(text).suffix.lower() in VIDEO_SUFFIXES:
        return VideoFile(text)
    return FrameFolder(text)
