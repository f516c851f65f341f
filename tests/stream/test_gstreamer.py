"""GStreamer pipelines as sources and outputs, run by gst-launch-1.0."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgefuse.errors import UsageError
from edgefuse.stream.camera import Camera
from edgefuse.stream.config import CameraConfig
from edgefuse.stream.frame import Frame
from edgefuse.stream.fusing import FusedFrame
from edgefuse.stream.gstreamer import launch, source_pipeline
from edgefuse.stream.outputs import OutputThread, create_output
from edgefuse.stream.pairing import Pair
from edgefuse.stream.uri import parse_uri


@pytest.fixture(autouse=True)
def gstreamer() -> None:
    """Skip, or fail where it must be there, without gst-launch-1.0."""
    pytest.importorskip("av")
    if shutil.which("gst-launch-1.0") is None:
        reason = "no GStreamer on this machine: apt install gstreamer1.0-tools gstreamer1.0-plugins-good"
        if os.environ.get("EDGEFUSE_REQUIRE_STREAM_TOOLS") == "1":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


def camera(pipeline: str, role: Any = "vis", frames: list[Frame] | None = None) -> Camera:
    """A camera that a pipeline plays; 98 pixels make lines that GStreamer pads."""
    config = CameraConfig(role, parse_uri(f"gst:{pipeline}"))
    return Camera(config, (frames if frames is not None else []).append)


def of_process(word: str) -> list[int]:
    """Processes whose command line holds a word."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if any(word.encode() in argument for argument in arguments) and b"gst-launch" in arguments[0]:
            found.append(int(entry.name))
    return found


@pytest.mark.parametrize(
    ("role", "made", "shape"), [("vis", "BGR", (64, 98, 3)), ("vis", "I420", (64, 98, 3)), ("ir", "GRAY8", (64, 98))]
)
def test_a_pipeline_is_a_camera(role: str, made: str, shape: tuple[int, ...], wait_for: Any) -> None:
    """Red is red, whatever the format; a sink of OpenCV's at the end is replaced."""
    frames: list[Frame] = []
    pattern = "videotestsrc is-live=true pattern=red"
    source = camera(
        f"{pattern} ! video/x-raw,format={made},width=98,height=64,framerate=30/1 ! appsink drop=true", role, frames
    )
    source.start()
    wait_for(lambda: len(frames) > 10)
    source.close()
    assert {frame.image.shape for frame in frames} == {shape}
    expected = [0, 0, 255] if role == "vis" else 81  # BT.601, limited range as GStreamer's gray has it
    assert np.abs(frames[-1].image.astype(int) - expected).max() < 12
    steps = np.diff([frame.pts_seconds for frame in frames if frame.pts_seconds is not None])
    np.testing.assert_allclose(steps, 1 / 30, atol=2e-3)


def test_sixteen_bit_counts_come_bit_for_bit(tmp_path: Path, wait_for: Any) -> None:
    """From raw files that a pipeline plays, with lines that need padding."""
    counts = np.random.default_rng(0).integers(0, 65536, (5, 48, 63)).astype("<u2")
    for number, image in enumerate(counts):
        np.pad(image, ((0, 0), (0, 1))).tofile(tmp_path / f"{number}.raw")  # lines padded to a multiple of four bytes
    caps = "video/x-raw,format=GRAY16_LE,width=63,height=48"
    files = f"multifilesrc location={tmp_path}/%d.raw loop=true"
    raw = "rawvideoparse format=gray16-le width=63 height=48 framerate=30/1"
    frames: list[Frame] = []
    source = camera(f"{files} ! {raw} ! identity sync=true ! {caps}", "ir", frames)
    source.start()
    wait_for(lambda: len(frames) > 6)
    source.close()
    assert frames[0].image.dtype == np.uint16
    for frame in frames[:7]:
        assert any(np.array_equal(frame.image, image) for image in counts)


@pytest.mark.parametrize(
    ("pipeline", "message"),
    [
        ("nosuchelement", "nosuchelement"),
        ("filesrc location=/nowhere/password=hunter2 ! decodebin", "GStreamer"),
        ("videotestsrc num-buffers=3 ! video/x-raw,width=64,height=48", "ended"),
    ],
)
def test_a_pipeline_that_does_not_run_says_why_and_is_tried_again(pipeline: str, message: str, wait_for: Any) -> None:
    """In GStreamer's words, without secrets."""
    source = camera(pipeline)
    source.start()
    wait_for(lambda: source.status().restarts.total() >= 2)
    source.close()
    assert message in str(source.status().error)
    assert "hunter2" not in str(source.status().error)


def test_a_changed_size_ends_a_pipeline_and_the_next_run_is_followed(tmp_path: Path, wait_for: Any) -> None:
    """Never a picture with the lines of another."""
    frames: list[Frame] = []
    one, two = (f"videotestsrc num-buffers=9 ! video/x-raw,width={width},height=48" for width in (64, 80))
    source = camera(f"{one} ! c.  {two} ! c.  concat name=c ! identity sync=true", "vis", frames)
    source.start()
    wait_for(lambda: source.status().restarts.total() >= 1 and len(frames) > 9)
    source.close()
    for frame in frames:
        assert frame.image.shape in ((48, 64, 3), (48, 80, 3))
        assert frame.image[:30, :5].min() > 150  # the white bar of the test picture is where it belongs


