"""Fused pictures for eyes elsewhere: a window, or a stream that ffmpeg sends."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from urllib.parse import urlsplit

import cv2
import numpy as np

from edgefuse.errors import InputError, MissingDependencyError
from edgefuse.stream.fusing import FusedFrame
from edgefuse.stream.outputs.output import Output
from edgefuse.stream.uri import redact

__all__ = ["Pushed", "Window"]

_FORMATS = {"rtsp": "rtsp", "rtmp": "flv", "udp": "mpegts", "http": "mpegts", "srt": "mpegts"}


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


class Pushed(Output):
    """An H.264 stream that the ``ffmpeg`` program encodes and sends.

    Args:
        url: Where to; ``http://`` waits for one viewer at a time on the named port.

    Raises:
        MissingDependencyError: ffmpeg is not installed.
    """

    def __init__(self, url: str) -> None:
        self.name = redact(url)
        self._url = url
        if shutil.which("ffmpeg") is None:
            raise MissingDependencyError(f"ffmpeg is needed to send to {self.name}: apt install ffmpeg")
        self._process: subprocess.Popen[bytes] | None = None
        self._shape: tuple[int, ...] = ()

    def write(self, frame: FusedFrame) -> None:
        """Send a picture; a picture of another size begins a new stream."""
        if self._process is None or frame.fused.shape != self._shape:
            self.close()
            self._process = self._start(frame.fused.shape, frame.rate_hz)
            self._shape = frame.fused.shape
        pipe = self._process.stdin
        try:
            if pipe is not None:
                pipe.write(np.ascontiguousarray(frame.fused).tobytes())
        except BrokenPipeError as error:
            raise InputError(
                f"{self.name}: ffmpeg ended (code {self._process.wait()}); nobody listens there?"
            ) from error

    def _start(self, shape: tuple[int, ...], rate_hz: float) -> subprocess.Popen[bytes]:
        scheme = urlsplit(self._url).scheme.lower()
        raw = ["-f", "rawvideo", "-pix_fmt", "bgr24" if len(shape) == 3 else "gray", "-s", f"{shape[1]}x{shape[0]}"]
        source = [*raw, "-r", f"{rate_hz:g}", "-i", "-"]
        encode = ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-pix_fmt", "yuv420p", "-g", "30"]
        # H.264 in 4:2:0 has even sides only.
        even = ["-vf", "crop=trunc(iw/2)*2:trunc(ih/2)*2"]
        send = ["-listen", "1"] if scheme == "http" else []
        return subprocess.Popen(
            ["ffmpeg", "-loglevel", "quiet", *source, *even, *encode, "-f", _FORMATS[scheme], *send, self._url],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def close(self) -> None:
        """End the stream."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
        try:
            process.wait(1.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
