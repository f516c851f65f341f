"""Cameras in processes of their own, with real faults."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgefuse.errors import InputError
from edgefuse.stream.camera import Camera
from edgefuse.stream.config import CameraConfig
from edgefuse.stream.frame import Frame
from edgefuse.stream.ring import Layout, Ring
from edgefuse.stream.uri import parse_uri

WaitFor = Callable[[Callable[[], object]], None]


class Collector:
    """A camera whose frames are kept."""

    def __init__(self, source: str | Path, role: Any = "vis", profile: str | None = None, **options: Any) -> None:
        self.frames: list[Frame] = []
        self.states: list[str] = []
        config = CameraConfig(role, parse_uri(str(source)), profile_name=profile)
        self.camera = Camera(config, self.frames.append, on_state=lambda _, state: self.states.append(state), **options)

    def __enter__(self) -> Collector:
        self.camera.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.camera.close()
        self.camera.close()


def test_a_ring_hands_frames_over_unchanged_and_refuses_nonsense() -> None:
    """Through shared memory, with the layout of a broken source refused before memory is taken."""
    image = np.random.default_rng(0).integers(0, 65535, (9, 11)).astype(np.uint16)
    ring = Ring(Layout.of(image))
    other = Ring(ring.layout, name=ring.name)
    ring.write(2, image)
    np.testing.assert_array_equal(other.read(2), image)
    other.close()
    ring.close()
    ring.close()
    for shape in ((4, 4), (100000, 100000), (64, 64, 2)):
        with pytest.raises(InputError):
            Layout(shape, "uint8")


def test_every_frame_of_a_folder_comes_in_order_with_its_bits(tmp_path: Path, wait_for: WaitFor) -> None:
    """16-bit counts arrive bit for bit, and the end is told from a fault."""
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 65535, (40, 50)).astype(np.uint16) for _ in range(11)]
    for number, image in enumerate(images):
        cv2.imwrite(str(tmp_path / f"frame_{number:02d}.png"), image)
    with Collector(tmp_path / "frame_%02d.png", "ir", "generic16", every=True, start_seconds=100.0) as got:
        wait_for(lambda: got.camera.status().state == "ended")
    assert [frame.sequence for frame in got.frames] == list(range(11))
    for frame, image in zip(got.frames, images, strict=True):
        np.testing.assert_array_equal(frame.image, image)
    assert got.frames[3].captured_seconds == pytest.approx(100.1)
    assert got.camera.status().restarts.total() == 0


def test_sixteen_bit_video_stays_sixteen_bits(tmp_path: Path, wait_for: WaitFor) -> None:
    """A lossless gray16 file gives its counts back, an 8-bit one its picture."""
    av = pytest.importorskip("av")
    counts = np.random.default_rng(1).integers(6000, 9000, (6, 48, 64)).astype(np.uint16)
    with av.open(str(tmp_path / "raw.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=10, width=64, height=48, pix_fmt="gray16le")
        for image in counts:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="gray16le")))
        container.mux(stream.encode())
    with Collector(tmp_path / "raw.mkv", "ir", "generic16", every=True) as got:
        wait_for(lambda: got.camera.status().state == "ended")
    np.testing.assert_array_equal(np.stack([frame.image for frame in got.frames]), counts)
    np.testing.assert_allclose([frame.pts_seconds for frame in got.frames], np.arange(6) / 10, atol=2e-3)


def test_a_missing_file_fails_and_is_not_tried_again(tmp_path: Path, wait_for: WaitFor) -> None:
    """A recorded source that cannot be read is the user's error."""
    with Collector(tmp_path / "missing.mp4") as got:
        wait_for(lambda: got.camera.status().state == "failed")
    assert "no such file" in str(got.camera.status().error)


def test_a_file_without_a_single_frame_fails(tmp_path: Path, wait_for: WaitFor) -> None:
    """A cut picture or video is not taken for one that has ended."""
    whole = cv2.imencode(".png", np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8))[1].tobytes()
    (tmp_path / "cut.png").write_bytes(whole[:1000])
    with Collector(tmp_path / "cut.png") as got:
        wait_for(lambda: got.camera.status().state == "failed")
    assert "cut.png: no frame of it can be decoded" in str(got.camera.status().error)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc here")
def test_a_camera_process_never_sees_a_ctrl_c(tmp_path: Path) -> None:
    """It is blocked from the first moment: the parent decides what ends."""
    program = (
        "import sys, time\n"
        "from edgefuse.stream.camera import Camera\n"
        "from edgefuse.stream.config import CameraConfig\n"
        "from edgefuse.stream.uri import parse_uri\n"
        "if __name__ == '__main__':\n"
        "    camera = Camera(CameraConfig('vis', parse_uri('synthetic:?size=64x64')), lambda _: None)\n"
        "    camera.start()\n"
        "    while not camera.process_id: time.sleep(0.01)\n"
        "    for pid in ('self', camera.process_id): print(open(f'/proc/{pid}/status').read())\n"
        "    camera.close()\n"
    )
    (tmp_path / "program.py").write_text(program)
    shown = subprocess.run([sys.executable, tmp_path / "program.py"], capture_output=True, text=True, check=True).stdout
    masks = [int(line.split()[1], 16) for line in shown.splitlines() if line.startswith("SigBlk")]
    assert [bool(mask & 1 << (signal.SIGINT - 1)) for mask in masks] == [False, True]


