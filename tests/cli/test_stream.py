"""``edgefuse stream`` as a user runs it, in a process of its own: real files, real signals, real faults."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

PROGRAM = """
import sys, typer
from edgefuse.cli import stream as commands
from edgefuse.errors import EdgeFuseError
app = typer.Typer(pretty_exceptions_enable=False)
app.command("stream")(commands.stream_command)
app.command("replay")(commands.replay_command)
app.callback()(lambda: None)
try:
    app()
except EdgeFuseError as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(error.exit_code)
"""

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start the command; what still runs at the end of a test is killed."""
    running: list[subprocess.Popen[str]] = []

    def run(*arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        running.append(process)
        return process

    yield run
    for process in running:
        process.kill()
        process.communicate()


def finish(process: subprocess.Popen[str]) -> tuple[int, list[dict[str, Any]], str]:
    """Wait for the end; the exit code, the lines of JSON and what stood on stderr."""
    out, err = process.communicate(timeout=120)
    assert "Traceback" not in err, err
    return process.returncode, [json.loads(line) for line in out.splitlines() if line.startswith("{")], err


@pytest.fixture(scope="module")
def clip(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the frames of a real clip, a quarter of its size."""
    folder = tmp_path_factory.mktemp("clip")
    for role in ("ir", "vis"):
        (folder / role).mkdir()
        for path in sorted((shared / "data" / "m3svd_video" / "0111_1716" / role).iterdir()):
            image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            cv2.imwrite(str(folder / role / path.name), cv2.resize(image, (160, 120), interpolation=cv2.INTER_AREA))
    return folder


def sources(clip: Path, options: str = "") -> list[str]:
    """The two options that name the clip."""
    return ["--ir", f"{clip / 'ir'}{options}", "--vis", f"{clip / 'vis'}{options}"]


def frames_of(path: Path) -> list[Any]:
    """All frames that a video file holds."""
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    frames = []
    while (read := capture.read())[0]:
        frames.append(read[1])
    capture.release()
    return frames


def test_every_frame_of_a_recorded_pair_is_fused_in_order(
    start: Start, clip: Path, average_model: Path, tmp_path: Path
) -> None:
    """Without the temporal filter frames come out one for one, as ``fuse`` makes them, and the summary says so."""
    from edgefuse.fuser import load
    from edgefuse.images import read_ir, read_vis

    arguments = [
        "--model",
        average_model,
        "--mode",
        "every",
        "-o",
        tmp_path / "frames",
        "-o",
        tmp_path / "v.mkv",
        "--no-temporal-filter",
        "--json",
    ]
    code, lines, _ = finish(start("stream", *sources(clip), *arguments))
    summary = lines[-1]
    assert (code, summary["event"], summary["frames"], summary["drops"]) == (0, "summary", 20, {})
    assert [item["written"] for item in summary["outputs"]] == [20, 20]
    assert summary["stages"]["total"]["count"] == 20
    with load(average_model) as fuse:
        for path in sorted((clip / "vis").iterdir())[::7]:
            expected = fuse(read_ir(clip / "ir" / path.name), read_vis(path))
            written = cv2.imread(str(tmp_path / "frames" / f"{int(path.stem):06d}.png"))
            np.testing.assert_array_equal(written, expected)
    assert len(frames_of(tmp_path / "v.mkv")) == 20


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_stream_in_order_with_a_whole_video(
    start: Start, clip: Path, average_model: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """The exit code is 0, the video can be read, the summary is printed."""
    video = tmp_path / "fused.mp4"
    process = start("stream", *sources(clip, "?loop=1"), "--model", average_model, "-o", video, "--json")
    assert process.stdout is not None
    first = json.loads(next(line for line in process.stdout if json.loads(line)["frames"] > 5))
    process.send_signal(number)
    code, lines, _ = finish(process)
    assert (code, lines[-1]["event"]) == (0, "summary")
    assert lines[-1]["frames"] >= first["frames"]
    assert len(frames_of(video)) == lines[-1]["outputs"][0]["written"]


def test_killed_outright_it_takes_its_cameras_along(start: Start, clip: Path, average_model: Path) -> None:
    """No orphan goes on reading a camera that the next start needs, and no shared memory stays."""
    before = _blocks()
    process = start("stream", *sources(clip, "?loop=1"), "--model", average_model, "--json")
    assert process.stdout is not None
    next(line for line in process.stdout if json.loads(line)["frames"] > 0)
    tasks = Path(f"/proc/{process.pid}/task").glob("*/children")
    children = [int(pid) for task in tasks for pid in task.read_text().split()]
    assert len(children) >= 2
    process.kill()
    process.wait()
    deadline = time.monotonic() + 20
    while any(_runs(pid) for pid in children) or _blocks() - before:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _blocks() -> set[str]:
    return {path.name for path in Path("/dev/shm").glob("psm_*")}  # noqa: S108


def _runs(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_an_output_that_cannot_be_reached_is_told_while_the_stream_runs(
    start: Start, clip: Path, average_model: Path
) -> None:
    """Not only at the end, which may be days away; pictures go on."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("no ffmpeg on this machine: apt install ffmpeg")
    process = start(
        "stream", *sources(clip, "?loop=1&rate=10"), "--model", average_model, "-o", "rtsp://me:hunter2@127.0.0.1:1/x"
    )
    assert process.stderr is not None
    line = next(line for line in process.stderr if line.startswith("output "))
    assert ("rtsp://***@127.0.0.1:1/x: ffmpeg ended" in line, "refused" in line, "hunter2" in line) == (1, 1, 0), line
    process.send_signal(signal.SIGTERM)
    code, _, err = finish(process)
    assert (code, " frames in " in err) == (0, True)


def test_limits_end_the_stream(start: Start, clip: Path, average_model: Path) -> None:
    """A number of frames, or a time."""
    loop = sources(clip, "?loop=1")
    code, lines, _ = finish(start("stream", *loop, "--model", average_model, "--frames", 7, "--json"))
    assert (code, lines[-1]["frames"]) == (0, 7)
    code, lines, err = finish(start("stream", *loop, "--model", average_model, "--frames", 3))
    assert (code, lines) == (0, [])
    assert "p99" in err
    code, lines, err = finish(start("stream", *loop, "--model", average_model, "--duration", 3))
    assert (code, lines) == (0, [])
    assert "frames in" in err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--ir", "a.mp4"], 2, "both --ir and --vis"),
        (["--ir", "ftp://x/y", "--vis", "a.mp4"], 2, "unknown source"),
        (["--ir", "a.mp4", "--vis", "b.mp4", "--mode", "fast"], 2, "freshest, every"),
        (["--ir", "a.mp4", "--vis", "b.mp4", "--ir-profile", "flir"], 2, "boson"),
        (["--ir", "a.mp4", "--vis", "b.mp4", "--agc", "fixed"], 2, "--agc-range LOW:HIGH"),
        (["--ir", "a.mp4", "--vis", "b.mp4", "--agc", "fixed", "--agc-range", "hot"], 2, "LOW:HIGH"),
        (["--ir", "a.mp4", "--vis", "b.mp4", "--agc", "fixed", "--agc-range", "0C:60C"], 2, "radiometric"),
        (["--ir", "a.mp4", "--vis", "b.mp4", "--calibration", "no.toml"], 1, "no.toml"),
        (["--ir", "a.mp4", "--vis", "b.mp4", "--spot", "4"], 2, "X,Y"),
        (["--ir", "a.mp4", "--vis", "b.mp4", "--spot", "4,5"], 2, "radiometric"),
        (["--ir", "a.mp4", "--vis", "b.mp4", "--palette", "red"], 2, "white-hot"),
        (["--ir", "missing.mp4", "--vis", "missing.mp4"], 1, "no such file"),
    ],
)
def test_what_cannot_run_says_why(
    start: Start, average_model: Path, arguments: list[str], code: int, message: str
) -> None:
    """Wrong usage is 2, a missing file 1; one line each."""
    found, _, err = finish(start("stream", *arguments, "--model", average_model))
    assert (found, message in err) == (code, True), err


