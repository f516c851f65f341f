"""``edgefuse calibrate`` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from edgefuse.calibrate import Calibration
from edgefuse.cli.calibrate import calibrate_command
from edgefuse.errors import EdgeFuseError

IR_POINTS = "20,20 290,25 285,215 25,210"
VIS_POINTS = "60,50 600,60 590,440 70,430"


def run(*arguments: object) -> tuple[int, str]:
    """The exit code and what was printed, an error's line included."""
    app = typer.Typer()
    app.command()(calibrate_command)
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(result.exception, EdgeFuseError):
        return result.exception.exit_code, str(result.exception)
    return result.exit_code, result.output


@pytest.fixture
def pictures(tmp_path: Path) -> list[object]:
    """The options that name a pair of pictures."""
    rng = np.random.default_rng(0)
    cv2.imwrite(str(tmp_path / "ir.png"), rng.integers(7000, 8000, (240, 320)).astype(np.uint16))
    cv2.imwrite(str(tmp_path / "vis.png"), rng.integers(0, 255, (480, 640, 3)).astype(np.uint8))
    return ["--ir", tmp_path / "ir.png", "--vis", tmp_path / "vis.png", "--output", tmp_path / "c.toml"]


def test_four_points_become_a_file_and_a_picture_to_judge(tmp_path: Path, pictures: list[object]) -> None:
    """With distance and time offset, and never over a file that is there."""
    points = ["--ir-points", IR_POINTS, "--vis-points", VIS_POINTS, "--distance", 8, "--time-offset", 12, "--json"]
    code, out = run(*pictures, *points)
    assert code == 0
    assert json.loads(out)["method"] == "points"
    found = Calibration.load(tmp_path / "c.toml")
    assert (found.ir_size, found.vis_size, found.distance_metres) == ((240, 320), (480, 640), 8.0)
    assert found.time_offset_seconds == pytest.approx(0.012)
    mapped = cv2.perspectiveTransform(np.array([[[20.0, 20.0]]]), found.matrix)
    np.testing.assert_allclose(mapped[0, 0], [60, 50], atol=1e-6)
    assert cv2.imread(str(tmp_path / "c.png")).shape == (480, 640, 3)
    code, out = run(*pictures, *points)
    assert (code, "there already" in out) == (1, True)
    assert run(*pictures, *points, "--overwrite")[0] == 0


def test_the_overlay_does_not_replace_a_picture(tmp_path: Path, pictures: list[object]) -> None:
    """Not even where files may be replaced."""
    before = (tmp_path / "vis.png").read_bytes()
    code, text = run(*pictures, "--auto", "--overwrite", "--output", tmp_path / "vis.toml")
    assert (code, "give another --overlay" in text) == (2, True), text
    assert (tmp_path / "vis.png").read_bytes() == before


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ([], 2, "choose one"),
        (["--auto", "--circles", "7x5"], 2, "choose one"),
        (["--ir-points", IR_POINTS], 2, "go together"),
        (["--ir-points", "1,2,3", "--vis-points", VIS_POINTS], 2, "x,y"),
        (["--circles", "7by5"], 2, "COLUMNSxROWS"),
        (["--circles", "7x5"], 1, "no pair shows"),
        (["--auto", "--distance", "0"], 2, "positive"),
        (["--auto"], 1, "no trustworthy match"),
        (["--auto", "--output", "c.png"], 2, "a calibration is a .toml file"),
    ],
)
def test_what_gives_no_calibration_says_why_and_writes_nothing(
    tmp_path: Path, pictures: list[object], options: list[Any], code: int, message: str
) -> None:
    """Wrong usage is 2; pictures that do not serve are 1."""
    found, text = run(*pictures, *options)
    assert (found, message in text) == (code, True), text
    assert not (tmp_path / "c.toml").exists()
