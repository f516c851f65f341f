"""V4L2 devices, by a device that is emulated between the capture process and libc: no driver is needed."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgefuse.stream import videodev2
from edgefuse.stream.camera import Camera
from edgefuse.stream.config import CameraConfig
from edgefuse.stream.frame import Frame
from edgefuse.stream.uri import V4L2_FORMATS, parse_uri
from edgefuse.stream.v4l2 import lost_between
from edgefuse.stream.v4l2_device import PIXEL_FORMATS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="V4L2 is of Linux")

LEPTON = "format Y16 160x120,160x122 1/60"
WaitFor = Callable[[Callable[[], object]], None]


def skip_or_fail(reason: str) -> None:
    """Skip, or fail where the environment says that the tools are there."""
    if os.environ.get("EDGEFUSE_REQUIRE_STREAM_TOOLS") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def compiled(source: Path, target: Path, *flags: str) -> Path:
    """Compile a C file, or skip where that cannot be done."""
    compiler = shutil.which("cc")
    if compiler is None or not Path("/usr/include/linux/videodev2.h").is_file():
        skip_or_fail("emulating a V4L2 device needs a C compiler and linux/videodev2.h: apt install gcc libc6-dev")
    subprocess.run([str(compiler), "-O1", *flags, "-o", str(target), str(source), "-ldl", "-lpthread"], check=True)
    return target


@pytest.fixture(scope="session")
def emulation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that stands between a program and libc."""
    source = Path(__file__).with_name("emulated_v4l2.c")
    return compiled(source, tmp_path_factory.mktemp("emulation") / "emulated_v4l2.so", "-shared", "-fPIC")


class Bus:
    """Where devices are plugged in."""

    def __init__(self, folder: Path, library: Path) -> None:
        self.folder = folder
        self.environment = {"EMULATED_V4L2": str(folder / "dev"), "LD_PRELOAD": str(library)}
        uevent = folder / "dev/sys/dev/char/81:0/uevent"  # v4l2-ctl asks there what a file in /dev is
        uevent.parent.mkdir(parents=True)
        uevent.write_text("DEVNAME=video0\n")

    def file(self, name: str) -> Path:
        """What stands for a device."""
        return self.folder / "dev" / name

    def plug(self, name: str, *lines: str, pictures: list[bytes] | None = None) -> None:
        """Plug a device in, or change one that is."""
        frames = self.folder / f"{name} frames"
        if pictures is not None:
            frames.mkdir(exist_ok=True)
            for number, picture in enumerate(pictures):
                (frames / str(number)).write_bytes(picture)
        self.file(name).write_text("\n".join([*lines, f"frames {frames}", ""]))

    def unplug(self, name: str) -> None:
        """Take it away."""
        self.file(name).unlink()

    def run(self, *command: str) -> subprocess.CompletedProcess[bytes]:
        """Run a program that sees the devices."""
        return subprocess.run(command, env=os.environ | self.environment, capture_output=True, check=False, timeout=120)


