"""Where frames come from: one URI a camera, and how it is shown without its credentials."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import parse_qsl, urlsplit

from edgefuse.errors import UsageError
from edgefuse.pairs import VIDEO_SUFFIXES

__all__ = ["KINDS", "V4L2_FORMATS", "Kind", "SourceUri", "parse_uri", "redact"]

Kind = Literal["v4l2", "rtsp", "http", "udp", "file", "frames", "csi", "gst", "synthetic", "recording"]
KINDS: tuple[Kind, ...] = get_args(Kind)
V4L2_FORMATS = ("y16", "y14", "y12", "y10", "grey", "yuyv", "uyvy", "nv12", "nv21", "yu12", "bgr24", "rgb24", "mjpg")

_RECORDED: frozenset[Kind] = frozenset({"file", "frames", "recording"})
_OPTIONS: Mapping[Kind, frozenset[str]] = {
    "v4l2": frozenset({"format", "size", "rate"}),
    "csi": frozenset({"size", "rate"}),
    "file": frozenset({"rate", "loop"}),
    "frames": frozenset({"rate", "loop"}),
    "recording": frozenset({"times"}),
    "synthetic": frozenset({"seed", "size", "rate", "seconds", "noise"}),
}
_DEVICES = ("/dev/video", "/dev/v4l/")
_NETWORK = {"rtsp": "rtsp", "rtsps": "rtsp", "http": "http", "https": "http", "udp": "udp"}
_PRINTF = re.compile(r"%0?\d*d")
_USERINFO = re.compile(r"(?<=://)[^/\s?#\"']*@")
_SECRET = re.compile(
    r"(?i)\b([\w-]*(?:password|passwd|pwd|user-pw|token|secret|auth|api[_-]?key|signature|credential)[\w-]*\s*[=:]\s*)"
    r"(\"[^\"]*\"|'[^']*'|[^&\s;,]+)"
)


def redact(text: str) -> str:
    """Take user names, passwords and tokens out of a text that may hold URLs.

    Args:
        text: A URI, a GStreamer pipeline, or an error message around one.

    Returns:
        The text with ``***`` in their place.

    Example:
        >>> redact("cannot open rtsp://admin:pw@10.0.0.2/live?token=abc")
        'cannot open rtsp://***@10.0.0.2/live?token=***'
    """
    return _SECRET.sub(r"\1***", _USERINFO.sub("***@", text))


@dataclass(frozen=True)
class SourceUri:
    """A parsed source.

    Args:
        kind: What opens it.
        target: Device, URL, path, pattern or pipeline; may hold credentials, so it is never printed.
        options: What stood behind the question mark, for the kinds that take options of ours.
    """

    kind: Kind
    target: str = field(repr=False)
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def live(self) -> bool:
        """Whether it runs by itself: such a source is restarted when it stops, a recorded one has an end."""
        return self.kind not in _RECORDED

    @property
    def shown(self) -> str:
        """The source for logs and JSON, without credentials."""
        options = "&".join(f"{key}={value}" for key, value in self.options.items())
        text = redact(self.target if self.kind in ("file", "frames", "rtsp", "http", "udp") else self._prefixed())
        return text + (f"?{options}" if options else "")

    def _prefixed(self) -> str:
        return f"v4l2://{self.target}" if self.kind == "v4l2" else f"{self.kind}:{self.target}"

    def size(self) -> tuple[int, int] | None:
        """The option ``size=WxH`` as (height, width), or None."""
        if "size" not in self.options:
            return None
        width, _, height = self.options["size"].partition("x")
        try:
            found = int(height), int(width)
        except ValueError:
            found = (0, 0)
        if min(found) < 1:
            raise UsageError(f"{self.shown}: size must be WIDTHxHEIGHT, as in 640x480")
        return found

    def number(self, name: str, default: float) -> float:
        """An option that is a number not below 0."""
        try:
            value = float(self.options.get(name, default))
        except ValueError:
            value = -1.0
        if not 0.0 <= value < float("inf"):
            raise UsageError(f"{self.shown}: {name} must be a number of 0 or more")
        return value


def parse_uri(text: str) -> SourceUri:
    """Parse what a user gives as ``--ir`` or ``--vis``.

    Args:
        text: ``v4l2:///dev/video0?format=y16`` (``/dev/video0`` and ``v4l2:0`` are understood too), ``rtsp://``,
            ``http://``, ``udp://``, a video file, a folder of frames, a printf pattern of frames, ``csi://0``,
            ``gst:PIPELINE``, ``synthetic:?seed=1``, or ``recording:FOLDER`` of ``edgefuse stream --record``.

    Returns:
        The source; nothing is opened, only paths are looked at.

    Raises:
        UsageError: It is none of these, or has an option that its kind does not take.
    """
    text = text.strip()
    if not text:
        raise UsageError("an empty source: give a device, URL, file, folder or pattern")
    if text.startswith("gst:"):
        return SourceUri("gst", text[4:].removeprefix("//"))
    scheme, separator, rest = text.partition(":")
    if scheme.lower() in _NETWORK and rest.startswith("//"):
        if not urlsplit(text).netloc.rpartition("@")[2]:
            raise UsageError(f"{redact(text)}: no host in it")
        return SourceUri(_kind(_NETWORK[scheme.lower()]), text)
    if text.startswith(_DEVICES):
        scheme, separator, rest = "v4l2", ":", text
    if separator and scheme.lower() in ("v4l2", "csi", "synthetic", "recording"):
        target, options = _split_options(rest.removeprefix("//"))
        return _checked(SourceUri(_kind(scheme.lower()), target, options))
    if separator and rest.startswith("//") and scheme.lower() != "file":
        raise UsageError(f"unknown source {scheme}://: give one of {', '.join(KINDS)}, a file, a folder or a pattern")
    target, options = _split_options(text.removeprefix("file://"))
    if _PRINTF.search(target) or Path(target).is_dir():
        return _checked(SourceUri("frames", target, options))
    if Path(target).suffix.lower() not in VIDEO_SUFFIXES and not Path(target).is_file():
        raise UsageError(f"{redact(text)}: no video file, folder, pattern or URL ({', '.join(KINDS)})")
    return _checked(SourceUri("file", target, options))


def _kind(name: str) -> Kind:
    return next(kind for kind in KINDS if kind == name)


def _split_options(text: str) -> tuple[str, Mapping[str, str]]:
    target, _, query = text.partition("?")
    return target, dict(parse_qsl(query, keep_blank_values=True))


def _checked(uri: SourceUri) -> SourceUri:
    allowed = _OPTIONS.get(uri.kind, frozenset())
    for name in uri.options:
        if name not in allowed:
            raise UsageError(
                f"{uri.shown}: {uri.kind} takes {', '.join(sorted(allowed)) or 'no options'}, not {name!r}"
            )
    uri.size()
    for name in uri.options.keys() & {"rate", "seed", "seconds", "noise"}:
        uri.number(name, 0.0)
    if (name := uri.options.get("format", "y16")).lower() not in V4L2_FORMATS:
        raise UsageError(f"{uri.shown}: format must be one of {', '.join(V4L2_FORMATS)}, not {name!r}")
    return uri
