"""Opening a source and giving its frames one by one. Runs in the camera's own process: any call here may hang."""

from __future__ import annotations

import glob
import math
import re
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from edgefuse.arrays import Image
from edgefuse.errors import InputError, MissingDependencyError
from edgefuse.images import LARGEST_IMAGE_PIXELS, read_ir, read_vis
from edgefuse.pairs import IMAGE_SUFFIXES
from edgefuse.stream.config import CameraConfig
from edgefuse.stream.gstreamer import is_sixteen_bits, opened_pipeline, source_pipeline

__all__ = ["RawFrame", "read_frames"]

_DEFAULT_RATE_HZ = 30.0


class RawFrame(NamedTuple):
    """A frame as the source gives it.

    Args:
        image: The picture.
        pts_seconds: Time in the recording, where there is one.
        captured_seconds: Monotonic time of capture; None where only the receiver can tell.
        lost: Frames since the one before that the device says it captured and did not deliver whole.
    """

    image: Image
    pts_seconds: float | None
    captured_seconds: float | None
    lost: int = 0


def read_frames(config: CameraConfig) -> Iterator[RawFrame]:
    """Open a camera's source and give its frames.

    Args:
        config: The camera.

    Returns:
        An iterator that ends with a recorded source, and also when a live one stops sending.

    Raises:
        InputError: The source cannot be opened or read.
        MissingDependencyError: A package for this kind of source is not installed.
    """
    kind = config.uri.kind
    if kind == "synthetic":
        return _synthetic(config)
    if kind == "frames":
        return _still_frames(config)
    if kind == "recording":
        return _recording(config)
    if kind == "v4l2":
        return _device(config)
    if kind in ("csi", "gst"):
        return _gstreamer(config)
    return _media(config)


def _synthetic(config: CameraConfig) -> Iterator[RawFrame]:
    """A simulated street, forwards and backwards in an endless loop.

    What is shown goes by the monotonic clock, so that both cameras look at the same moment of the same street. Each
    frame is drawn once, when it is first due.
    """
    from edgefuse.synthetic import StreetScene

    uri = config.uri
    height, width = uri.size() or (480, 640)
    rate_hz = uri.number("rate", _DEFAULT_RATE_HZ) or _DEFAULT_RATE_HZ
    scene = StreetScene(height, width, seed=int(uri.number("seed", 0)), noise=uri.number("noise", 1.0))
    count = max(2, round(uri.number("seconds", 1.0) * rate_hz))
    drawn: dict[int, Image] = {}
    due = math.ceil(time.monotonic() * rate_hz)
    while True:
        place = due % (2 * count - 2)
        number = min(place, 2 * count - 2 - place)
        if number not in drawn:
            pair = scene.render(number / rate_hz)
            drawn[number] = pair.vis if config.role == "vis" else pair.ir if config.profile is None else pair.ir16
        time.sleep(max(0.0, due / rate_hz - time.monotonic()))
        yield RawFrame(drawn[number], None, due / rate_hz)
        due = max(due + 1, math.floor(time.monotonic() * rate_hz))


def _still_frames(config: CameraConfig) -> Iterator[RawFrame]:
    uri = config.uri
    paths = _frame_paths(uri.target)
    if not paths:
        raise InputError(f"{uri.shown}: no frames there ({', '.join(sorted(IMAGE_SUFFIXES))})")
    rate_hz = uri.number("rate", _DEFAULT_RATE_HZ) or _DEFAULT_RATE_HZ
    read = read_ir if config.role == "ir" else read_vis
    number = 0
    while True:
        for path in paths:
            yield RawFrame(read(path), number / rate_hz, None)
            number += 1
        if uri.number("loop", 0.0) == 0.0:
            return


def _recording(config: CameraConfig) -> Iterator[RawFrame]:
    from edgefuse.stream.recording import read_recording

    stamped = config.uri.options.get("times") == "stamped"
    for frame in read_recording(config.uri.target, config.role):
        offset = frame.offset_seconds if stamped else 0.0
        yield RawFrame(frame.image, frame.pts_seconds, frame.captured_seconds + offset)


