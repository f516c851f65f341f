"""A whole stream under real faults: killed processes, slow and failing outputs, full disks, clocks that jump."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgefuse.bench.bench_stream import held
from edgefuse.fuser import load
from edgefuse.stream.config import CameraConfig, PairConfig
from edgefuse.stream.frame import Frame
from edgefuse.stream.outputs import Output, OutputThread, RawRecorder, create_output
from edgefuse.stream.outputs.files import FrameFolder, VideoFile
from edgefuse.stream.recording import read_recording
from edgefuse.stream.session import Session, StreamOptions
from edgefuse.stream.uri import parse_uri


def skip_or_fail(reason: str) -> None:
    """Skip, or fail where the environment says that the tools are there."""
    if os.environ.get("EDGEFUSE_REQUIRE_STREAM_TOOLS") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture
def stream(http_camera: Any, average_model: Path) -> Callable[..., Any]:
    """Run a session on two motion-JPEG cameras in a thread; it is closed at the end of the block."""

    @contextmanager
    def run(
        *outputs: Output, every: bool = False, noisy: bool = False, recorder: RawRecorder | None = None
    ) -> Iterator[Any]:
        cameras = http_camera(), http_camera()
        for item in cameras if noisy else ():
            item.size, item.noisy = (240, 320), True
        ir, vis = (CameraConfig(role, parse_uri(item.url)) for role, item in zip(("ir", "vis"), cameras, strict=True))
        options = StreamOptions(mode="every" if every else "freshest")
        session = Session(
            PairConfig(ir, vis, max_skew_seconds=0.5),
            load(average_model),
            outputs=outputs,
            recorder=recorder,
            options=options,
        )
        thread = threading.Thread(target=session.run, daemon=True)
        with session:
            thread.start()
            yield session, cameras
            session.stop()
            thread.join(20.0)
        assert not thread.is_alive()

    return run


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Mount small disks in memory; they are unmounted after the test."""
    mounted: list[Path] = []

    def mount(size_bytes: int) -> Path:
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(folder)]
        if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
            pytest.skip("mounting a small disk needs root, and a container that may mount")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def children() -> set[int]:
    """Living processes below this one."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if fields[0] != "Z":
                parents[int(entry.name)] = int(fields[1])
    found: set[int] = {os.getpid()}
    while more := {child for child, parent in parents.items() if parent in found and child not in found}:
        found |= more
    return found - {os.getpid()}


def shared_blocks(processes: Iterable[int]) -> set[Path]:
    """Blocks of shared memory that processes hold; other tests may run beside this one."""
    found: set[Path] = set()
    for process in processes:
        with suppress(OSError):
            lines = Path(f"/proc/{process}/maps").read_text().splitlines()
            found |= {Path(line.split()[5]) for line in lines if "/dev/shm/psm_" in line}  # noqa: S108
    return found


def test_killed_cameras_leave_the_other_one_alone_and_leak_nothing(
    stream: Any, wait_for: Any, kill_camera: Any
) -> None:
    """Kill -9 at eight random moments: each camera counts its own restarts, fusion goes on after each."""
    chance = random.Random(1)  # noqa: S311  # where to kill is no secret
    children_before, blocks = children(), set()
    with stream() as (session, _):
        wait_for(lambda: session.frames > 5)
        before = held()
        for number in range(8):
            role = ("ir", "vis")[number % 2 if number < 4 else 0]
            camera = session._cameras[role]
            until = session.frames + chance.randrange(25)
            wait_for(lambda until=until: session.frames > until)
            restarts = camera.status().restarts.total()
            wait_for(lambda camera=camera: camera.process_id is not None)
            kill_camera(camera)
            wait_for(lambda camera=camera, restarts=restarts: camera.status().restarts.total() > restarts)
            seen, taken = session.frames, camera.status().frames
            wait_for(lambda seen=seen: session.frames > seen + 3)
            wait_for(lambda camera=camera, taken=taken: camera.status().frames > taken)
            blocks |= shared_blocks([os.getpid()])
        status = session.status()
        after = held()
    assert status["cameras"]["ir"]["restarts"] == {"died": 6}
    assert status["cameras"]["vis"]["restarts"] == {"died": 2}
    assert after["threads"] <= before["threads"] + 1
    assert after["descriptors"] <= before["descriptors"] + 2
    # 48 × 64 pixels: a leaked ring, process handle or queue for each restart would still be far below this.
    assert after["rss_kib"] - before["rss_kib"] < 20_000
    assert len(blocks) >= 8
    wait_for(lambda: not any(block.exists() for block in blocks))
    wait_for(lambda: children() - children_before <= {tracker_id()})


def tracker_id() -> int | None:
    """The process in which Python watches over shared memory; it lives as long as this one."""
    from multiprocessing import resource_tracker

    return resource_tracker._resource_tracker._pid  # type: ignore[attr-defined]


def test_an_infrared_camera_that_is_silent_then_dead_then_back_is_held_and_found(stream: Any, wait_for: Any) -> None:
    """Pictures go on with the last infrared frame, marked as held, until it is back."""
    with stream() as (session, (ir, _)):
        wait_for(lambda: session.frames > 5)
        ir.silent.set()
        wait_for(lambda: session.held > 3)
        assert session.latest.pair.ir_age_seconds > 0.0
        wait_for(lambda: session.status()["cameras"]["ir"]["restarts"].get("stalled", 0) >= 1)
        assert session.status()["cameras"]["vis"]["restarts"] == {}
        ir.silent.clear()
        wait_for(lambda: session.healthy and not session.latest.pair.held)


def test_a_camera_that_comes_back_with_another_size_is_refused_until_it_is_right_again(
    stream: Any, http_camera: Any, wait_for: Any
) -> None:
    """Counted and named, not warped, and not the end of the stream."""
    with stream() as (session, (ir, _)):
        wait_for(lambda: session.frames > 5)
        ir.stop()
        wrong = http_camera(ir.port)
        wrong.size = (96, 80)
        wait_for(lambda: session.status()["drops"].get("refused", 0) > 3)
        assert "80x96" in session.error
        assert not session.healthy
        shown = session.frames
        wrong.stop()
        http_camera(ir.port)
        wait_for(lambda: session.frames > shown + 5)
        assert session.error is None
        assert session.latest.fused.shape == (48, 64, 3)


@pytest.mark.parametrize("every", [False, True])
def test_a_viewer_that_does_not_read_holds_up_nothing(every: bool, stream: Any, wait_for: Any) -> None:
    """ffmpeg hangs in its send; pictures for it are dropped and counted, fusion goes on, and no ffmpeg stays."""
    if shutil.which("ffmpeg") is None:
        skip_or_fail("no ffmpeg on this machine: apt install ffmpeg")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    children_before = children()
    with stream(create_output(f"http://127.0.0.1:{port}/live.ts"), every=every, noisy=True) as (session, _):
        wait_for(lambda: session.frames > 5)

        def connected() -> bool:
            with suppress(OSError):
                viewer.connect(("127.0.0.1", port))
                return True
            return False

        viewer = socket.socket()
        viewer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        wait_for(connected)
        viewer.sendall(b"GET /live.ts HTTP/1.1\r\nHost: x\r\n\r\n")
        name = f"output http://127.0.0.1:{port}/live.ts"
        wait_for(lambda: session.status()["drops"].get(name, 0) > 5)
        seen = session.frames
        wait_for(lambda: session.frames > seen + 20)
        assert "queue_full" not in session.status()["drops"]
    viewer.close()
    wait_for(lambda: children() - children_before <= {tracker_id()})


def test_an_output_whose_receiver_dies_is_tried_again(stream: Any, tmp_path: Path, wait_for: Any) -> None:
    """As a viewer over HTTP who leaves: the next one is served."""
    if shutil.which("ffmpeg") is None:
        skip_or_fail("no ffmpeg on this machine: apt install ffmpeg")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def view() -> bool:
        """Read a little of the stream, as a viewer who leaves."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5.0) as viewer:
            viewer.sendall(b"GET /live.ts HTTP/1.1\r\nHost: x\r\n\r\n")
            return len(viewer.recv(4096)) > 0
        return False

    with stream(create_output(f"http://127.0.0.1:{port}/live.ts")) as (session, _):
        wait_for(lambda: session.frames > 5)
        wait_for(view)
        wait_for(lambda: session.status()["outputs"][0]["error"] is not None)
        wait_for(view)
        wait_for(lambda: session.status()["outputs"][0]["error"] is None)


