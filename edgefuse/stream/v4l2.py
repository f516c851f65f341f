"""Reading a V4L2 device: its frames out of the driver's buffers, with the driver's times."""

from __future__ import annotations

import mmap
import select
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from ctypes import c_int32

import cv2
import numpy as np
from numpy.typing import NDArray

from edgefuse.arrays import Image
from edgefuse.errors import InputError
from edgefuse.stream import videodev2
from edgefuse.stream.config import CameraConfig
from edgefuse.stream.readers import RawFrame
from edgefuse.stream.v4l2_device import Agreement, Device, negotiate

__all__ = ["lost_between", "read_v4l2"]

_BUFFERS = 4
"""A frame is copied out as soon as it is complete, so they bridge pauses and add no latency."""
_MOST_DAMAGED = 20
_MOST_LOST = 10_000
"""A larger step from one frame's number to the next tells that the driver does not number them."""
_CLOCK_SLACK_SECONDS = 0.05
"""A time stamp this far outside of the stream, or in the future, is of another clock and is not used."""


def read_v4l2(config: CameraConfig) -> Iterator[RawFrame]:
    """Open a V4L2 device and give its frames in order, each once.

    Args:
        config: The camera.

    Yields:
        Frames: counts as uint16, gray as uint8, colour as BGR (gray for infrared); for a profile with split frames the
        bytes of YUYV as ``(H, W, 2)``.

    Raises:
        InputError: It cannot be opened, does not give what was asked for, or was unplugged.
        UsageError: It was asked for what this camera cannot have.
    """
    with Device(config) as device:
        agreed = negotiate(device, config)
        with _streaming(device) as buffers:
            since, damaged = time.monotonic(), 0
            number: int | None = None
            for buffer in _completed(device):
                now = time.monotonic()
                image = _copied(buffers[buffer.index], buffer, agreed)
                device.call(videodev2.QBUF, buffer, "give a buffer back")
                picture = None if image is None else _picture(image, agreed, config)
                if picture is not None:
                    lost = lost_between(number, buffer.sequence, damaged)
                    damaged, number = 0, buffer.sequence
                    yield RawFrame(picture, None, _captured(buffer, since, now), lost)
                    continue
                damaged += 1
                if damaged > _MOST_DAMAGED:
                    raise InputError(
                        f"{config.uri.shown}: {damaged} damaged frames, the last of {buffer.bytesused} bytes where "
                        f"{agreed.format.fourcc.strip()} of {agreed.width}x{agreed.height} has {agreed.least_bytes} "
                        "or more: try another cable, port or format"
                    )


@contextmanager
def _streaming(device: Device) -> Iterator[list[mmap.mmap]]:
    """Let a device stream into buffers that are mapped here."""
    request = videodev2.RequestBuffers(
        count=_BUFFERS, type=videodev2.BUF_TYPE_VIDEO_CAPTURE, memory=videodev2.MEMORY_MMAP
    )
    device.call(videodev2.REQBUFS, request, "get buffers")
    kind = c_int32(videodev2.BUF_TYPE_VIDEO_CAPTURE)
    with ExitStack() as mapped:
        buffers = []
        for index in range(request.count):
            buffer = _numbered(index)
            device.call(videodev2.QUERYBUF, buffer, "get buffers")
            try:
                memory = mmap.mmap(
                    device.descriptor, buffer.length, mmap.MAP_SHARED, mmap.PROT_READ, offset=buffer.m.offset
                )
            except OSError as error:
                raise device.failure(error, "map its buffers") from error
            buffers.append(mapped.enter_context(memory))
        for index in range(request.count):
            device.call(videodev2.QBUF, _numbered(index), "queue its buffers")
        device.call(videodev2.STREAMON, kind, "start it")
        try:
            yield buffers
        finally:
            with suppress(InputError):  # it may be gone
                device.call(videodev2.STREAMOFF, kind, "stop it")


def _numbered(index: int) -> videodev2.Buffer:
    return videodev2.Buffer(index=index, type=videodev2.BUF_TYPE_VIDEO_CAPTURE, memory=videodev2.MEMORY_MMAP)


