"""Fused pictures for another process: ZeroMQ publish-subscribe, a header in JSON before the pixels."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
from numpy.typing import NDArray

from edgefuse.errors import InputError, MissingDependencyError, UsageError
from edgefuse.stream.fusing import FusedFrame
from edgefuse.stream.outputs.output import Output

__all__ = ["FORMAT_VERSION", "PICTURES", "Published"]

FORMAT_VERSION = 1
PICTURES = ("fused", "vis", "ir", "raw")
"""``ir`` is infrared in [0, 1] in the geometry of the visible picture, ``raw`` what the infrared camera gave."""

_TOPIC = b"edgefuse"
_LARGEST_PORT = 65535  # ZeroMQ itself takes larger ones, and opens another port
_WAITING_MESSAGES = 2
"""For each reader; what finds them waiting is lost to this reader, who sees it by the number in the header."""


class Published(Output):
    """A ZeroMQ PUB socket that readers connect to, none, one or several.

    A message has two parts and one for each picture: the topic ``edgefuse``, the header, the pixels in C order.

    Args:
        address: ``zmq://HOST:PORT``, or ``zmq+ipc:///path`` for this machine alone; with ``?pictures=fused,vis,ir,raw``
            for more than the fused one.

    Raises:
        InputError: The address is taken or is not of this machine.
        MissingDependencyError: pyzmq is not installed.
        UsageError: It is no such address.
    """

    def __init__(self, address: str) -> None:
        try:
            import zmq
        except ImportError as error:
            raise MissingDependencyError.for_package("pyzmq", extra="stream", purpose="send to zmq://") from error
        self.name = address
        target, _, query = address.partition("?")
        self._pictures = _pictures(address, query)
        endpoint = _endpoint(target)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket: zmq.Socket[bytes] = self._context.socket(zmq.PUB)
        self._socket.set(zmq.SNDHWM, _WAITING_MESSAGES)
        self._socket.set(zmq.LINGER, 0)
        try:
            self._socket.bind(endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise InputError(f"{address}: cannot open it ({error})") from error

    def write(self, frame: FusedFrame) -> None:
        """Publish a picture; this never waits for a reader."""
        arrays = [np.ascontiguousarray(_picture(frame, name)) for name in self._pictures]
        header = _header(frame) | {
            "pictures": [
                {"name": name, "shape": array.shape, "dtype": array.dtype.str}
                for name, array in zip(self._pictures, arrays, strict=True)
            ]
        }
        self._socket.send_multipart([_TOPIC, json.dumps(header).encode(), *(array.tobytes() for array in arrays)])

    def close(self) -> None:
        """Close the socket and end its threads."""
        self._socket.close()
        self._context.term()


def _endpoint(target: str) -> str:
    scheme, _, rest = target.partition("://")
    host, _, port = rest.rpartition(":")
    if scheme.lower() == "zmq" and host and port.isdecimal() and 0 < int(port) <= _LARGEST_PORT:
        return f"tcp://{host}:{port}"
    if scheme.lower() == "zmq+ipc" and rest.startswith("/"):
        return f"ipc://{rest}"
    raise UsageError(f"{target}: give zmq://HOST:PORT, as in zmq://127.0.0.1:5600, or zmq+ipc:///run/edgefuse.socket")


def _pictures(address: str, query: str) -> tuple[str, ...]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    chosen = tuple(options.pop("pictures", "fused").split(","))
    if options or not set(chosen) <= set(PICTURES) or len(set(chosen)) != len(chosen):
        raise UsageError(f"{address}: behind ? goes pictures= with some of {','.join(PICTURES)}")
    return chosen


def _picture(frame: FusedFrame, name: str) -> NDArray[Any]:
    if name == "fused":
        return frame.fused
    if name == "vis":
        return np.asarray(frame.pair.vis.image)
    return frame.ir_unit if name == "ir" else np.asarray(frame.pair.ir.image)


def _header(frame: FusedFrame) -> dict[str, Any]:
    pair = frame.pair
    return {
        "version": FORMAT_VERSION,
        "sequence": frame.number,
        "pts_seconds": pair.vis.pts_seconds,
        "captured_seconds": pair.vis.captured_seconds,
        "ir_captured_seconds": pair.ir.captured_seconds,
        "ir_held": pair.held,
        "ir_age_seconds": pair.ir_age_seconds,
        "latency_ms": frame.stage_ms.get("total"),
    }