def test_a_killed_process_is_started_again(wait_for: WaitFor, http_camera: Any, kill_camera: Any) -> None:
    """Kill -9 costs frames, not the camera; sequence numbers go on."""
    with Collector(http_camera().url) as got:
        for deaths in (1, 2):
            seen = len(got.frames)
            wait_for(lambda seen=seen: len(got.frames) > seen + 3)
            kill_camera(got.camera)
            wait_for(lambda deaths=deaths: got.camera.status().restarts["died"] == deaths)
        seen = len(got.frames)
        wait_for(lambda: len(got.frames) > seen + 3)
    numbers = [frame.sequence for frame in got.frames]
    assert numbers == list(range(len(numbers)))


def test_a_source_that_falls_silent_is_restarted_and_comes_back(wait_for: WaitFor, http_camera: Any) -> None:
    """The connection stays open and nothing comes: no library reports that."""
    source = http_camera()
    with Collector(source.url, stall_seconds=1.0) as got:
        wait_for(lambda: len(got.frames) > 3)
        source.silent.set()
        wait_for(lambda: got.camera.status().restarts["stalled"] == 1)
        source.silent.clear()
        seen = len(got.frames)
        wait_for(lambda: len(got.frames) > seen + 3)
    assert source.connections == 2
    assert {"running", "held", "restarting"} <= set(got.states)


def test_a_server_that_dies_and_returns_is_found_again(wait_for: WaitFor, http_camera: Any) -> None:
    """As a camera that is unplugged and plugged in."""
    source = http_camera()
    with Collector(source.url) as got:
        wait_for(lambda: len(got.frames) > 3)
        source.stop()
        wait_for(lambda: got.camera.status().restarts["failed"] >= 1)
        http_camera(source.port)
        seen = len(got.frames)
        wait_for(lambda: len(got.frames) > seen + 3)
    assert "hunter" not in str(got.camera.status().error)


def test_a_closed_shutter_is_held_and_not_reconnected(wait_for: WaitFor, http_camera: Any) -> None:
    """Repeated frames, and then silence as long as a shutter takes: the age counts from the last new picture."""
    source = http_camera()
    with Collector(source.url, "ir", "generic16", stall_seconds=1.0) as got:
        wait_for(lambda: len(got.frames) > 3)
        source.frozen.set()
        wait_for(lambda: got.camera.status().state == "held")
        wait_for(lambda: got.frames[-1].captured_seconds - got.frames[-1].changed_seconds > 1.0)
        source.frozen.clear()
        wait_for(lambda: got.camera.status().state == "running")
        source.silent.set()
        wait_for(lambda: got.camera.status().state == "held")
        time.sleep(1.5)
        source.silent.clear()
        wait_for(lambda: got.camera.status().state == "running")
    assert got.camera.status().restarts.total() == 0
    assert source.connections == 1


@pytest.mark.parametrize("fixed", [False, True])
def test_a_changed_size_is_followed_or_refused_by_name(fixed: bool, wait_for: WaitFor, http_camera: Any) -> None:
    """A frame of the new size is never read as one of the old."""
    source = http_camera()
    with Collector(source.url, fixed_layout=fixed) as got:
        wait_for(lambda: len(got.frames) > 3)
        source.stop()
        again = http_camera(source.port)
        again.size = (96, 80)
        if fixed:
            wait_for(lambda: got.camera.status().restarts["refused"] >= 1)
            assert "80x96" in str(got.camera.status().error)
            assert {frame.image.shape for frame in got.frames} == {(48, 64, 3)}
        else:
            wait_for(lambda: got.frames[-1].image.shape == (96, 80, 3))
            assert got.camera.status().layout == Layout((96, 80, 3), "uint8")


def test_truncated_frames_do_not_end_a_stream(wait_for: WaitFor, http_camera: Any) -> None:
    """Half of a picture is a damaged picture, and the next one is whole."""
    source = http_camera()
    with Collector(source.url) as got:
        wait_for(lambda: len(got.frames) > 3)
        source.truncated.set()
        time.sleep(0.5)
        source.truncated.clear()
        seen = len(got.frames)
        wait_for(lambda: len(got.frames) > seen + 5)
    assert {frame.image.shape for frame in got.frames} == {(48, 64, 3)}


def test_closing_leaks_no_file_descriptor_and_no_memory_block(wait_for: WaitFor, http_camera: Any) -> None:
    """Ten restarts a day for a year must not fill a table."""
    source = http_camera()

    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    def blocks() -> set[Path]:
        """Those of this process: other tests may run beside it."""
        lines = Path("/proc/self/maps").read_text().splitlines()
        return {Path(line.split()[5]) for line in lines if "/dev/shm/psm_" in line}  # noqa: S108

    with Collector(source.url) as got:
        wait_for(lambda: len(got.frames) > 1)
    before, seen = descriptors(), set()
    for _ in range(3):
        with Collector(source.url) as got:
            wait_for(lambda got=got: len(got.frames) > 1)
            seen |= blocks()
    wait_for(lambda: descriptors() <= before + 1)
    assert len(seen) == 3
    assert not any(block.exists() for block in seen)