@pytest.fixture
def bus(emulation: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bus:
    """A bus that camera processes started from here see."""
    bus = Bus(tmp_path, emulation)
    for name, value in bus.environment.items():
        monkeypatch.setenv(name, value)  # for programs that are started: here the library is not loaded
    return bus


@pytest.fixture
def watch() -> Iterator[Callable[..., tuple[Camera, list[Frame]]]]:
    """Start cameras; all are closed after the test."""
    started: list[Camera] = []

    def start(uri: str, role: Any = "vis", profile: str | None = None, **options: Any) -> tuple[Camera, list[Frame]]:
        frames: list[Frame] = []
        started.append(Camera(CameraConfig(role, parse_uri(uri), profile_name=profile), frames.append, **options))
        started[-1].start()
        return started[-1], frames

    yield start
    for camera in started:
        camera.close()


def random_counts(height: int, width: int, number: int = 9) -> list[NDArray[np.uint16]]:
    """Pictures of counts over the whole range of 16 bits."""
    rng = np.random.default_rng(height * width)
    return [rng.integers(0, 65536, (height, width)).astype("<u2") for _ in range(number)]


def packed(pictures: list[Any]) -> list[bytes]:
    """As the sensor's folder holds them."""
    return [picture.tobytes() for picture in pictures]


def numbers_of(frames: list[Frame], pictures: list[Any]) -> list[int]:
    """Which picture each frame is, bit for bit; one that is none of them fails."""
    known = {picture.tobytes(): number for number, picture in enumerate(pictures)}
    return [known[frame.image.tobytes()] for frame in frames]


OPENING = """
import json, sys
from edgefuse.errors import EdgeFuseError
from edgefuse.stream.config import CameraConfig
from edgefuse.stream.readers import read_frames
from edgefuse.stream.uri import parse_uri
for role, uri, profile in json.loads(sys.argv[1]):
    try:
        frame = next(read_frames(CameraConfig(role, parse_uri(uri), profile_name=profile)))
        print(json.dumps(["frame", *frame.image.shape]))
    except EdgeFuseError as error:
        print(json.dumps([type(error).__name__, str(error)]))
"""
"""Opens cameras one after the other, and tells the shape of a frame or the refusal."""


def opened(bus: Bus, *cameras: tuple[str, str, str | None]) -> list[list[Any]]:
    """Open cameras (role, URI, profile), all in one process."""
    process = bus.run(sys.executable, "-c", OPENING, json.dumps(cameras))
    assert process.returncode == 0, process.stderr.decode()
    return [json.loads(line) for line in process.stdout.splitlines()]


def test_the_numbers_of_the_calls_are_those_of_the_system(tmp_path: Path) -> None:
    """They hold the sizes of the structures; what the system's header says, printed by a program in C."""
    names = [name for name in videodev2.__all__ if isinstance(getattr(videodev2, name), int) and name != "FIELD_ANY"]
    prefixes = {name: "V4L2" if name.startswith(("CAP_", "BUF_", "MEMORY_")) else "VIDIOC" for name in names}
    prefixes["TYPE_DISCRETE"] = "V4L2_FRMSIZE"
    lines = "".join(f'printf("%lx\\n", (unsigned long){prefixes[name]}_{name});' for name in names)
    source = tmp_path / "numbers.c"
    source.write_text(f"#include <stdio.h>\n#include <linux/videodev2.h>\nint main(void) {{ {lines} }}\n")
    program = compiled(source, tmp_path / "numbers")
    told = subprocess.run([program], capture_output=True, check=True, text=True).stdout.split()
    assert dict(zip(names, told, strict=True)) == {name: f"{getattr(videodev2, name):x}" for name in names}


def test_the_formats_of_the_option_are_those_that_can_be_read() -> None:
    """The one list is for parsing without OpenCV, the other for reading."""
    assert set(V4L2_FORMATS) == set(PIXEL_FORMATS)


@pytest.mark.parametrize(
    "command",
    [
        "v4l2-ctl -d /dev/video0 --set-fmt-video=width=160,height=120,pixelformat=GREY "
        "--stream-mmap --stream-count=9 --stream-to={output}",
        "ffmpeg -v error -f v4l2 -input_format gray -video_size 160x120 -i /dev/video0 "
        "-fps_mode passthrough -frames:v 9 -f rawvideo {output}",
        "gst-launch-1.0 -q v4l2src device=/dev/video0 num-buffers=9 ! "
        "video/x-raw,format=GRAY8,width=160,height=120 ! filesink location={output}",
    ],
    ids=lambda command: command.split()[0],
)
def test_other_programs_read_the_emulated_device(command: str, bus: Bus) -> None:
    """The emulation is not made after our reader: what others take for a camera's pictures are its pictures."""
    program, *arguments = command.split()
    if shutil.which(program) is None:
        pytest.skip(f"no {program} on this machine")
    pictures = [picture.astype(np.uint8) for picture in random_counts(120, 160)]
    bus.plug("video0", "format GREY 160x120,320x240 1/30", pictures=packed(pictures))
    output = bus.folder / "output"
    process = bus.run(program, *(argument.format(output=output) for argument in arguments))
    assert process.returncode == 0, process.stderr.decode()
    taken = np.frombuffer(output.read_bytes(), np.uint8).reshape(-1, 120, 160)
    numbers = [next(i for i, picture in enumerate(pictures) if np.array_equal(picture, item)) for item in taken]
    assert len(numbers) == 9
    assert len(set(numbers)) > 4  # a machine under load may lose some


def test_the_emulated_device_complies_with_v4l2(bus: Bus) -> None:
    """By the compliance test of the V4L2 developers: all but the priorities of handles, and epoll."""
    if shutil.which("v4l2-compliance") is None:
        pytest.skip("no v4l2-compliance on this machine: apt install v4l-utils")
    pictures = packed(random_counts(120, 160))
    bus.plug("video0", LEPTON.replace("1/60", "1/250"), "format YUYV 160x120 1/250", pictures=pictures)
    lines = bus.run("v4l2-compliance", "-d", "/dev/video0", "-s").stdout.decode().splitlines()
    failed = {line.strip() for line in lines if line.endswith(": FAIL")}
    assert failed <= {"test VIDIOC_G/S_PRIORITY: FAIL", "test MMAP (epoll): FAIL"}
    assert sum(": OK" in line for line in lines) > 50


@pytest.mark.parametrize(
    ("profile", "size", "lines"),
    [
        ("lepton", (120, 160), [LEPTON]),
        ("boson", (512, 640), ["format GREY 640x512 1/60", "format Y16 640x512,320x256 1/60"]),
        ("generic16", (120, 161), ["format Y16 161x120 1/60", "pad 31"]),
    ],
)
def test_counts_come_bit_for_bit(
    profile: str, size: tuple[int, int], lines: list[str], bus: Bus, watch: Any, wait_for: WaitFor
) -> None:
    """All 16 bits, from the first frame on, also of a device that pads its lines; its own size where none is named."""
    pictures = random_counts(*size)
    bus.plug("video2", *lines, pictures=packed(pictures))
    camera, frames = watch("v4l2:///dev/video2?format=y16", "ir", profile)
    wait_for(lambda: len(frames) > 5)
    camera.close()
    assert frames[0].image.dtype == np.uint16
    numbers = numbers_of(frames, pictures)
    assert numbers[0] == 0
    if len(numbers) < len(pictures):
        assert numbers == sorted(set(numbers))
    assert camera.status().error is None


def patches(height: int, width: int, *colours: tuple[int, int, int]) -> NDArray[np.uint8]:
    """A picture with a colour in each half; values in the order of the format's components."""
    return np.repeat(np.array([colours], np.uint8), width // 2, axis=1).repeat(height, axis=0)


def as_format(name: str, height: int, width: int) -> bytes:
    """Red on the left and blue on the right, by the numbers of BT.601."""
    y, u, v = np.moveaxis(patches(height, width, (81, 90, 240), (41, 240, 110)), 2, 0)
    chroma = np.stack([u[:, ::2], v[:, 1::2]], 2).reshape(height, width)
    bgr = patches(height, width, (0, 0, 255), (255, 0, 0))
    encoded: dict[str, Callable[[], bytes]] = {
        "yuyv": lambda: np.stack([y, chroma], 2).tobytes(),
        "uyvy": lambda: np.stack([chroma, y], 2).tobytes(),
        "nv12": lambda: y.tobytes() + chroma[::2].tobytes(),
        "nv21": lambda: y.tobytes() + chroma[::2].reshape(-1, 2)[:, ::-1].tobytes(),
        "yu12": lambda: b"".join(plane.tobytes() for plane in (y, u[::2, ::2], v[::2, ::2])),
        "bgr24": bgr.tobytes,
        "rgb24": bgr[..., ::-1].tobytes,
        "mjpg": cv2.imencode(".jpg", bgr)[1].tobytes,
    }
    return encoded[name]()


def test_colour_is_read_from_every_format(bus: Bus) -> None:
    """Red is red and blue is blue; infrared becomes their luminance, here with padded lines."""
    script = OPENING.replace('["frame", *frame.image.shape]', "frame.image.tolist()")
    names = ["yuyv", "uyvy", "nv12", "nv21", "yu12", "bgr24", "rgb24", "mjpg"]
    for number, name in enumerate(names):
        for pad in (0, 8):
            offered = f"format {PIXEL_FORMATS[name].fourcc} 64x48 1/60"
            bus.plug(f"video{number + pad}", offered, f"pad {pad}", pictures=[as_format(name, 48, 64)])
    cameras = [("vis", f"v4l2:{number}", None) for number in range(len(names))]
    cameras += [("ir", f"v4l2:{number + 8}", None) for number in range(len(names))]
    process = bus.run(sys.executable, "-c", script, json.dumps(cameras))
    images = [np.array(json.loads(line)) for line in process.stdout.splitlines()]
    expected = patches(48, 64, (0, 0, 255), (255, 0, 0)).astype(int)
    for name, image in zip(names, images[: len(names)], strict=True):
        assert image.shape == (48, 64, 3), name
        # Away from the edge, where chroma of half resolution and JPEG mix the colours.
        assert np.abs(image - expected)[:, np.r_[:24, 40:64]].max() < 8, name
    for name, image in zip(names, images[len(names) :], strict=True):
        assert image.shape == (48, 64), name
        assert np.abs(image[:, :24] - 76).max() < 6, name
        assert np.abs(image[:, 40:] - 29).max() < 6, name


def test_a_split_camera_is_asked_for_both_halves(bus: Bus, watch: Any, wait_for: WaitFor) -> None:
    """Also where it offers a single picture first, whose lower half would pass for temperatures."""
    pictures = random_counts(384, 256, 5)
    bus.plug("video0", "format YUYV 256x192,256x384 1/25", pictures=packed(pictures))
    camera, frames = watch("v4l2:///dev/video0", "ir", "infiray-split")
    wait_for(lambda: len(frames) > 3)
    camera.close()
    assert numbers_of(frames, [picture[192:] for picture in pictures])[0] == 0


def test_the_format_is_one_that_is_fast_enough_at_the_size(bus: Bus) -> None:
    """Uncompressed where that has the size and the rate, JPEG otherwise; the JPEG decoder refuses what is none."""
    jpeg = cv2.imencode(".jpg", np.zeros((720, 1280, 3), np.uint8))[1].tobytes()
    bus.plug("video0", "format YUYV 1280x720 1/10", "format MJPG 1280x720 1/30", pictures=[jpeg])
    bus.plug("video1", "format MJPG 64x48 1/30", "format YUYV 64x48 1/30", pictures=[bytes(64 * 48 * 2)])
    bus.plug("video2", "format YUYV 64x48 1/30", "format MJPG 1280x720 1/30", pictures=[jpeg])
    told = opened(
        bus,
        ("vis", "v4l2:0?size=1280x720", None),
        ("vis", "v4l2:1", None),
        ("vis", "v4l2:2?size=1280x720", None),
    )
    assert told == [["frame", 720, 1280, 3], ["frame", 48, 64, 3], ["frame", 720, 1280, 3]]


def test_a_camera_is_found_by_path_number_and_name(bus: Bus) -> None:
    """As ``/dev/v4l/by-id`` names it, which stays when others are plugged in."""
    bus.plug("video3", LEPTON, pictures=packed(random_counts(120, 160)))
    name = bus.file("v4l/by-id/usb-Maker_Camera-video-index0")
    name.parent.mkdir(parents=True)
    name.symlink_to("../../video3")
    uris = ["v4l2:3", "v4l2://3", "v4l2:/dev/video3", "/dev/video3?format=y16", f"/dev/v4l/by-id/{name.name}"]
    assert opened(bus, *(("ir", uri, "lepton") for uri in uris)) == [["frame", 120, 160]] * len(uris)


REFUSALS = [
    ("format=y16", [LEPTON.replace("Y16", "GREY")], "does not give y16 but grey; its formats are grey"),
    ("format=yuyv", ["format MJPG 160x120 1/30"], "does not give yuyv but mjpg; its formats are mjpg"),
    ("size=640x512", [LEPTON], "does not give 640x512 but 160x122; its sizes of y16 are 160x120, 160x122"),
    ("rate=9", ["format Y16 160x120 1/60,1/30"], "does not give 9 Hz at this size but 30; its rates are 60, 30"),
    ("rate=60", [LEPTON, "fixed_rate 1"], "leave out rate="),
    ("", [LEPTON, "node metadata"], "gives no pictures; a camera often has two"),
    ("", [LEPTON, "node multiplanar"], "gst:v4l2src device=/dev/video"),
    ("", [LEPTON, "bytes 19200"], "the last of 19200 bytes where Y16 of 160x120 has 38400"),
    ("", ["format H264 160x120 1/30"], "does not give y16"),
    ("format=yuyv", ["format YUYV 161x120 1/30"], "yuyv of 161x120 cannot be read"),
]


def test_what_a_device_does_not_give_is_refused_by_name(bus: Bus) -> None:
    """Never another format, size or rate than was asked for, and never half a frame."""
    cameras = []
    for number, (options, lines, _) in enumerate(REFUSALS):
        bus.plug(f"video{number}", *lines, pictures=packed(random_counts(120, 160)))
        cameras.append(("ir", f"v4l2:///dev/video{number}?{options}", "generic16"))
    told = opened(bus, *cameras, ("vis", "v4l2:///dev/video7?format=y16", None), ("ir", "v4l2:8", None))
    for (_, uri, _), (*_, message), (kind, text) in zip(cameras, REFUSALS, told[:-2], strict=True):
        assert kind == "InputError"
        assert message in text
        assert text.startswith(uri.removesuffix("?"))
        assert "\n" not in text
    assert told[-2][0] == "UsageError"
    assert "counts of an infrared camera" in told[-2][1]
    assert "none of its formats can be read; its formats are 'H264'" in told[-1][1]


def test_a_device_that_cannot_be_opened_says_what_to_do(bus: Bus) -> None:
    """Missing, forbidden, in use by another program, something else than a camera, and one too many on a USB bus."""
    for name in ("video1", "video2", "video3"):
        bus.plug(name, LEPTON, "crowded 1", pictures=packed(random_counts(120, 160)))
    bus.file("video1").chmod(0)
    with bus.file("video2").open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        told = opened(bus, *(("ir", f"v4l2:{name}", "lepton") for name in ("0", "1", "2", "/dev/null", "3")))
    expected = ["ls /dev/v4l/by-id", "usermod -aG video", "fuser -v /dev/video2", "no V4L2 device", "another bus"]
    for (kind, text), part in zip(told, expected, strict=True):
        assert kind == "InputError"
        assert part in text


def test_damaged_frames_are_passed_over(bus: Bus, watch: Any, wait_for: WaitFor) -> None:
    """Those that the driver marks, since packets of them were lost; they are counted."""
    pictures = random_counts(120, 160)
    bus.plug("video0", LEPTON, "broken 3", pictures=packed(pictures))
    camera, frames = watch("v4l2:///dev/video0", "ir", "lepton")
    wait_for(lambda: len(frames) > 8)
    camera.close()
    assert {number % 3 for number in numbers_of(frames, pictures)} == {0, 1}
    status = camera.status()
    assert status.lost >= (status.frames - 1) // 2 > 0


@pytest.mark.parametrize(
    ("last", "number", "damaged", "lost"),
    [(None, 7, 0, 0), (7, 8, 0, 0), (7, 10, 0, 2), (7, 10, 1, 2), (2**32 - 1, 1, 0, 1), (0, 0, 0, 0), (0, 0, 3, 3)],
)
def test_lost_frames_are_known_by_their_numbers(last: int | None, number: int, damaged: int, lost: int) -> None:
    """Across the end of 32 bits too; a driver that numbers nothing loses what it damages."""
    assert lost_between(last, number, damaged) == lost


def test_times_are_those_of_the_driver(bus: Bus, watch: Any, wait_for: WaitFor) -> None:
    """On the monotonic clock, however late a frame is taken; times of another clock are not believed."""
    began = time.monotonic()
    for name, clock in (("video0", "monotonic"), ("video1", "unknown")):
        bus.plug(name, LEPTON, f"clock {clock}", pictures=packed(random_counts(120, 160)))
    (true, frames), (other, unstamped) = (watch(f"v4l2:{number}", "ir", "lepton") for number in (0, 1))
    wait_for(lambda: len(frames) > 9 and len(unstamped) > 9)
    ended = time.monotonic()
    true.close()
    other.close()
    periods = np.diff([frame.captured_seconds for frame in frames]) * 60
    np.testing.assert_allclose(periods, np.round(periods), atol=2e-4)  # whole microseconds
    assert periods.min() > 0.9
    for times in ([frame.captured_seconds for frame in taken[:10]] for taken in (frames, unstamped)):
        assert began < times[0] < times[-1] < ended


def test_a_hung_device_is_noticed_and_read_again(bus: Bus, watch: Any, wait_for: WaitFor) -> None:
    """It stays open and gives nothing: after two seconds it is opened anew, and found when it is back."""
    picture = as_format("yuyv", 48, 64)
    bus.plug("video0", "format YUYV 64x48 1/60", pictures=[picture])
    camera, frames = watch("v4l2:///dev/video0")
    wait_for(lambda: len(frames) > 3)
    bus.plug("video0", "format YUYV 64x48 1/60", "silent 1")
    wait_for(lambda: camera.status().restarts["stalled"] == 1)
    assert str(camera.status().error).endswith("no frame for 2 s")
    seen = len(frames)
    bus.plug("video0", "format YUYV 64x48 1/60")
    wait_for(lambda: len(frames) > seen + 3)
    assert camera.status().restarts.keys() == {"stalled"}


@pytest.mark.parametrize("fixed", [False, True])
def test_an_unplugged_camera_is_found_again(fixed: bool, bus: Bus, watch: Any, wait_for: WaitFor) -> None:
    """Another one at its place is followed, or refused by name where a calibration holds for one size."""
    before, after = random_counts(120, 160), random_counts(256, 320)
    bus.plug("video0", LEPTON, pictures=packed(before))
    camera, frames = watch("v4l2:///dev/video0", "ir", "generic16", fixed_layout=fixed)
    wait_for(lambda: len(frames) > 3)
    bus.unplug("video0")
    wait_for(lambda: "it was unplugged" in str(camera.status().error))
    wait_for(lambda: "no such device" in str(camera.status().error))
    seen = len(frames)
    bus.plug("video0", "format Y16 320x256 1/60", pictures=packed(after))
    if fixed:
        wait_for(lambda: camera.status().restarts["refused"] >= 1)
        assert "320x256" in str(camera.status().error)
        assert len(frames) == seen
    else:
        wait_for(lambda: len(frames) > seen + 3)
        assert numbers_of(frames[seen:], after)[0] == 0


def test_two_devices_are_fused_and_a_missing_one_is_told(bus: Bus, average_model: Path) -> None:
    """The command itself: it waits for the camera that is plugged in late, and says in a line what it waits for."""
    bus.plug("video2", LEPTON, pictures=packed(random_counts(120, 160)))
    command = [sys.executable, "-c", "from edgefuse.cli import main; main()", "stream", "--frames", "45", "--resize-ir"]
    command += [
        "--model",
        str(average_model),
        "--ir",
        "v4l2:///dev/video2?format=y16",
        "--ir-profile",
        "lepton",
        "--max-skew",
        "200",
    ]
    command += ["--vis", "v4l2:///dev/video0?format=yuyv&size=320x240&rate=30", "--output", str(bus.folder / "fused")]
    with subprocess.Popen(command, env=os.environ | bus.environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        told = next((line for line in process.stderr if "trying again" in line), "")
        bus.plug("video0", "format YUYV 640x480,320x240 1/30", pictures=[as_format("yuyv", 240, 320)])
        rest = process.stderr.read()
    assert process.returncode == 0, told + rest
    assert told.startswith("vis v4l2:///dev/video0?format=yuyv&size=320x240&rate=30: no such device")
    assert told.endswith("trying again\n")
    assert "vis v4l2:///dev/video0?format=yuyv&size=320x240&rate=30: it is back" in rest
    assert "45 frames in" in rest
    written = sorted((bus.folder / "fused").glob("*.png"))
    assert len(written) > 20
    assert cv2.imread(str(written[-1])).shape == (240, 320, 3)
