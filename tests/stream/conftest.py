"""Real parts for tests of streams: an HTTP camera that can misbehave, and waiting for something to happen."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest

from edgefuse.stream.camera import Camera
from edgefuse.stream.frame import Frame
from edgefuse.stream.fusing import FusedFrame
from edgefuse.stream.pairing import Pair


class HttpCamera:
    """A motion-JPEG camera on loopback whose faults are switched by the test."""

    def __init__(self, port: int = 0) -> None:
        self.size = (48, 64)
        self.rate_hz = 40.0
        self.silent = threading.Event()
        self.frozen = threading.Event()
        self.truncated = threading.Event()
        self.noisy = False
        self.connections = 0
        self._stopped = threading.Event()
        self._number = 0
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                camera.connections += 1
                while not camera._stopped.is_set():
                    time.sleep(1 / camera.rate_hz)
                    if camera.silent.is_set():
                        continue
                    data = camera.jpeg()
                    part = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(data)
                    try:
                        self.wfile.write(part + data + b"\r\n")
                    except OSError:
                        return

            def log_message(self, *_: object) -> None:
                """Keep the test's output clean."""

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """A client that was killed is part of the test."""

        Server.daemon_threads = True
        Server.block_on_close = False
        self._server = Server(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def jpeg(self) -> bytes:
        """The next frame; its brightness counts upwards."""
        if not self.frozen.is_set():
            self._number += 1
        image = np.full((*self.size, 3), 40 + self._number % 160, np.uint8)
        if self.noisy:
            image = cv2.randu(image, 0, 256)
        data = cv2.imencode(".jpg", image)[1].tobytes()
        return data[: len(data) // 2] if self.truncated.is_set() and self._number % 2 else data

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}/video"

    def stop(self) -> None:
        """Close all connections."""
        self._stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def http_camera() -> Iterator[Callable[..., HttpCamera]]:
    """Start motion-JPEG cameras; all are stopped after the test."""
    pytest.importorskip("av")
    started: list[HttpCamera] = []

    def start(port: int = 0) -> HttpCamera:
        started.append(HttpCamera(port))
        return started[-1]

    yield start
    for camera in started:
        camera.stop()


@pytest.fixture
def fused_frame() -> Callable[[int], FusedFrame]:
    """Make fused pictures whose content tells their number."""

    def make(number: int) -> FusedFrame:
        vis = np.full((48, 64, 3), number % 200, np.uint8)
        raw = np.full((24, 32), 7000 + number, np.uint16)
        frames = Frame("ir", raw, number, None, number / 30, 0.0), Frame("vis", vis, number, 0.5, 5.0, 5.0)
        unit = np.full((48, 64), 0.5, np.float32)
        return FusedFrame(Pair(*frames, 0.0, False, 0.25), vis + 1, unit, number, {"total": 12.5}, 30.0)

    return make


@pytest.fixture
def kill_camera() -> Callable[[Camera], None]:
    """Kill -9 the process of a camera that runs; with none, signalling would reach the test's own process group."""

    def kill(camera: Camera) -> None:
        process = camera.process_id
        assert process, "the camera has no process to kill"
        os.kill(process, signal.SIGKILL)

    return kill


@pytest.fixture
def wait_for() -> Callable[[Callable[[], object]], None]:
    """Wait until something is true; the limit is for a broken program, not for a slow machine."""

    def wait(condition: Callable[[], object], limit_seconds: float = 120.0) -> None:
        deadline = time.monotonic() + limit_seconds
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail("it did not happen")
            time.sleep(0.01)

    return wait
