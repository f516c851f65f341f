"""The HTTP server behind the preview page: on this machine only, unless a token guards it."""

from __future__ import annotations

import hmac
import json
import secrets
import threading
from collections.abc import Callable, Iterable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import cv2
import numpy as np
from numpy.typing import NDArray

from edgefuse.calibrate import from_points
from edgefuse.errors import EdgeFuseError, InputError, UsageError
from edgefuse.fuser import load
from edgefuse.runtime import Device
from edgefuse.stream.fusing import FusedFrame
from edgefuse.stream.palettes import Palette, colour, overlay
from edgefuse.stream.preview.choices import model_choices
from edgefuse.stream.preview.metrics import prometheus
from edgefuse.stream.session import Session
from edgefuse.thermal import to_unit

__all__ = ["PreviewServer", "parse_address"]

_DEFAULT_PORT = 8600
_LARGEST_BODY_BYTES = 16 << 10
_TIMEOUT_SECONDS = 10.0
_JPEG_QUALITY = 85
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; img-src 'self' blob: data:; connect-src 'self'; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",  # the address holds the token
    "X-Content-Type-Options": "nosniff",
}

Picture = Callable[[FusedFrame], NDArray[np.uint8]]

_PICTURES: dict[str, Picture] = {
    "ir": lambda frame: colour(frame.ir_unit, "white-hot"),
    "vis": lambda frame: np.asarray(frame.pair.vis.image, np.uint8),
    "fused": lambda frame: frame.fused,
    "overlay": lambda frame: overlay(frame.ir_unit, np.asarray(frame.pair.vis.image, np.uint8)),
    "raw": lambda frame: colour(to_unit(frame.pair.ir.image), "white-hot"),
}


def parse_address(text: str) -> tuple[str, int]:
    """Parse ``--preview``.

    Args:
        text: ``PORT``, ``HOST``, or ``HOST:PORT``; IPv6 in brackets.

    Returns:
        Host and port; 127.0.0.1 and 8600 where they are not given.

    Raises:
        UsageError: No address.
    """
    if text.isdecimal():
        text = f"127.0.0.1:{text}"
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or (port is None and text.endswith(":")):
        raise UsageError(f"--preview is PORT, HOST or HOST:PORT, not {text!r}")
    return host, _DEFAULT_PORT if port is None else port