def test_a_disk_that_fills_up_stops_the_recording_and_not_the_fusion(
    stream: Any, full_disk: Any, wait_for: Any
) -> None:
    """What was recorded until then is whole; the reserve stays free."""
    disk = full_disk(66 << 20)
    outputs = VideoFile(disk / "drive.mkv"), FrameFolder(disk / "frames")
    recorder = RawRecorder(disk / "raw")
    with stream(*outputs, recorder=recorder) as (session, _):
        wait_for(lambda: session.frames > 10)
        (disk / "other").write_bytes(bytes(3 << 20))  # another program
        wait_for(lambda: all(item["error"] for item in session.status()["outputs"]))
        seen = session.frames
        wait_for(lambda: session.frames > seen + 20)
        status = session.status()
    assert not session.healthy
    for item in status["outputs"]:
        assert "recording stops, fusion goes on" in item["error"]
        assert item["written"] > 3
    assert shutil.disk_usage(disk).free > 32 << 20
    assert frames_of(disk / "drive.mkv") >= 3
    for role in ("ir", "vis"):
        assert len(list(read_recording(disk / "raw", role))) > 3  # type: ignore[arg-type]


def frames_of(path: Path) -> int:
    """Pictures that a video gives."""
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    number = 0
    while capture.read()[0]:
        number += 1
    capture.release()
    return number