def _frame_paths(target: str) -> list[Path]:
    folder = Path(target)
    if folder.is_dir():
        return sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    pattern = re.sub(r"%0?\d*d", "*", glob.escape(target).replace("[[]", "["))
    numbered = re.compile(re.sub(r"%0?\\?\d*d", r"(\\d+)", re.escape(target)))
    found = [(match, path) for path in glob.glob(pattern) if (match := numbered.fullmatch(path))]  # noqa: PTH207
    return [Path(path) for match, path in sorted(found, key=lambda item: [int(part) for part in item[0].groups()])]


def _device(config: CameraConfig) -> Iterator[RawFrame]:
    if sys.platform != "linux":
        raise InputError(f"{config.uri.shown}: V4L2 is of Linux; elsewhere give a stream, a file or gst:PIPELINE")
    from edgefuse.stream.v4l2 import read_v4l2

    return read_v4l2(config)


def _gstreamer(config: CameraConfig) -> Iterator[RawFrame]:
    """A pipeline, by OpenCV where it was built with GStreamer, as JetPack's is; otherwise by gst-launch-1.0."""
    if any(line.split(":")[1].strip().startswith("YES") for line in _gstreamer_lines()):
        conversion = "" if is_sixteen_bits(config) else "videoconvert ! video/x-raw,format=BGR ! "
        sink = f"{conversion}appsink drop=true max-buffers=2"
        capture = cv2.VideoCapture(f"{source_pipeline(config)} ! {sink}", cv2.CAP_GSTREAMER)
        if not capture.isOpened():
            raise InputError(f"{config.uri.shown}: GStreamer cannot open it")
        yield from _captured(config, capture)
        return
    av = _pyav("read GStreamer pipelines")
    sixteen_bits = is_sixteen_bits(config)
    with opened_pipeline(av, config) as container:
        for raw in _frames(av, container, config):
            yield raw._replace(image=raw.image.view("<u2")) if sixteen_bits else raw


def _captured(config: CameraConfig, capture: cv2.VideoCapture) -> Iterator[RawFrame]:
    """What OpenCV captures; the times of a pipeline count from its own start, so they are not used."""
    try:
        while capture.grab():
            now = time.monotonic()
            decoded, image = capture.retrieve()
            if not decoded or image is None:
                continue
            picture = np.asarray(image)
            # A finished picture of a thermal camera that gives nothing but colour.
            if config.role == "ir" and picture.ndim == 3 and picture.shape[2] == 3:
                picture = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY))
            yield RawFrame(picture, None, now)
    finally:
        capture.release()


def _gstreamer_lines() -> list[str]:
    return [line for line in cv2.getBuildInformation().splitlines() if line.strip().startswith("GStreamer:")]


def _media(config: CameraConfig) -> Iterator[RawFrame]:
    """Files and network streams by PyAV; files by OpenCV too, where PyAV is missing and 8 bits are enough."""
    uri = config.uri
    if uri.kind == "file" and config.profile is None and find_spec("av") is None:
        yield from _file_by_opencv(config)
        return
    av = _pyav("read network streams and 16-bit video")
    if uri.kind == "file" and not Path(uri.target).is_file():
        raise InputError(f"{uri.shown}: no such file")
    offset_seconds = 0.0
    while True:
        last = yield from _decode(av, config, offset_seconds)
        if uri.live or uri.number("loop", 0.0) == 0.0:
            return
        offset_seconds = last


def _pyav(purpose: str) -> Any:
    try:
        import av
    except ImportError as error:
        raise MissingDependencyError.for_package("av", extra="stream", purpose=purpose) from error
    av.logging.set_level(av.logging.PANIC)  # its messages print URLs with their passwords
    return av