class PreviewServer:
    """Serves a session to browsers and monitoring.

    Args:
        session: The stream.
        host: Address to bind. Anything but this machine's own wants a token from every visitor.
        port: 0 chooses a free one.
        token: What visitors must know; made up where it is needed and not given.
        allowed_hosts: Names under which the page may be asked for, besides the bound address and this machine's own.
            A page of another site that makes a browser ask here under its own name is refused.
        palette: Of the infrared picture.
        device: Where models that the page switches to run.
        models_folder: Where exported models lie that the page offers, by default the folder that the stream was
            started in.

    Raises:
        InputError: The address cannot be bound.
    """

    def __init__(
        self,
        session: Session,
        *,
        host: str = "127.0.0.1",
        port: int = _DEFAULT_PORT,
        token: str | None = None,
        allowed_hosts: Iterable[str] = (),
        palette: Palette = "white-hot",
        device: Device = "cpu",
        models_folder: Path | None = None,
    ) -> None:
        self.session, self._palette, self._device = session, palette, device
        self.models_folder = models_folder or Path.cwd()
        self.token = token or (None if _is_loopback(host) else secrets.token_urlsafe(24))
        self.allowed_hosts = {"127.0.0.1", "localhost", "::1", host.lower(), *(name.lower() for name in allowed_hosts)}
        try:
            self._server = _Server((host, port), _handler(self))
        except OSError as error:
            raise InputError(f"cannot serve a preview on {host}:{port} ({error.strerror})") from error
        self.port = int(self._server.server_address[1])
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self.port}/" + (
            f"?token={self.token}" if self.token else ""
        )
        self._lock = threading.Lock()
        self._encoded: dict[str, tuple[int, bytes]] = {}
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="preview", daemon=True)
        self._thread.start()

    def picture(self, name: str) -> bytes | None:
        """The newest picture of a kind as JPEG, encoded once for all visitors; None before the first."""
        frame = self.session.latest
        if frame is None:
            return None
        with self._lock:
            number, data = self._encoded.get(name, (-1, b""))
            if number != frame.number:
                image = colour(frame.ir_unit, self._palette) if name == "ir" else _PICTURES[name](frame)
                data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()
                self._encoded[name] = frame.number, data
        return data

    def switch_model(self, request: dict[str, Any]) -> dict[str, Any]:
        """Go on with another model on the same device: ``{"model": NAME or FILE}``."""
        model = request.get("model")
        if not isinstance(model, str):
            raise UsageError("model must be a text")
        self.session.exchange(load(model, device=self._device))
        return {"model": self.session.fuser.model}

    def calibrate(self, request: dict[str, Any]) -> dict[str, Any]:
        """Register by clicked points from now on: ``{"ir": [[x, y], …], "vis": …, "distance_metres": …}``."""
        frame = self.session.latest
        if frame is None:
            raise InputError("no picture yet")
        try:
            points = [np.array(request[role], np.float64).reshape(-1, 2) for role in ("ir", "vis")]
            distance = request.get("distance_metres")
            calibration = from_points(
                points[0],
                points[1],
                ir_size=(frame.pair.ir.image.shape[0], frame.pair.ir.image.shape[1]),
                vis_size=(frame.pair.vis.image.shape[0], frame.pair.vis.image.shape[1]),
                distance_metres=None if distance is None else float(distance),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"ir and vis must be lists of [x, y] ({error})") from error
        self.session.recalibrate(calibration)
        return {"toml": calibration.to_toml(), "error_px": calibration.error_px}

    def close(self) -> None:
        """Stop serving. Closing twice does nothing."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: Any) -> None:
        """A visitor that goes away is no error of ours."""


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _handler(preview: PreviewServer) -> type[BaseHTTPRequestHandler]:
    page = files("edgefuse.stream.preview").joinpath("page.html").read_bytes()

    class Handler(BaseHTTPRequestHandler):
        timeout = _TIMEOUT_SECONDS
        server_version = "edgefuse"
        sys_version = ""

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            if path == "/healthz" and self._host_allowed():
                healthy = preview.session.healthy
                self._send(200 if healthy else 503, b"ok\n" if healthy else b"unhealthy\n", "text/plain")
                return
            if not self._admitted():
                return
            if path == "/":
                self._send(200, page, "text/html; charset=utf-8")
            elif path == "/status":
                self._json(200, preview.session.status() | {"healthy": preview.session.healthy})
            elif path == "/models":
                self._json(200, {"models": model_choices(preview.models_folder)})
            elif path == "/metrics":
                text = prometheus(preview.session.status(), healthy=preview.session.healthy)
                self._send(200, text.encode(), "text/plain; version=0.0.4")
            elif path.removeprefix("/frame/").removesuffix(".jpg") in _PICTURES:
                data = preview.picture(path.removeprefix("/frame/").removesuffix(".jpg"))
                self._send(503 if data is None else 200, data or b"", "image/jpeg")
            else:
                self._json(404, {"error": "nothing here"})

        def do_POST(self) -> None:
            if not self._admitted():
                return
            origin = self.headers.get("Origin")
            if origin is not None and urlsplit(origin).netloc != self.headers.get("Host"):
                self._json(403, {"error": "asked from another site"})
                return
            actions = {"/model": preview.switch_model, "/calibration": preview.calibrate}
            action = actions.get(urlsplit(self.path).path)
            if action is None:
                self._json(404, {"error": "nothing here"})
                return
            try:
                self._json(200, action(self._body()))
            except EdgeFuseError as error:
                self._json(400, {"error": str(error)})

        def _body(self) -> dict[str, Any]:
            length = self.headers.get("Content-Length", "")
            if not length.isdecimal() or int(length) > _LARGEST_BODY_BYTES:
                raise UsageError(f"a request of at most {_LARGEST_BODY_BYTES} bytes is needed")
            # A form of another site cannot send this type without being asked first.
            if self.headers.get_content_type() != "application/json":
                raise UsageError("send application/json")
            try:
                body = json.loads(self.rfile.read(int(length)))
            except ValueError as error:
                raise UsageError("this is no JSON") from error
            if not isinstance(body, dict):
                raise UsageError("send an object")
            return body

        def _host_allowed(self) -> bool:
            host = urlsplit(f"//{self.headers.get('Host', '')}").hostname or ""
            if host.lower() in preview.allowed_hosts:
                return True
            self._json(403, {"error": "not served under this name: give --preview-host"})
            return False

        def _admitted(self) -> bool:
            if not self._host_allowed():
                return False
            if preview.token is None:
                return True
            given = parse_qs(urlsplit(self.path).query).get("token", [""])[0]
            given = given or self.headers.get("Authorization", "").removeprefix("Bearer ")
            if hmac.compare_digest(given.encode(), preview.token.encode()):
                return True
            self._json(401, {"error": "the token is missing or wrong"})
            return False

        def _json(self, status: int, payload: dict[str, Any]) -> None:
            self._send(status, json.dumps(payload, default=str).encode(), "application/json")

        def _send(self, status: int, data: bytes, kind: str) -> None:
            self.send_response(HTTPStatus(status))
            for name, value in {**_HEADERS, "Content-Type": kind, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Addresses hold tokens: nothing is logged."""

    return Handler