def test_a_disk_without_a_single_byte_leaves_a_recording_that_can_be_read(full_disk: Any, wait_for: Any) -> None:
    """Where another program takes the reserve too; nothing is raised at the end."""
    disk = full_disk(1 << 20)
    recorder = RawRecorder(disk / "raw", reserve_bytes=0)
    noise = np.random.default_rng(0).integers(0, 255, (120, 160, 3)).astype(np.uint8)
    numbers = iter(range(10_000))

    def full() -> bool:
        number = next(numbers)
        recorder.offer(Frame("vis", noise, number, None, number / 30, number / 30))
        return recorder.error is not None

    wait_for(full)
    recorder.close()
    recorder.close()
    assert "No space left" in str(recorder.error)
    found = list(read_recording(disk / "raw", "vis"))
    assert len(found) == recorder.written > 3
    np.testing.assert_array_equal(found[-1].image, noise)


def test_a_recorder_that_is_slower_than_the_cameras_drops_and_counts(tmp_path: Path) -> None:
    """What is written and what is dropped add up."""
    recorder = RawRecorder(tmp_path / "raw")
    large = np.random.default_rng(0).integers(0, 255, (1080, 1920, 3)).astype(np.uint8)
    for number in range(200):
        recorder.offer(Frame("vis", large, number, None, number / 30, number / 30))
    recorder.close()
    assert recorder.error is None
    assert recorder.dropped > 100
    assert recorder.written + recorder.dropped == 200
    assert len((tmp_path / "raw" / "frames.jsonl").read_text().splitlines()) == recorder.written


SESSION = """
import sys, threading, time
from pathlib import Path
from edgefuse.fuser import load
from edgefuse.stream import CameraConfig, PairConfig, parse_uri
from edgefuse.stream.outputs import RawRecorder
from edgefuse.stream.outputs.files import VideoFile
from edgefuse.stream.session import Session

if __name__ == "__main__":
    folder, model, ir, vis = sys.argv[1:]
    pair = PairConfig(CameraConfig("ir", parse_uri(ir)), CameraConfig("vis", parse_uri(vis)), max_skew_seconds=0.5)
    video = VideoFile(f"{folder}/drive.mp4", segment_seconds=0.5)
    with Session(pair, load(model), outputs=[video], recorder=RawRecorder(f"{folder}/raw")) as session:
        session.run(lambda status: print(status["frames"], status["outputs"], flush=True))
"""


def test_a_killed_stream_loses_one_segment_at_most_and_leaves_nothing(
    http_camera: Any, average_model: Path, tmp_path: Path, wait_for: Any
) -> None:
    """Kill -9 at three random moments: no process, no shared memory, every finished segment plays, and the raw
    recording replays to its last whole frame."""
    chance = random.Random(2)  # noqa: S311  # same
    (tmp_path / "session.py").write_text(SESSION)
    urls = http_camera().url, http_camera().url
    for attempt in range(3):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        children_before = children()
        command = [sys.executable, str(tmp_path / "session.py"), str(folder), str(average_model), *urls]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            wanted = 3 + chance.randrange(3)
            wait_for(lambda folder=folder, wanted=wanted: len(list(folder.glob("drive*.mp4"))) >= wanted)
            threading.Event().wait(chance.random() / 2)
            started = children() - children_before
            blocks = shared_blocks(started)
            assert blocks
        finally:  # also where the wait fails: a session would go on for good
            process.kill()
            process.wait()
        wait_for(lambda started=started: not any(Path(f"/proc/{one}").exists() for one in started))
        wait_for(lambda blocks=blocks: not any(block.exists() for block in blocks))
        segments = sorted(folder.glob("drive*.mp4"), key=lambda path: (path.name != "drive.mp4", path.name))
        assert len(segments) >= wanted
        for segment in segments[:-1]:
            assert frames_of(segment) > 3
        for role in ("ir", "vis"):
            assert len(list(read_recording(folder / "raw", role))) > 20  # type: ignore[arg-type]


