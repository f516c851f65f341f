"""GStreamer pipelines as sources, run by ``gst-launch-1.0`` in a process: pip's OpenCV has no GStreamer.

Pictures come through a pipe as Matroska with raw video, which states size and format before the first picture and does
not let them change unnoticed.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from edgefuse.errors import InputError, MissingDependencyError, UsageError
from edgefuse.stream.child import end_child, start_child
from edgefuse.stream.config import CameraConfig
from edgefuse.stream.uri import redact

__all__ = ["is_sixteen_bits", "launch", "opened_pipeline", "source_pipeline"]

_DEFAULT_RATE_HZ = 30.0
_APPSINK = re.compile(r"\s*!\s*appsink\b[^!]*$")
_SIXTEEN_BITS = re.compile(r"format=(\(string\))?GRAY16_(LE|BE)")
_END_SECONDS = 0.5


def _csi(config: CameraConfig) -> str:
    """A Jetson's CSI camera, up to BGRx in common memory."""
    uri = config.uri
    height, width = uri.size() or (720, 1280)
    rate = max(1, round(uri.number("rate", 0.0) or _DEFAULT_RATE_HZ))
    if not (uri.target or "0").isdecimal():
        raise UsageError(f"{uri.shown}: give the number of the sensor, as in csi://0")
    return (
        f"nvarguscamerasrc sensor-id={int(uri.target or 0)} ! "
        f"video/x-raw(memory:NVMM),width={width},height={height},framerate={rate}/1 ! "
        "nvvidconv ! video/x-raw,format=BGRx"
    )


def source_pipeline(config: CameraConfig) -> str:
    """The pipeline of a source without its sink.

    Args:
        config: The camera; its source is ``csi:`` or ``gst:``.

    Returns:
        What stands before a sink.
    """
    return _csi(config) if config.uri.kind == "csi" else _APPSINK.sub("", config.uri.target.strip())


def launch(pipeline: str) -> list[str]:
    """The command that runs a pipeline.

    Args:
        pipeline: As one would type it behind ``gst-launch-1.0``, quotes included.

    Returns:
        Program and arguments.

    Raises:
        MissingDependencyError: ``gst-launch-1.0`` is not installed.
        UsageError: A quote is left open.
    """
    if shutil.which("gst-launch-1.0") is None:
        raise MissingDependencyError(
            "a GStreamer pipeline needs gst-launch-1.0: apt install gstreamer1.0-tools gstreamer1.0-plugins-good"
        )
    try:
        return ["gst-launch-1.0", "-q", *shlex.split(pipeline)]
    except ValueError as error:
        raise UsageError(f"gst:{redact(pipeline)}: {error}") from error


@contextmanager
def opened_pipeline(av: Any, config: CameraConfig) -> Iterator[Any]:
    """Run a pipeline and open what it gives.

    Args:
        av: The module.
        config: The camera.

    Yields:
        A container of PyAV with raw video; 16-bit counts lie in it as the two bytes of 8-bit pixels side by side.

    Raises:
        InputError: The pipeline does not run; with what GStreamer says of it.
        MissingDependencyError: ``gst-launch-1.0`` is not installed.
        UsageError: It is no pipeline.
    """
    command = launch(f"{source_pipeline(config)} ! {_converted(config)} ! matroskamux streamable=true ! fdsink fd=1")
    with tempfile.TemporaryFile() as messages:
        process = start_child(command, stdout=subprocess.PIPE, stderr=messages)
        try:
            options = {"fflags": "nobuffer", "probesize": "32", "analyzeduration": "0"}
            with av.open(process.stdout, format="matroska", options=options) as container:
                yield container
            if process.wait(_END_SECONDS):
                raise InputError(f"{config.uri.shown}: GStreamer ended ({_reason(messages)})")
        except subprocess.TimeoutExpired:
            pass  # it closed its output but does not end: that is seen to below
        except av.FFmpegError as error:
            raise InputError(f"{config.uri.shown}: GStreamer gives no pictures ({_reason(messages)})") from error
        finally:
            end_child(process, patience_seconds=_END_SECONDS)


def is_sixteen_bits(config: CameraConfig) -> bool:
    """Whether a pipeline names a 16-bit format, so that counts are kept.

    Args:
        config: The camera.
    """
    return config.role == "ir" and _SIXTEEN_BITS.search(source_pipeline(config)) is not None


def _converted(config: CameraConfig) -> str:
    """Elements that turn what a source gives into what Matroska carries."""
    if not is_sixteen_bits(config):
        return f"videoconvert ! video/x-raw,format={'BGR' if config.role == 'vis' else 'GRAY8'}"
    pipeline = source_pipeline(config)
    found = [re.findall(rf"\b{name}=(?:\(int\))?(\d+)", pipeline) for name in ("width", "height")]
    if not (found[0] and found[1]):
        raise UsageError(f"{config.uri.shown}: a 16-bit pipeline has to name width= and height= in its caps")
    width, height = int(found[0][-1]), int(found[1][-1])
    # Matroska carries no 16-bit gray. Lines of 2·W bytes are padded to multiples of four in both views.
    little = "" if "GRAY16_LE" in pipeline else f"videoconvert ! video/x-raw,format=GRAY16_LE,width={width} ! "
    return f"{little}rawvideoparse format=gray8 width={2 * width} height={height}"


def _reason(messages: IO[bytes]) -> str:
    """What GStreamer says went wrong, without credentials."""
    messages.seek(0)
    lines = messages.read().decode(errors="replace").splitlines()
    told = [line for line in lines if "ERROR" in line or "erroneous" in line]
    return redact(told[0].strip()) if told else "it ended without a word"
