"""The part of Linux's ``linux/videodev2.h`` that a capture needs: structures and numbers of its system calls."""

from __future__ import annotations

import ctypes
from ctypes import Structure, Union, c_char, c_int32, c_long, c_uint8, c_uint32, c_ulong, c_void_p

__all__ = [
    "BUF_FLAG_ERROR",
    "BUF_FLAG_TIMESTAMP_MASK",
    "BUF_FLAG_TIMESTAMP_MONOTONIC",
    "BUF_TYPE_VIDEO_CAPTURE",
    "CAP_DEVICE_CAPS",
    "CAP_STREAMING",
    "CAP_TIMEPERFRAME",
    "CAP_VIDEO_CAPTURE",
    "CAP_VIDEO_CAPTURE_MPLANE",
    "DQBUF",
    "ENUM_FMT",
    "ENUM_FRAMEINTERVALS",
    "ENUM_FRAMESIZES",
    "FIELD_ANY",
    "G_FMT",
    "G_PARM",
    "MEMORY_MMAP",
    "QBUF",
    "QUERYBUF",
    "QUERYCAP",
    "REQBUFS",
    "SINGLE_FIELDS",
    "STREAMOFF",
    "STREAMON",
    "S_FMT",
    "S_PARM",
    "TYPE_DISCRETE",
    "Buffer",
    "Capability",
    "Format",
    "FormatDescription",
    "FrameInterval",
    "FrameSize",
    "RequestBuffers",
    "StreamParameters",
]

CAP_VIDEO_CAPTURE = 0x00000001
CAP_VIDEO_CAPTURE_MPLANE = 0x00001000
CAP_STREAMING = 0x04000000
CAP_DEVICE_CAPS = 0x80000000
CAP_TIMEPERFRAME = 0x1000
BUF_TYPE_VIDEO_CAPTURE = 1
MEMORY_MMAP = 1
FIELD_ANY = 0
SINGLE_FIELDS = frozenset({2, 3, 7})
"""TOP, BOTTOM and ALTERNATE: a buffer holds every other line of the picture."""
TYPE_DISCRETE = 1
BUF_FLAG_ERROR = 0x0040
BUF_FLAG_TIMESTAMP_MASK = 0xE000
BUF_FLAG_TIMESTAMP_MONOTONIC = 0x2000


class Capability(Structure):
    """``struct v4l2_capability``."""

    _fields_ = (
        ("driver", c_char * 16),
        ("card", c_char * 32),
        ("bus_info", c_char * 32),
        ("version", c_uint32),
        ("capabilities", c_uint32),
        ("device_caps", c_uint32),
        ("reserved", c_uint32 * 3),
    )


class FormatDescription(Structure):
    """``struct v4l2_fmtdesc``."""

    _fields_ = (
        ("index", c_uint32),
        ("type", c_uint32),
        ("flags", c_uint32),
        ("description", c_char * 32),
        ("pixelformat", c_uint32),
        ("mbus_code", c_uint32),
        ("reserved", c_uint32 * 3),
    )


class _PixelFormat(Structure):
    _fields_ = tuple(
        (name, c_uint32)
        for name in (
            *("width", "height", "pixelformat", "field", "bytesperline", "sizeimage"),
            *("colorspace", "priv", "flags", "ycbcr_enc", "quantization", "xfer_func"),
        )
    )


class _FormatUnion(Union):
    # The pointer stands for that of struct v4l2_window, which aligns the union.
    _fields_ = (("pix", _PixelFormat), ("raw", c_uint8 * 200), ("pointer", c_void_p))


class Format(Structure):
    """``struct v4l2_format``."""

    _fields_ = (("type", c_uint32), ("fmt", _FormatUnion))


class RequestBuffers(Structure):
    """``struct v4l2_requestbuffers``."""

    _fields_ = (
        ("count", c_uint32),
        ("type", c_uint32),
        ("memory", c_uint32),
        ("capabilities", c_uint32),
        ("reserved", c_uint32),
    )


class _Time(Structure):
    _fields_ = (("seconds", c_long), ("microseconds", c_long))


class _BufferUnion(Union):
    _fields_ = (("offset", c_uint32), ("userptr", c_ulong), ("fd", c_int32))


class Buffer(Structure):
    """``struct v4l2_buffer``."""

    _fields_ = (
        ("index", c_uint32),
        ("type", c_uint32),
        ("bytesused", c_uint32),
        ("flags", c_uint32),
        ("field", c_uint32),
        ("timestamp", _Time),
        ("timecode", c_uint32 * 4),
        ("sequence", c_uint32),
        ("memory", c_uint32),
        ("m", _BufferUnion),
        ("length", c_uint32),
        ("reserved2", c_uint32),
        ("request_fd", c_int32),
    )


class _Fraction(Structure):
    _fields_ = (("numerator", c_uint32), ("denominator", c_uint32))


class StreamParameters(Structure):
    """``struct v4l2_streamparm`` of a capture."""

    _fields_ = (
        ("type", c_uint32),
        ("capability", c_uint32),
        ("capturemode", c_uint32),
        ("timeperframe", _Fraction),
        ("rest", c_uint8 * 184),
    )


class FrameSize(Structure):
    """``struct v4l2_frmsizeenum``; a discrete size stands in the first two numbers."""

    _fields_ = (
        ("index", c_uint32),
        ("pixel_format", c_uint32),
        ("type", c_uint32),
        ("width", c_uint32),
        ("height", c_uint32),
        ("rest", c_uint32 * 6),
    )


class FrameInterval(Structure):
    """``struct v4l2_frmivalenum``; a discrete or else the shortest interval stands in the fraction."""

    _fields_ = (
        ("index", c_uint32),
        ("pixel_format", c_uint32),
        ("width", c_uint32),
        ("height", c_uint32),
        ("type", c_uint32),
        ("interval", _Fraction),
        ("rest", c_uint32 * 6),
    )


def _request(direction: int, number: int, size_bytes: int) -> int:
    """As ``_IOC`` of ``asm-generic/ioctl.h`` has it, for x86 and Arm."""
    return direction << 30 | size_bytes << 16 | ord("V") << 8 | number


_WRITE, _READ, _BOTH = 1, 2, 3

QUERYCAP = _request(_READ, 0, ctypes.sizeof(Capability))
ENUM_FMT = _request(_BOTH, 2, ctypes.sizeof(FormatDescription))
G_FMT = _request(_BOTH, 4, ctypes.sizeof(Format))
S_FMT = _request(_BOTH, 5, ctypes.sizeof(Format))
REQBUFS = _request(_BOTH, 8, ctypes.sizeof(RequestBuffers))
QUERYBUF = _request(_BOTH, 9, ctypes.sizeof(Buffer))
QBUF = _request(_BOTH, 15, ctypes.sizeof(Buffer))
DQBUF = _request(_BOTH, 17, ctypes.sizeof(Buffer))
STREAMON = _request(_WRITE, 18, ctypes.sizeof(c_int32))
STREAMOFF = _request(_WRITE, 19, ctypes.sizeof(c_int32))
G_PARM = _request(_BOTH, 21, ctypes.sizeof(StreamParameters))
S_PARM = _request(_BOTH, 22, ctypes.sizeof(StreamParameters))
ENUM_FRAMESIZES = _request(_BOTH, 74, ctypes.sizeof(FrameSize))
ENUM_FRAMEINTERVALS = _request(_BOTH, 75, ctypes.sizeof(FrameInterval))
