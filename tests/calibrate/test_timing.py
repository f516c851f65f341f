"""The time offset between two cameras, found in what both see move."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from edgefuse.calibrate import Calibration, find_time_offset
from edgefuse.errors import InputError
from edgefuse.stream.frame import Frame, Role
from edgefuse.stream.outputs import RawRecorder
from edgefuse.stream.recording import read_recording
from edgefuse.synthetic import StreetScene


@pytest.fixture(scope="module")
def scene() -> Any:
    """A street in both spectra, larger than what a camera sees of it."""
    return StreetScene(240, 320, seed=3).render(0.0)


def shake(seconds: float, seed: int) -> Any:
    """Where a hand that shakes the mount points it: smooth, irregular, in pixels."""
    rng = np.random.default_rng(seed)
    knots = np.arange(-1.0, seconds + 2.0, 0.12)
    # It comes in bursts: rest and motion follow each other as they come.
    strength = np.repeat(rng.uniform(0.0, 1.0, len(knots) // 4 + 1), 4)[: len(knots)] ** 2
    paths = rng.normal(0.0, 9.0, (2, len(knots))) * strength
    return lambda at: [float(np.interp(at, knots, path)) for path in paths]


def record(
    folder: Path, scene: Any, *, offset: float, ir_hz: float = 30.0, applied: float = 0.0, other: bool = False
) -> Path:
    """Ten seconds of two cameras on a shaken mount, infrared stamped later by ``offset``; 16-bit counts and noise."""
    rng = np.random.default_rng(0)
    recorder = RawRecorder(folder)
    paths: dict[Role, Any] = {"ir": shake(10.0, 8 if other else 7), "vis": shake(10.0, 7)}
    pictures: dict[Role, tuple[Any, float, float, float]] = {
        "ir": (scene.ir16, ir_hz, offset, 6.0),
        "vis": (scene.vis, 30.0, 0.0, 2.0),
    }
    for role, (picture, rate, late, noise) in pictures.items():
        for number in range(int(10 * rate)):
            at = 0.3 * (role == "ir") / rate + number / rate
            x, y = paths[role](at)
            moved = cv2.warpAffine(picture, np.array([[1.0, 0, x], [0, 1.0, y]]), (320, 240), flags=cv2.INTER_LINEAR)
            noisy = moved[40:200, 40:280] + rng.normal(0.0, noise, moved[40:200, 40:280].shape)
            image = np.clip(np.rint(noisy), 0, np.iinfo(picture.dtype).max).astype(picture.dtype)
            stamped = 100.0 + at + late - (applied if role == "ir" else 0.0)
            frame = Frame(role, image, number, None, stamped, stamped, applied if role == "ir" else 0.0)
            while recorder._queue:  # an offline writer waits; a camera would drop
                time.sleep(0.001)
            recorder.offer(frame)
    recorder.close()
    assert recorder.dropped == 0
    return folder


@pytest.mark.parametrize(("offset", "ir_hz"), [(0.037, 30.0), (-0.12, 30.0), (0.21, 9.0), (0.012, 60.0)])
def test_the_offset_of_a_shaken_mount_is_found(scene: Any, tmp_path: Path, offset: float, ir_hz: float) -> None:
    """To a third of a visible frame, at equal and different rates, early and late."""
    found = find_time_offset(record(tmp_path / "raw", scene, offset=offset, ir_hz=ir_hz))
    assert found.seconds == pytest.approx(offset, abs=0.011)
    assert found.correlation > 0.5


def test_an_offset_that_was_applied_already_does_not_count(scene: Any, tmp_path: Path) -> None:
    """The recording notes it; the offset found is that of the cameras."""
    folder = record(tmp_path / "raw", scene, offset=0.08, applied=0.05)
    assert find_time_offset(folder).seconds == pytest.approx(0.08, abs=0.011)
    assert {frame.offset_seconds for frame in read_recording(folder, "ir")} == {0.05}


def test_motion_of_two_different_places_is_refused(scene: Any, tmp_path: Path) -> None:
    """No offset is better than a wrong one."""
    with pytest.raises(InputError, match="no trustworthy time offset"):
        find_time_offset(record(tmp_path / "raw", scene, offset=0.03, other=True))


def test_too_little_is_refused(tmp_path: Path) -> None:
    """A few frames, and none at all."""
    with pytest.raises(InputError, match="no recording"):
        find_time_offset(tmp_path)
    recorder = RawRecorder(tmp_path / "raw")
    for number in range(20):
        recorder.offer(Frame("vis", np.full((48, 64, 3), number, np.uint8), number, None, number / 30, number / 30))
    recorder.close()
    with pytest.raises(InputError, match="changes between infrared"):
        find_time_offset(tmp_path / "raw")


def test_the_command_puts_the_offset_into_a_calibration_that_is_there(scene: Any, tmp_path: Path) -> None:
    """And leaves the geometry as it is."""
    import typer

    from edgefuse.cli.calibrate import calibrate_command

    app = typer.Typer()
    app.command()(calibrate_command)
    before = Calibration.of(np.diag([2.0, 2.0, 1.0]), ir_size=(160, 240), vis_size=(320, 480), points=4)
    before.save(tmp_path / "c.toml")
    folder = record(tmp_path / "raw", scene, offset=0.05)
    options = ["--output", str(tmp_path / "c.toml"), "--time-from", str(folder), "--json"]
    result = CliRunner().invoke(app, options)
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["time_offset_ms"] == pytest.approx(50.0, abs=11.0)
    after = Calibration.load(tmp_path / "c.toml")
    assert after.time_offset_seconds == pytest.approx(0.05, abs=0.011)
    assert (after.homography, after.ir_size, after.points) == (before.homography, before.ir_size, before.points)
    assert CliRunner().invoke(app, [*options, "--time-offset", "3"]).exit_code != 0