def test_a_killed_camera_leaves_no_pipeline_behind(wait_for: Any, kill_camera: Any) -> None:
    """Neither when its process is killed, nor when it is closed, nor when the pipeline itself is."""
    frames: list[Frame] = []
    word = f"mark-{os.getpid()}"
    source = camera(f"videotestsrc is-live=true name={word} ! video/x-raw,width=64,height=48", "vis", frames)
    source.start()
    wait_for(lambda: len(frames) > 3)
    (first,) = of_process(word)
    kill_camera(source)
    wait_for(lambda: first not in of_process(word))
    seen = len(frames)
    wait_for(lambda: len(frames) > seen + 3)
    (second,) = of_process(word)
    os.kill(second, signal.SIGKILL)
    seen = len(frames)
    wait_for(lambda: source.status().restarts.total() >= 2 and len(frames) > seen + 3)
    source.close()
    wait_for(lambda: not of_process(word))


@pytest.mark.parametrize("shape", [(48, 66, 3), (48, 66)])
def test_fused_pictures_go_into_a_pipeline(shape: tuple[int, ...], tmp_path: Path, wait_for: Any) -> None:
    """Bit for bit, colour and gray, with lines that need padding."""
    picture = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    kind = "BGR" if len(shape) == 3 else "GRAY8"
    sink = f"video/x-raw,format={kind} ! videocrop ! multifilesink location={tmp_path}/%d.raw"
    output = OutputThread(create_output(f"gst:{sink}"))
    one = Frame("vis", picture, 0, None, 0.0, 0.0)
    fused = FusedFrame(Pair(one, one, 0.0, False, 0.0), picture, np.zeros((48, 66), np.float32), 0, {}, 25.0)

    def arrived() -> bool:
        output.offer(fused)
        return (tmp_path / "2.raw").exists()

    wait_for(arrived)
    output.close()
    assert output.error is None
    row = (66 * (3 if len(shape) == 3 else 1) + 3) // 4 * 4
    lines = np.frombuffer((tmp_path / "1.raw").read_bytes(), np.uint8).reshape(48, row)
    np.testing.assert_array_equal(lines[:, : picture[0].size].reshape(shape), picture)


def test_a_pipeline_that_fails_names_its_reason_and_is_tried_again(wait_for: Any) -> None:
    """A sink that comes back is found again; meanwhile pictures are dropped and counted."""
    output = OutputThread(create_output("gst:nosuchsink password=hunter2"))
    picture = np.zeros((48, 64, 3), np.uint8)
    one = Frame("vis", picture, 0, None, 0.0, 0.0)
    fused = FusedFrame(Pair(one, one, 0.0, False, 0.0), picture, np.zeros((48, 64), np.float32), 0, {}, 25.0)

    def tried() -> bool:
        output.offer(fused)
        return output.dropped > 20 and output.error is not None

    wait_for(tried)
    output.close()
    assert "nosuchsink" in str(output.error)
    assert "hunter2" not in str(output.error)


def test_a_jetson_camera_has_its_pipeline(wait_for: Any) -> None:
    """No Jetson was there: its two elements are replaced by their likes, the rest runs as it is written."""
    pipeline = source_pipeline(CameraConfig("vis", parse_uri("csi://1?size=320x240&rate=60")))
    played = pipeline
    for theirs, common in (
        ("nvarguscamerasrc sensor-id=1", "videotestsrc is-live=true pattern=red"),
        ("(memory:NVMM)", ""),
        ("nvvidconv", "videoconvert"),
    ):
        assert played.count(theirs) == 1
        played = played.replace(theirs, common)
    frames: list[Frame] = []
    source = camera(played, "vis", frames)
    source.start()
    wait_for(lambda: len(frames) > 5)
    source.close()
    assert {frame.image.shape for frame in frames} == {(240, 320, 3)}
    assert np.abs(frames[-1].image.astype(int) - [0, 0, 255]).max() < 12
    np.testing.assert_allclose(np.diff([frame.pts_seconds or 0.0 for frame in frames]), 1 / 60, atol=2e-3)


def test_the_memory_of_a_jetson_camera_is_named_as_gstreamer_reads_it(wait_for: Any) -> None:
    """GStreamer understands the whole string: all that is wrong with it is that this is no Jetson."""
    source = camera(source_pipeline(CameraConfig("vis", parse_uri("csi://0"))))
    source.start()
    wait_for(lambda: source.status().restarts.total() >= 1)
    source.close()
    if 'no element "nvarguscamerasrc"' not in str(source.status().error):
        pytest.skip("this is a Jetson")
    caps = "video/x-raw(memory:NVMM),width=1280,height=720,framerate=30/1"
    assert caps in source_pipeline(CameraConfig("vis", parse_uri("csi:")))
    script = (
        "import gi; gi.require_version('Gst', '1.0'); from gi.repository import Gst; Gst.init(None); "
        f"print(Gst.Caps.from_string('{caps}').get_features(0).to_string())"
    )
    told = subprocess.run(["/usr/bin/python3", "-c", script], capture_output=True, check=False, text=True)
    if "No module named 'gi'" in told.stderr:
        pytest.skip("no GObject bindings on this machine: apt install python3-gi")
    assert told.stdout == "memory:NVMM\n"


@pytest.mark.parametrize(("uri", "rate"), [("csi://0?rate=0", 30), ("csi://0?rate=29.97", 30), ("csi://0?rate=0.2", 1)])
def test_a_jetson_camera_has_whole_rates(uri: str, rate: int) -> None:
    """As the caps of its pipeline take them."""
    assert f"framerate={rate}/1" in source_pipeline(CameraConfig("vis", parse_uri(uri)))


def test_a_jetson_camera_has_a_number() -> None:
    """A device path is none."""
    with pytest.raises(UsageError, match="number of the sensor"):
        source_pipeline(CameraConfig("vis", parse_uri("csi:///dev/video0")))


def test_quotes_in_a_pipeline_are_understood() -> None:
    """As a shell would."""
    assert launch('filesrc location="a b"')[-1] == "location=a b"
    with pytest.raises(UsageError, match="quot"):
        launch('filesrc location="a')
