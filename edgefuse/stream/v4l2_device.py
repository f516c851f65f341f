"""A V4L2 device: opening it, what it offers, and agreeing on format, size and rate.

By Linux's own interface instead of OpenCV's, which passes over padding at the end of a line, over the mark of a damaged
frame, over a size or rate that is not the one asked for, and over the reason why a device cannot be opened.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Mapping
from contextlib import suppress
from ctypes import Structure, c_int32
from fractions import Fraction
from types import MappingProxyType, TracebackType
from typing import NamedTuple

import cv2

from edgefuse.errors import InputError, UsageError
from edgefuse.images import LARGEST_IMAGE_PIXELS
from edgefuse.stream import videodev2
from edgefuse.stream.config import CameraConfig

__all__ = ["PIXEL_FORMATS", "Agreement", "Device", "PixelFormat", "negotiate"]

_DEFAULT_RATE_HZ = 30.0
_DEFAULT_SIZE = 480, 640
_RATE_TOLERANCE = 0.1
"""Cameras of nominally 9 Hz state 8.6; rates to choose from, as 25 and 30 Hz, lie further apart."""
_LONGEST_LIST = 64
"""Of formats, sizes and rates; a driver may be wrong about the end of its list."""


class PixelFormat(NamedTuple):
    """How a format lies in memory.

    Args:
        fourcc: Its name in V4L2.
        bytes_a_pixel: Of the first plane; 0 for compressed pictures.
        planes: Lines of all planes, in heights of the picture.
        to_bgr: Code of ``cv2.cvtColor``, or None for gray and counts.
    """

    fourcc: str
    bytes_a_pixel: int
    planes: Fraction = Fraction(1)
    to_bgr: int | None = None

    @property
    def counts(self) -> bool:
        """Whether its pixels are raw 16-bit counts."""
        return self.bytes_a_pixel == 2 and self.to_bgr is None

    @property
    def shares_chroma(self) -> bool:
        """Whether pixels beside each other, and lines with further planes, share their chroma."""
        return self.to_bgr is not None and self.bytes_a_pixel < 3


PIXEL_FORMATS: Mapping[str, PixelFormat] = MappingProxyType(
    {
        "y16": PixelFormat("Y16 ", 2),
        "y14": PixelFormat("Y14 ", 2),
        "y12": PixelFormat("Y12 ", 2),
        "y10": PixelFormat("Y10 ", 2),
        "grey": PixelFormat("GREY", 1),
        "yuyv": PixelFormat("YUYV", 2, to_bgr=cv2.COLOR_YUV2BGR_YUYV),
        "uyvy": PixelFormat("UYVY", 2, to_bgr=cv2.COLOR_YUV2BGR_UYVY),
        "nv12": PixelFormat("NV12", 1, Fraction(3, 2), cv2.COLOR_YUV2BGR_NV12),
        "nv21": PixelFormat("NV21", 1, Fraction(3, 2), cv2.COLOR_YUV2BGR_NV21),
        "yu12": PixelFormat("YU12", 1, Fraction(3, 2), cv2.COLOR_YUV2BGR_I420),
        "bgr24": PixelFormat("BGR3", 3),
        "rgb24": PixelFormat("RGB3", 3, to_bgr=cv2.COLOR_RGB2BGR),
        "mjpg": PixelFormat("MJPG", 0),
    }
)
"""By the names of the option ``format``."""

# Without a format: what needs no decoder before what does, and for infrared a finished picture before counts.
_COLOUR = ("yuyv", "uyvy", "nv12", "nv21", "yu12", "bgr24", "rgb24", "mjpg")
_CHOICE = {"vis": (*_COLOUR, "grey"), "ir": ("grey", *_COLOUR, "y16", "y14", "y12", "y10")}


class Agreement(NamedTuple):
    """What device and reader agreed on; ``stride`` is bytes from line to line."""

    format: PixelFormat
    height: int
    width: int
    stride: int

    @property
    def line_bytes(self) -> int:
        """Bytes of a line without what pads it."""
        return self.width * self.format.bytes_a_pixel

    @property
    def lines(self) -> int:
        """Lines of all planes."""
        return int(self.height * self.format.planes)

    @property
    def least_bytes(self) -> int:
        """Bytes that a whole frame has at least; the last line need not be padded."""
        if not self.format.bytes_a_pixel:
            return 1
        last = (self.stride + self.line_bytes) // 2 if self.format.fourcc == "YU12" else self.line_bytes
        return self.stride * (self.lines - 1) + last


class Device:
    """An open device; leaving the context closes it.

    Args:
        config: The camera.

    Raises:
        InputError: It cannot be opened, or is no camera that can be read; the message says what to do.
    """

    def __init__(self, config: CameraConfig) -> None:
        self.shown = config.uri.shown
        target = config.uri.target or "0"
        self.path = f"/dev/video{target}" if target.isdecimal() else target
        try:
            self.descriptor = os.open(self.path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise self.failure(error, "open it") from error
        try:
            self._check()
        except BaseException:
            os.close(self.descriptor)
            raise

    def _check(self) -> None:
        capability = videodev2.Capability()
        try:
            self.call(videodev2.QUERYCAP, capability, "ask what it is")
        except InputError as error:
            if getattr(error.__cause__, "errno", 0) not in (errno.ENOTTY, errno.EINVAL):
                raise
            raise InputError(f"{self.shown}: it is no V4L2 device (v4l2-ctl --list-devices shows those)") from error
        # `capabilities` is what all nodes of the camera can do together.
        has_own = capability.capabilities & videodev2.CAP_DEVICE_CAPS
        able = capability.device_caps if has_own else capability.capabilities
        if not able & videodev2.CAP_VIDEO_CAPTURE:
            if able & videodev2.CAP_VIDEO_CAPTURE_MPLANE:
                raise InputError(
                    f"{self.shown}: it has the multi-planar interface only: give gst:v4l2src device={self.path} instead"
                )
            raise InputError(
                f"{self.shown}: this node gives no pictures; a camera often has two, take the other one "
                "(v4l2-ctl --list-devices)"
            )
        if not able & videodev2.CAP_STREAMING:
            raise InputError(f"{self.shown}: its driver cannot stream (no V4L2_CAP_STREAMING)")

    def call(self, request: int, argument: Structure | c_int32, purpose: str) -> None:
        """Call the driver.

        Args:
            request: Number of the call.
            argument: Read and written.
            purpose: What it is for, completing "cannot …".

        Raises:
            InputError: The driver refuses; its ``__cause__`` is the OSError.
        """
        try:
            fcntl.ioctl(self.descriptor, request, argument)
        except OSError as error:
            raise self.failure(error, purpose) from error

    def failure(self, error: OSError, purpose: str) -> InputError:
        """One line that says what to do about a refusal of the system."""
        number = error.errno or 0
        said = {
            errno.ENOENT: "no such device: is it plugged in? See ls /dev/v4l/by-id and v4l2-ctl --list-devices",
            errno.EACCES: "permission denied: join the group video (sudo usermod -aG video $USER) and log in again",
            errno.EPERM: f"not permitted: start the container with --device {self.path}",
            errno.EBUSY: f"another program uses it: end that one (fuser -v {self.path} names it)",
            errno.ENODEV: "it was unplugged",
            errno.ENXIO: "it was unplugged",
            errno.ENOSPC: "its USB bus has not enough bandwidth left: take a port of another bus, format=mjpg, or a "
            "smaller size or rate",
        }.get(number, f"cannot {purpose} ({error.strerror})")
        return InputError(f"{self.shown}: {said}")

    def formats(self) -> list[str]:
        """The fourccs that it offers, the default first."""
        found: list[str] = []
        with suppress(InputError):  # the end of the list
            while len(found) < _LONGEST_LIST:
                item = videodev2.FormatDescription(index=len(found), type=videodev2.BUF_TYPE_VIDEO_CAPTURE)
                self.call(videodev2.ENUM_FMT, item, "list its formats")
                found.append(_fourcc_name(item.pixelformat))
        return found

    def sizes(self, fourcc: str) -> list[tuple[int, int]]:
        """The sizes (height, width) of a format, the default first; none where it takes any."""
        found: list[tuple[int, int]] = []
        with suppress(InputError):
            while len(found) < _LONGEST_LIST:
                item = videodev2.FrameSize(index=len(found), pixel_format=_fourcc_number(fourcc))
                self.call(videodev2.ENUM_FRAMESIZES, item, "list its sizes")
                if item.type != videodev2.TYPE_DISCRETE:
                    return []
                found.append((item.height, item.width))
        return found

    def rates_hz(self, fourcc: str, size: tuple[int, int]) -> list[float]:
        """The frame rates of a format and size, or the highest alone where it takes any; none where it says none."""
        found: list[float] = []
        with suppress(InputError):
            while len(found) < _LONGEST_LIST:
                item = videodev2.FrameInterval(
                    index=len(found), pixel_format=_fourcc_number(fourcc), height=size[0], width=size[1]
                )
                self.call(videodev2.ENUM_FRAMEINTERVALS, item, "list its rates")
                found.append(item.interval.denominator / max(1, item.interval.numerator))
                if item.type != videodev2.TYPE_DISCRETE:
                    break
        return found

    def __enter__(self) -> Device:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self.descriptor)


def negotiate(device: Device, config: CameraConfig) -> Agreement:
    """Agree with a device on what was asked for, or refuse by name what it gives instead.

    Args:
        device: The device; its buffers are not allocated yet.
        config: The camera. Without a size, an infrared camera keeps its own first one, and a visible one is asked for
            640x480; without a format, one is taken that is fast enough.

    Returns:
        How its frames lie in memory.

    Raises:
        InputError: It does not give what was asked for; the message lists what it offers.
        UsageError: A visible camera cannot have 16-bit counts.
    """
    uri, profile = config.uri, config.profile
    name = uri.options.get("format", profile.pixel_format if profile else "").lower() or _choice(device, config)
    wanted = PIXEL_FORMATS[name]
    if wanted.counts and config.role == "vis":
        raise UsageError(f"{uri.shown}: {name} are counts of an infrared camera; a visible one needs another format")
    height, width = uri.size() or _own_size(device, config, wanted)
    form = videodev2.Format(type=videodev2.BUF_TYPE_VIDEO_CAPTURE)
    pix = form.fmt.pix
    pix.width, pix.height, pix.pixelformat = width, height, _fourcc_number(wanted.fourcc)
    pix.field = videodev2.FIELD_ANY
    try:
        device.call(videodev2.S_FMT, form, "set its format")
    except InputError as error:
        if getattr(error.__cause__, "errno", 0) != errno.EINVAL:
            raise
        raise InputError(f"{uri.shown}: it does not give {name}{_offered(device)}") from error
    if _fourcc_name(pix.pixelformat) != wanted.fourcc:
        given = _shown_name(_fourcc_name(pix.pixelformat))
        raise InputError(f"{uri.shown}: it does not give {name} but {given}{_offered(device)}")
    if uri.size() is not None and (pix.height, pix.width) != (height, width):
        sizes = ", ".join(f"{item[1]}x{item[0]}" for item in device.sizes(wanted.fourcc))
        raise InputError(
            f"{uri.shown}: it does not give {width}x{height} but {pix.width}x{pix.height}"
            + (f"; its sizes of {name} are {sizes}" if sizes else "")
        )
    if pix.field in videodev2.SINGLE_FIELDS:
        raise InputError(f"{uri.shown}: it gives single fields of an interlaced picture, which cannot be read")
    if pix.width * pix.height > LARGEST_IMAGE_PIXELS:
        raise InputError(f"{uri.shown}: {pix.width}x{pix.height} pixels is more than {LARGEST_IMAGE_PIXELS}")
    if wanted.shares_chroma and (pix.width % 2 or (pix.height % 2 and wanted.planes > 1)):
        raise InputError(f"{uri.shown}: {name} of {pix.width}x{pix.height} cannot be read; give an even size")
    _set_rate(device, config, wanted, (pix.height, pix.width))
    return Agreement(wanted, pix.height, pix.width, max(pix.bytesperline, pix.width * wanted.bytes_a_pixel))


def _choice(device: Device, config: CameraConfig) -> str:
    """The first readable format that has the size and the rate that were asked for, or of those that fit best."""
    offered = device.formats()
    names = [name for name in _CHOICE[config.role] if PIXEL_FORMATS[name].fourcc in offered]
    if not names:
        raise InputError(f"{config.uri.shown}: none of its formats can be read{_offered(device)}")
    wanted, rate_hz = config.uri.size(), config.uri.number("rate", 0.0) or _DEFAULT_RATE_HZ

    def fitness(name: str) -> int:
        fourcc = PIXEL_FORMATS[name].fourcc
        sizes = device.sizes(fourcc)
        if wanted is not None and sizes and wanted not in sizes:
            return 0
        rates = device.rates_hz(fourcc, wanted or _DEFAULT_SIZE)
        return 1 if rates and max(rates) < rate_hz * (1.0 - _RATE_TOLERANCE) else 2

    return max(names, key=fitness)


def _own_size(device: Device, config: CameraConfig, wanted: PixelFormat) -> tuple[int, int]:
    if config.role == "vis":
        return _DEFAULT_SIZE
    sizes = device.sizes(wanted.fourcc)
    if config.profile is not None and config.profile.split:
        sizes = [size for size in sizes if size[0] > size[1]] or sizes
    if sizes:
        return sizes[0]
    form = videodev2.Format(type=videodev2.BUF_TYPE_VIDEO_CAPTURE)
    device.call(videodev2.G_FMT, form, "ask for its format")
    return form.fmt.pix.height, form.fmt.pix.width


def _set_rate(device: Device, config: CameraConfig, wanted: PixelFormat, size: tuple[int, int]) -> None:
    rate_hz = config.uri.number("rate", 0.0)
    if not rate_hz:
        return
    parameters = videodev2.StreamParameters(type=videodev2.BUF_TYPE_VIDEO_CAPTURE)
    interval = Fraction(rate_hz).limit_denominator(1001)
    parameters.timeperframe.numerator, parameters.timeperframe.denominator = interval.denominator, interval.numerator
    try:
        device.call(videodev2.S_PARM, parameters, "set its rate")
    except InputError as error:
        if getattr(error.__cause__, "errno", 0) not in (errno.ENOTTY, errno.EINVAL):
            raise
        parameters.capability = 0
    given = parameters.timeperframe
    if not parameters.capability & videodev2.CAP_TIMEPERFRAME or not given.numerator:
        raise InputError(f"{config.uri.shown}: its driver sets no rate; leave out rate=")
    given_hz = given.denominator / given.numerator
    if abs(given_hz - rate_hz) > _RATE_TOLERANCE * rate_hz:
        rates = ", ".join(f"{item:.4g}" for item in device.rates_hz(wanted.fourcc, size))
        raise InputError(
            f"{config.uri.shown}: it does not give {rate_hz:g} Hz at this size but {given_hz:.4g}"
            + (f"; its rates are {rates}" if rates else "")
        )


def _fourcc_number(fourcc: str) -> int:
    """A fourcc as V4L2 counts it."""
    return int.from_bytes(fourcc.encode("latin-1"), "little")


def _fourcc_name(number: int) -> str:
    """The four letters of a format."""
    return int(number).to_bytes(4, "little").decode("latin-1")


def _shown_name(fourcc: str) -> str:
    names = [name for name, item in PIXEL_FORMATS.items() if item.fourcc == fourcc]
    return names[0] if names else repr(fourcc.strip())


def _offered(device: Device) -> str:
    offered = ", ".join(_shown_name(fourcc) for fourcc in device.formats())
    return f"; its formats are {offered}" if offered else ""