def test_two_sizes_without_a_calibration_are_refused_by_name(
    start: Start, clip: Path, average_model: Path, tmp_path: Path
) -> None:
    """Nothing is stretched unless the user says so."""
    for path in (clip / "ir").iterdir():
        cv2.imwrite(str(tmp_path / path.name), cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[:96, :128])
    both = ["--ir", tmp_path, "--vis", clip / "vis", "--model", average_model, "--mode", "every", "--json"]
    code, _, err = finish(start("stream", *both))
    assert (code, "128x96" in err, "--resize-ir" in err) == (1, True, True)
    code, lines, _ = finish(start("stream", *both, "--resize-ir"))
    assert (code, lines[-1]["frames"]) == (0, 20)


def test_a_recording_is_replayed_to_the_same_pictures_each_time(
    start: Start, clip: Path, average_model: Path, tmp_path: Path
) -> None:
    """Two replays agree to the bit, and the recording holds every frame with its bits."""
    record = ["--model", average_model, "--duration", 4, "--record", tmp_path / "raw"]
    code, _, _ = finish(start("stream", *sources(clip, "?loop=1&rate=10"), *record))
    assert code == 0
    lines = (tmp_path / "raw" / "frames.jsonl").read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    assert {entry["role"] for entry in entries} == {"ir", "vis"}
    first = next(entry for entry in entries if entry["role"] == "vis" and entry["sequence"] == 0)
    np.testing.assert_array_equal(
        cv2.imread(str(tmp_path / "raw" / first["file"])), cv2.imread(str(clip / "vis" / "0000.png"))
    )
    # A kill in the middle of a line loses that line alone.
    with (tmp_path / "raw" / "frames.jsonl").open("a") as index:
        index.write('{"version": 1, "role": "vis", "seq')
    frames = []
    for number in range(2):
        out = tmp_path / f"replay{number}"
        code, lines_, err = finish(start("replay", tmp_path / "raw", "--model", average_model, "-o", out, "--json"))
        assert code == 0, err
        assert lines_[-1]["frames"] >= 10
        # Frames of long ago have no latency: what is counted is the work on them alone.
        counted = {name for name, stage in lines_[-1]["stages"].items() if stage["count"]}
        assert (counted, lines_[-1]["latency_ms"]) == ({"gain", "register", "infer", "finish", "skew"}, None)
        frames.append({path.name: path.read_bytes() for path in sorted(out.iterdir())})
    assert frames[0] == frames[1]
    code, _, err = finish(start("replay", tmp_path / "nothing", "--model", average_model))
    assert (code, "frames.jsonl is missing" in err) == (1, True)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_stops_the_recording_and_not_the_fusion(
    start: Start, clip: Path, average_model: Path, tmp_path: Path
) -> None:
    """The video that was written until then is whole, and the summary names the cause."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=66m", "tmpfs", str(disk)], check=False).returncode:
        pytest.skip("no right to mount a small disk")
    try:
        options = ["--model", average_model, "-o", disk / "v.avi", "--json"]
        process = start("stream", *sources(clip, "?loop=1&rate=60"), *options)
        assert process.stdout is not None
        stopped = next(
            status for line in process.stdout if (status := json.loads(line))["outputs"][0]["error"] is not None
        )
        assert "MiB are left" in stopped["outputs"][0]["error"]
        later = json.loads(next(process.stdout))
        assert later["frames"] > stopped["frames"]
        process.send_signal(signal.SIGTERM)
        assert finish(process)[0] == 0
        assert len(frames_of(disk / "v.avi")) == stopped["outputs"][0]["written"]
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_radiometric_stream_reports_the_temperature_of_a_spot(
    start: Start, clip: Path, average_model: Path, tmp_path: Path
) -> None:
    """Kelvin times 100 in the file, degrees Celsius in the summary, whatever the gain control does."""
    counts = np.full((120, 160), 29315, np.uint16)
    counts[60:64, 80:84] = 31315
    for number in range(5):
        cv2.imwrite(str(tmp_path / f"{number}.png"), counts)
    both = ["--ir", tmp_path, "--vis", clip / "vis", "--ir-profile", "tlinear", "--spot", "78,60,6,4"]
    code, lines, _ = finish(start("stream", *both, "--model", average_model, "--mode", "every", "--json"))
    assert code == 0
    assert lines[-1]["spot_celsius"]["min"] == pytest.approx(20.0)
    assert lines[-1]["spot_celsius"]["max"] == pytest.approx(40.0)


def test_a_calibration_registers_the_stream_and_shifts_its_times(
    start: Start, clip: Path, average_model: Path, tmp_path: Path
) -> None:
    """The infrared picture lands where the homography says; the time offset of the file counts."""
    from edgefuse.calibrate import Calibration

    shift = np.array([[1.0, 0.0, 10.0], [0.0, 1.0, 4.0], [0.0, 0.0, 1.0]])
    sizes: Any = {"ir_size": (120, 160), "vis_size": (120, 160)}
    Calibration.of(shift, **sizes, time_offset_seconds=0.02).save(tmp_path / "c.toml")
    options = ["--model", average_model, "--mode", "every", "--calibration", tmp_path / "c.toml", "--json"]
    single = [*options, "--no-temporal-filter", "-o", tmp_path / "frames"]
    code, lines, _ = finish(start("stream", *sources(clip), *single))
    assert code == 0
    assert lines[-1]["stages"]["skew"]["p50_ms"] > 5.0
    fused = cv2.imread(str(tmp_path / "frames" / "000003.png"), cv2.IMREAD_GRAYSCALE).astype(np.float64)
    ir = cv2.imread(str(clip / "ir" / "0003.png"), cv2.IMREAD_UNCHANGED).astype(np.float64)
    vis = cv2.imread(str(clip / "vis" / "0003.png"), cv2.IMREAD_GRAYSCALE).astype(np.float64)
    trace = 2 * fused - vis
    assert np.corrcoef(trace[4:, 10:].ravel(), ir[:-4, :-10].ravel())[0, 1] > 0.9
    # Where the infrared camera does not look, the visible picture stays.
    assert np.abs(fused - vis)[:4].max() <= 2.0
    Calibration.of(shift, ir_size=(100, 160), vis_size=(120, 160)).save(tmp_path / "other.toml")
    code, _, err = finish(start("stream", *sources(clip), *options[:4], "--calibration", tmp_path / "other.toml"))
    assert (code, "the calibration is for frames of 160x100" in err) == (1, True), err