def _decode(av: Any, config: CameraConfig, offset_seconds: float) -> Any:
    """Give the frames of one pass; returns the time at which the next pass starts."""
    uri = config.uri
    options = {"rtsp_transport": "tcp"} if uri.kind == "rtsp" else {}
    if uri.kind != "file":
        options |= {"fflags": "nobuffer", "flags": "low_delay", "probesize": "500000", "analyzeduration": "500000"}
    try:
        # A live source may be silent for long: the watchdog outside judges that, not a timeout of the library.
        container = av.open(uri.target, options=options)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise InputError(f"{uri.shown}: cannot open it ({_reason(error)})") from error
    with container:
        try:
            return (yield from _frames(av, container, config, offset_seconds))
        except (av.FFmpegError, OSError) as error:
            raise InputError(f"{uri.shown}: it broke off ({_reason(error)})") from error


def _frames(av: Any, container: Any, config: CameraConfig, offset_seconds: float = 0.0) -> Any:
    """Give the frames of an open container; returns the time behind the last one."""
    uri = config.uri
    if not container.streams.video:
        raise InputError(f"{uri.shown}: no video in it")
    stream = container.streams.video[0]
    stream.thread_type = "AUTO" if uri.kind == "file" else "SLICE"
    step = 1.0 / (uri.number("rate", 0.0) or float(stream.average_rate or 0) or _DEFAULT_RATE_HZ)
    first, pts = None, offset_seconds
    for number, frame in enumerate(_decoded(av, container, config)):
        if frame.time is not None and not uri.number("rate", 0.0):
            first = frame.time if first is None else first
            pts = offset_seconds + frame.time - first
        else:
            pts = offset_seconds + number * step
        yield RawFrame(_array(frame, config), pts, None)
    return pts + step


def _decoded(av: Any, container: Any, config: CameraConfig) -> Iterator[Any]:
    """Decoded frames; a damaged packet is passed over, since the next key frame mends the picture."""
    damaged = 0
    for packet in container.demux(video=0):
        try:
            yield from packet.decode()
        except av.error.InvalidDataError as error:
            damaged += 1
            if damaged > 100:
                raise InputError(f"{config.uri.shown}: {damaged} damaged packets ({_reason(error)})") from error


def _array(frame: Any, config: CameraConfig) -> Image:
    if frame.width * frame.height > LARGEST_IMAGE_PIXELS:
        raise InputError(f"{config.uri.shown}: {frame.width}x{frame.height} pixels is more than {LARGEST_IMAGE_PIXELS}")
    if config.role == "vis":
        return np.asarray(frame.to_ndarray(format="bgr24"))
    name = frame.format.name
    if name.startswith(("gray16", "gray10", "gray12", "gray14")):
        return np.asarray(frame.to_ndarray(format="gray16le")) if name == "gray16be" else np.asarray(frame.to_ndarray())
    if config.profile is not None and config.profile.split and name == "yuyv422":
        return np.asarray(frame.to_ndarray())
    return np.asarray(frame.to_ndarray(format="gray"))


def _file_by_opencv(config: CameraConfig) -> Iterator[RawFrame]:
    uri = config.uri
    capture = cv2.VideoCapture(uri.target, cv2.CAP_FFMPEG)
    try:
        if not capture.isOpened():
            raise InputError(f"{uri.shown}: not a video that OpenCV can read")
        rate_hz = uri.number("rate", 0.0) or capture.get(cv2.CAP_PROP_FPS) or _DEFAULT_RATE_HZ
        number = 0
        while True:
            decoded, image = capture.read()
            if not decoded and uri.number("loop", 0.0) and capture.set(cv2.CAP_PROP_POS_FRAMES, 0) and number:
                decoded, image = capture.read()
            if not decoded:
                return
            picture = np.asarray(image) if config.role == "vis" else np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))
            yield RawFrame(picture, number / rate_hz, None)
            number += 1
    finally:
        capture.release()


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or type(error).__name__)
