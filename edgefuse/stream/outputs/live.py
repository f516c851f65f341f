"""Fused pictures for eyes elsewhere: a window, a stream that ffmpeg sends, a GStreamer pipeline."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from abc import abstractmethod
from typing import IO, ClassVar
from urllib.parse import urlsplit

import cv2
import numpy as np
from numpy.typing import NDArray

from edgefuse.errors import InputError, MissingDependencyError
from edgefuse.stream.child import end_child, start_child
from edgefuse.stream.fusing import FusedFrame
from edgefuse.stream.gstreamer import launch
from edgefuse.stream.outputs.output import Output
from edgefuse.stream.uri import redact

__all__ = ["Pipeline", "Pushed", "Window"]

_FORMATS = {"rtsp": "rtsp", "rtmp": "flv", "udp": "mpegts", "http": "mpegts", "srt": "mpegts"}
_END_SECONDS = 1.0
_LINE_BYTES = 4
"""GStreamer pads the lines of a picture to multiples of this."""


class Window(Output):
    """A window on this machine.

    Raises:
        MissingDependencyError: This OpenCV has none.
    """

    name = "window"

    def __init__(self) -> None:
        gui = [line for line in cv2.getBuildInformation().splitlines() if line.strip().startswith("GUI:")]
        if not gui or gui[0].split(":")[1].strip() in ("", "NONE"):
            raise MissingDependencyError(
                "this OpenCV has no windows: use --preview, or replace opencv-python-headless by opencv-python"
            )

    def write(self, frame: FusedFrame) -> None:
        """Show a picture."""
        cv2.imshow("edgefuse", frame.fused)
        cv2.waitKey(1)

    def close(self) -> None:
        """Close the window."""
        cv2.destroyAllWindows()


class _Piped(Output):
    """Pictures through the standard input of a program."""

    comes_back = True
    _program: ClassVar[str]

    def __init__(self, name: str) -> None:
        self.name = name
        self._process: subprocess.Popen[bytes] | None = None
        self._messages: IO[bytes] | None = None
        self._shape: tuple[int, ...] = ()

    @abstractmethod
    def _command(self, shape: tuple[int, ...], rate_hz: float) -> list[str]:
        """The program with its arguments."""

    def _bytes(self, picture: NDArray[np.uint8]) -> memoryview:
        """A picture as the program reads it."""
        return memoryview(picture.tobytes())

    def write(self, frame: FusedFrame) -> None:
        """Send a picture; a picture of another size begins a new stream."""
        if self._process is None or frame.fused.shape != self._shape:
            self.close()
            self._messages = tempfile.TemporaryFile()  # noqa: SIM115  # it lives as long as the program
            command = self._command(frame.fused.shape, frame.rate_hz)
            self._process = start_child(command, stdin=subprocess.PIPE, stderr=self._messages)
            self._shape = frame.fused.shape
        pipe, left = self._process.stdin, self._bytes(frame.fused)
        try:
            while left and pipe is not None:
                left = left[pipe.write(left) :]
        except BrokenPipeError as error:
            code = self._process.wait()
            raise InputError(f"{self.name}: {self._program} ended (code {code}){self._told()}") from error

    def _told(self) -> str:
        """The first line of what the program says, without credentials."""
        if self._messages is None:
            return ""
        self._messages.seek(0)
        lines = self._messages.read().decode(errors="replace").strip().splitlines()
        return f": {redact(lines[0])}" if lines else ""

    def abort(self) -> None:
        """Kill the program: a ``write`` that waits for it returns."""
        process = self._process
        if process is not None:
            process.kill()

    def close(self) -> None:
        """End the stream."""
        process, self._process = self._process, None
        messages, self._messages = self._messages, None
        if process is not None:
            end_child(process, patience_seconds=_END_SECONDS)
        if messages is not None:
            messages.close()


class Pushed(_Piped):
    """An H.264 stream that the ``ffmpeg`` program encodes and sends.

    Args:
        url: Where to; ``http://`` waits for one viewer at a time on the named port.

    Raises:
        MissingDependencyError: ffmpeg is not installed.
    """

    _program = "ffmpeg"

    def __init__(self, url: str) -> None:
        super().__init__(redact(url))
        self._url = url
        if shutil.which("ffmpeg") is None:
            raise MissingDependencyError(f"ffmpeg is needed to send to {self.name}: apt install ffmpeg")

    def _command(self, shape: tuple[int, ...], rate_hz: float) -> list[str]:
        scheme = urlsplit(self._url).scheme.lower()
        raw = ["-f", "rawvideo", "-pix_fmt", "bgr24" if len(shape) == 3 else "gray", "-s", f"{shape[1]}x{shape[0]}"]
        source = [*raw, "-r", f"{rate_hz:g}", "-i", "-"]
        encode = ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-pix_fmt", "yuv420p", "-g", "30"]
        # H.264 in 4:2:0 has even sides only.
        even = ["-vf", "crop=trunc(iw/2)*2:trunc(ih/2)*2"]
        send = ["-listen", "1"] if scheme == "http" else []
        return ["ffmpeg", "-loglevel", "error", *source, *even, *encode, "-f", _FORMATS[scheme], *send, self._url]


class Pipeline(_Piped):
    """Raw pictures into a GStreamer pipeline, run by ``gst-launch-1.0``.

    Args:
        pipeline: What comes behind the source, with its sink: it gets raw video and converts it as it needs.

    Raises:
        MissingDependencyError: ``gst-launch-1.0`` is not installed.
        UsageError: A quote is left open.
    """

    _program = "gst-launch-1.0"

    def __init__(self, pipeline: str) -> None:
        super().__init__(redact(f"gst:{pipeline}"))
        self._pipeline = pipeline
        launch(pipeline)

    def _command(self, shape: tuple[int, ...], rate_hz: float) -> list[str]:
        kind = "bgr" if len(shape) == 3 else "gray8"
        raw = f"rawvideoparse format={kind} width={shape[1]} height={shape[0]} framerate={round(rate_hz * 1000)}/1000"
        return launch(f"fdsrc fd=0 ! {raw} ! videoconvert ! {self._pipeline}")

    def _bytes(self, picture: NDArray[np.uint8]) -> memoryview:
        lines = picture.reshape(len(picture), -1)
        padded = np.pad(lines, ((0, 0), (0, -lines.shape[1] % _LINE_BYTES)))
        return memoryview(padded.tobytes())
