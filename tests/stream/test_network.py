"""Streams that ffmpeg makes and sends, and that go out through it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgefuse.stream.camera import Camera
from edgefuse.stream.config import CameraConfig
from edgefuse.stream.frame import Frame
from edgefuse.stream.fusing import FusedFrame
from edgefuse.stream.outputs import OutputThread, create_output
from edgefuse.stream.pairing import Pair
from edgefuse.stream.uri import parse_uri


@pytest.fixture
def ffmpeg() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start ffmpeg; it is killed after the test."""
    pytest.importorskip("av")
    if shutil.which("ffmpeg") is None:
        reason = "no ffmpeg on this machine: apt install ffmpeg"
        if os.environ.get("EDGEFUSE_REQUIRE_STREAM_TOOLS") == "1":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(["ffmpeg", "-loglevel", "error", "-y", *arguments], stdin=subprocess.DEVNULL))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


TEST_PICTURE = ("-re", "-f", "lavfi", "-i", "testsrc=size=96x64:rate=25")
H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "10", "-pix_fmt", "yuv420p")


def test_a_file_of_ffmpeg_is_read_to_its_end(ffmpeg: Any, tmp_path: Path, wait_for: Any) -> None:
    """Each frame once, at the times that the file states."""
    path = tmp_path / "clip.mp4"
    assert ffmpeg(*TEST_PICTURE[1:], "-t", "1", *H264, str(path)).wait(60) == 0
    frames: list[Frame] = []
    camera = Camera(CameraConfig("vis", parse_uri(str(path))), frames.append, every=True, start_seconds=50.0)
    camera.start()
    wait_for(lambda: camera.status().state == "ended")
    camera.close()
    np.testing.assert_allclose([frame.captured_seconds for frame in frames], 50 + np.arange(25) / 25, atol=1e-3)
    assert {frame.image.shape for frame in frames} == {(64, 96, 3)}


def test_a_udp_stream_is_received(ffmpeg: Any, wait_for: Any) -> None:
    """Sent on loopback by ffmpeg, stopped and sent again."""
    port = free_port()
    send = (*TEST_PICTURE, *H264, "-f", "mpegts", f"udp://127.0.0.1:{port}?pkt_size=1316")
    frames: list[Frame] = []
    camera = Camera(CameraConfig("vis", parse_uri(f"udp://127.0.0.1:{port}")), frames.append)
    camera.start()
    first = ffmpeg(*send)
    wait_for(lambda: len(frames) > 3)
    first.kill()
    wait_for(lambda: camera.status().restarts["stalled"] >= 1)
    ffmpeg(*send)
    seen = len(frames)
    wait_for(lambda: len(frames) > seen + 3)
    camera.close()
    assert {frame.image.shape for frame in frames} == {(64, 96, 3)}


def test_fused_pictures_go_out_through_ffmpeg(ffmpeg: Any, wait_for: Any) -> None:
    """What is sent over UDP arrives as a picture of the same content."""
    port = free_port()
    received: list[Frame] = []
    camera = Camera(CameraConfig("vis", parse_uri(f"udp://127.0.0.1:{port}")), received.append)
    camera.start()
    output = OutputThread(create_output(f"udp://127.0.0.1:{port}?pkt_size=1316"))
    picture = np.zeros((64, 96, 3), np.uint8)
    picture[:, 48:] = (30, 120, 220)
    one = Frame("vis", picture, 0, None, 0.0, 0.0)
    fused = FusedFrame(Pair(one, one, 0.0, False, 0.0), picture, np.zeros((64, 96), np.float32), 0, {}, 25.0)

    def arrived() -> bool:
        output.offer(fused)
        return len(received) > 2

    wait_for(arrived)
    output.close()
    camera.close()
    assert output.error is None
    shown = received[-1].image.astype(int)
    assert shown.shape == (64, 96, 3)
    assert np.abs(shown[:, 60:].mean(axis=(0, 1)) - [30, 120, 220]).max() < 25
    assert shown[:, :36].mean() < 20


RTSP_SERVER = """
import gi, sys
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
server = GstRtspServer.RTSPServer.new()
server.set_address("127.0.0.1")
server.set_service(sys.argv[1])
factory = GstRtspServer.RTSPMediaFactory.new()
factory.set_launch("( videotestsrc is-live=true ! video/x-raw,format=I420,width=96,height=64,framerate=25/1 ! "
                   "jpegenc ! rtpjpegpay name=pay0 pt=26 )")
server.get_mount_points().add_factory("/live", factory)
server.attach(None)
GLib.MainLoop().run()
"""


@pytest.fixture
def rtsp_server() -> Iterator[Callable[[int], subprocess.Popen[bytes]]]:
    """Start GStreamer RTSP servers on loopback, by the Python of the system that holds its bindings."""
    pytest.importorskip("av")
    check = [sys_python := "/usr/bin/python3", "-c", RTSP_SERVER.partition("Gst.init")[0]]
    if not Path(sys_python).exists() or subprocess.run(check, check=False, capture_output=True).returncode:
        reason = "no GStreamer RTSP server: apt install python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-good"
        if os.environ.get("EDGEFUSE_REQUIRE_STREAM_TOOLS") == "1":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    started: list[subprocess.Popen[bytes]] = []

    def start(port: int) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([sys_python, "-c", RTSP_SERVER, str(port)]))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_an_rtsp_camera_is_read_and_found_again_after_it_was_killed(rtsp_server: Any, wait_for: Any) -> None:
    """A server that dies without a word, and returns on the same port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    frames: list[Frame] = []
    server = rtsp_server(port)
    camera = Camera(CameraConfig("vis", parse_uri(f"rtsp://user:hunter2@127.0.0.1:{port}/live")), frames.append)
    camera.start()
    wait_for(lambda: len(frames) > 3)
    server.kill()
    wait_for(lambda: camera.status().restarts.total() >= 1)
    assert "hunter2" not in str(camera.status().error)
    rtsp_server(port)
    seen = len(frames)
    wait_for(lambda: len(frames) > seen + 3)
    camera.close()
    assert {frame.image.shape for frame in frames} == {(64, 96, 3)}