CLOCK = """
import sys, threading, time
from edgefuse.cli import main

def note(path):
    pause = threading.Event()
    while True:
        with open(path, "a") as file:
            file.write(f"{time.time()}\\n")
        pause.wait(0.02)  # libfaketime breaks time.sleep at a jump

if __name__ == "__main__":
    threading.Thread(target=note, args=[sys.argv.pop()], daemon=True).start()
    sys.argv[0] = "edgefuse"
    main()
"""


def test_a_wall_clock_that_jumps_changes_nothing(
    http_camera: Any, average_model: Path, tmp_path: Path, wait_for: Any
) -> None:
    """Five hours back, then a year ahead, by libfaketime in all processes of the stream."""
    libraries = list(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not libraries:
        skip_or_fail("no libfaketime on this machine: apt install faketime")
    step, clock = tmp_path / "step", tmp_path / "clock"
    step.write_text("+0\n")
    (tmp_path / "clock.py").write_text(CLOCK)
    environment = {
        **os.environ,
        "LD_PRELOAD": str(libraries[0]),
        "FAKETIME_TIMESTAMP_FILE": str(step),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    cameras = ["--ir", http_camera().url, "--vis", http_camera().url, "--max-skew", "500"]
    outputs = ["--model", str(average_model), "--output", str(tmp_path / "drive.mkv"), "--json"]
    command = [sys.executable, str(tmp_path / "clock.py"), "stream", *cameras, *outputs, str(clock)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    lines: list[dict[str, Any]] = []
    assert process.stdout is not None
    pipe = process.stdout
    reading = threading.Thread(target=lambda: lines.extend(json.loads(line) for line in pipe), daemon=True)
    reading.start()
    try:
        wait_for(lambda: lines and lines[-1]["frames"] > 20)
        before = lines[-1]
        for number, text in enumerate(("-5h", "+365d")):
            step.write_text(f"{text}\n")
            wait_for(lambda number=number: jumps(clock.read_text()) > number)
            seen, told = lines[-1]["frames"], len(lines)
            wait_for(lambda seen=seen, told=told: len(lines) > told + 1 and lines[-1]["frames"] > seen + 20)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
    reading.join(20)
    pipe.close()
    summary = lines[-1]
    assert summary["event"] == "summary"
    for role in ("ir", "vis"):
        assert summary["cameras"][role]["restarts"] == {}
    assert summary["held_frames"] == before["held_frames"] == 0
    # A full queue is a busy machine's doing; frames that no longer find their partner would be the clock's. One camera
    # may start much later than the other: what that cost was counted before the jumps.
    since = {cause for cause, count in summary["drops"].items() if count > before["drops"].get(cause, 0)}
    assert not since & {"no_ir", "skew", "refused"}
    assert summary["stages"]["skew"]["max_ms"] <= 500.0
    assert 0.0 < summary["stages"]["total"]["p50_ms"] < 10_000.0
    assert summary["seconds"] < 3600.0
    assert [path.name for path in tmp_path.glob("drive*")] == ["drive.mkv"]  # no new segment for a jump


def jumps(text: str) -> int:
    """Steps of over an hour in a list of wall-clock times."""
    times = [float(line) for line in text.splitlines()[:-1]]
    return sum(abs(after - before) > 3600.0 for before, after in pairwise(times))


def test_an_output_that_hangs_is_cut_off_at_the_end(fused_frame: Any, tmp_path: Path, wait_for: Any) -> None:
    """A pipe that nobody reads, behind GStreamer: the end does not wait for it, and its process is killed."""
    if shutil.which("gst-launch-1.0") is None:
        skip_or_fail("no GStreamer on this machine: apt install gstreamer1.0-tools")
    os.mkfifo(tmp_path / "pipe")
    children_before = children()
    output = OutputThread(create_output(f"gst:identity sleep-time=60000000 ! filesink location={tmp_path}/pipe"))
    numbers = iter(range(10_000))

    def stuck() -> bool:
        output.offer(fused_frame(next(numbers)))
        return output.dropped > 10

    wait_for(stuck)
    output.close()
    output.close()
    assert "took over" in str(output.error)
    assert not output._thread.is_alive()
    wait_for(lambda: children() <= children_before)