def _completed(device: Device) -> Iterator[videodev2.Buffer]:
    """Wait for frames, for as long as it takes: the watchdog outside judges a silence."""
    waiting = select.poll()
    waiting.register(device.descriptor, select.POLLIN)
    while True:
        ((_, events),) = waiting.poll()
        buffer = _numbered(0)
        try:
            device.call(videodev2.DQBUF, buffer, "read it")
        except InputError as error:
            if not isinstance(error.__cause__, BlockingIOError):
                raise
            if events & (select.POLLERR | select.POLLHUP):
                raise InputError(f"{device.shown}: it stopped") from error
            continue
        yield buffer


def _copied(memory: mmap.mmap, buffer: videodev2.Buffer, agreed: Agreement) -> NDArray[np.uint8] | None:
    """The bytes of a frame without padding, or None for one that the driver marks as damaged, or that is too short."""
    used = min(buffer.bytesused, len(memory))
    if buffer.flags & videodev2.BUF_FLAG_ERROR or used < agreed.least_bytes:
        return None
    flat = np.frombuffer(memory, np.uint8, used)
    if not agreed.format.bytes_a_pixel:
        return flat.copy()
    if agreed.format.fourcc != "YU12":
        return _lines(flat, agreed.lines, agreed.line_bytes, agreed.stride)
    luma = _lines(flat, agreed.height, agreed.width, agreed.stride)
    chroma = _lines(flat[agreed.height * agreed.stride :], agreed.height, agreed.width // 2, agreed.stride // 2)
    return np.concatenate((luma, chroma.reshape(-1, agreed.width)))


def _lines(flat: NDArray[np.uint8], count: int, line_bytes: int, stride: int) -> NDArray[np.uint8]:
    return np.array(np.lib.stride_tricks.as_strided(flat, (count, line_bytes), (stride, 1), writeable=False))


def _picture(lines: NDArray[np.uint8], agreed: Agreement, config: CameraConfig) -> Image | None:
    """A frame as the rest of EdgeFuse takes it, or None for a damaged JPEG."""
    height, width, name = agreed.height, agreed.width, agreed.format.fourcc
    if agreed.format.counts:
        return lines.view("<u2")
    if name == "GREY":
        return lines
    if config.profile is not None and config.profile.split and name == "YUYV":
        return lines.reshape(height, width, 2)
    if name == "MJPG":
        decoded = cv2.imdecode(lines, cv2.IMREAD_COLOR)
        if decoded is None or decoded.shape[:2] != (height, width):
            return None
        picture: Image = np.asarray(decoded, np.uint8)
    elif agreed.format.to_bgr is None:
        picture = lines.reshape(height, width, 3)
    else:
        shaped = lines.reshape(agreed.lines, width, -1) if agreed.format.bytes_a_pixel > 1 else lines
        picture = np.asarray(cv2.cvtColor(shaped, agreed.format.to_bgr), np.uint8)
    # A finished picture of a thermal camera that gives nothing but colour.
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.uint8) if config.role == "ir" else picture


def lost_between(last: int | None, number: int, damaged: int) -> int:
    """How many frames a device captured between two that it gave whole.

    Args:
        last: The driver's number of the earlier one, 32 bits wide; None where there is none.
        number: That of the later one.
        damaged: Frames in between that came damaged.

    Returns:
        Those, and others that found no free buffer.
    """
    if last is None:
        return damaged
    missing = (number - last - 1) % 2**32
    return max(damaged, missing) if missing < _MOST_LOST else damaged


def _captured(buffer: videodev2.Buffer, since: float, now: float) -> float:
    """When the driver says that a frame was captured, where it says so in monotonic time; otherwise when it came."""
    monotonic = buffer.flags & videodev2.BUF_FLAG_TIMESTAMP_MASK == videodev2.BUF_FLAG_TIMESTAMP_MONOTONIC
    stamp = buffer.timestamp.seconds + buffer.timestamp.microseconds / 1e6
    within = since - _CLOCK_SLACK_SECONDS <= stamp <= now + _CLOCK_SLACK_SECONDS
    return min(stamp, now) if monotonic and within else now
