"""Profiles of thermal cameras, orientation, and ``pair.toml``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgefuse.errors import InputError, UsageError
from edgefuse.stream.config import CameraConfig, PairConfig, read_pair_file
from edgefuse.stream.profiles import PROFILES, profile
from edgefuse.stream.uri import parse_uri

CLIP = parse_uri("clip.mp4")


def test_sixteen_bits_stay_sixteen_bits() -> None:
    """Counts pass a profile unchanged, as pixels or as the bytes of pixels."""
    counts = np.arange(64 * 80, dtype=np.uint16).reshape(64, 80) + 7000
    as_bytes = counts.view(np.uint8).reshape(64, 80, 2)
    for frame in (counts, as_bytes):
        np.testing.assert_array_equal(PROFILES["generic16"].counts(frame), counts)


def test_telemetry_rows_are_cut_off() -> None:
    """A Lepton sends two rows of telemetry below its 120 rows."""
    frame = np.full((122, 160), 8000, np.uint16)
    frame[120:] = 65535
    assert PROFILES["lepton"].counts(frame).shape == (120, 160)
    assert PROFILES["lepton"].counts(frame).max() == 8000


def test_the_lower_half_of_a_split_frame_is_temperature() -> None:
    """Two halves in the bytes of YUYV; 1/64 kelvin a count."""
    frame = np.zeros((384, 256, 2), np.uint8)
    frame[192:].reshape(-1).view("<u2")[:] = round((273.15 + 36.6) * 64)
    counts = PROFILES["infiray-split"].counts(frame)
    assert counts.shape == (192, 256)
    assert PROFILES["infiray-split"].celsius(float(counts[0, 0])) == pytest.approx(36.6, abs=0.01)
    for wrong in (np.zeros((384, 256), np.uint8), np.zeros((192, 256, 2), np.uint8)):
        with pytest.raises(InputError, match="two stacked halves"):
            PROFILES["infiray-split"].counts(wrong)


def test_only_radiometric_profiles_give_temperatures() -> None:
    """Counts without a unit are not turned into one."""
    assert PROFILES["tlinear"].celsius(30315.0) == pytest.approx(30.0)
    with pytest.raises(UsageError, match="not radiometric"):
        PROFILES["boson"].celsius(30315.0)
    with pytest.raises(UsageError, match="boson, lepton"):
        profile("flir")


def test_rotation_flip_and_crop_are_applied_in_this_order() -> None:
    """A quarter turn clockwise brings the lower left corner to the upper left."""
    image = np.arange(6, dtype=np.uint8).reshape(2, 3)
    turned = CameraConfig("vis", CLIP, rotate=90).picture(image)
    np.testing.assert_array_equal(turned, [[3, 0], [4, 1], [5, 2]])
    flipped = CameraConfig("vis", CLIP, rotate=90, flip="horizontal", crop=(0, 1, 1, 2)).picture(image)
    np.testing.assert_array_equal(flipped, [[1], [2]])
    with pytest.raises(InputError, match="crop"):
        CameraConfig("vis", CLIP, crop=(2, 0, 4, 1)).picture(image)


def test_a_pair_file_describes_both_cameras(tmp_path: Path) -> None:
    """Offsets in milliseconds, the calibration beside the file."""
    file = tmp_path / "pair.toml"
    file.write_text(
        '[ir]\nuri = "v4l2:///dev/video2?format=y16"\nprofile = "boson"\noffset_ms = 12\nrotate = 180\n'
        '[vis]\nuri = "rtsp://u:p@camera/live"\nflip = "both"\ncrop = [1, 2, 30, 40]\n'
        '[pair]\nmax_skew_ms = 40\ncalibration = "calibration.toml"\n'
    )
    pair = read_pair_file(file)
    assert (pair.ir.profile_name, pair.ir.offset_seconds, pair.ir.rotate) == ("boson", 0.012, 180)
    assert (pair.vis.flip, pair.vis.crop) == ("both", (1, 2, 30, 40))
    assert (pair.max_skew_seconds, pair.calibration) == (0.04, tmp_path / "calibration.toml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[ir]\nuri = "a.mp4"\n', r"\[vis\] needs uri"),
        ('[ir]\nuri = "a.mp4"\ncolour = 1\n[vis]\nuri = "b.mp4"', "colour"),
        ('[ir]\nuri = "a.mp4"\n[vis]\nuri = "b.mp4"\nprofile = "boson"', "infrared"),
        ('[ir]\nuri = "a.mp4"\nrotate = 45\n[vis]\nuri = "b.mp4"', "rotate"),
        ('[ir]\nuri = "a.mp4"\noffset_ms = []\n[vis]\nuri = "b.mp4"', "wrong type"),
        ('[ir]\nuri = "a.mp4"\n[vis]\nuri = "b.mp4"\n[pair]\nmax_skew_ms = 0', "skew"),
        ('ir = 3\n[vis]\nuri = "b.mp4"', "table"),
    ],
)
def test_a_wrong_pair_file_names_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    """Typing errors are not passed over."""
    file = tmp_path / "pair.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=message):
        read_pair_file(file)


def test_a_missing_or_broken_pair_file_is_named(tmp_path: Path) -> None:
    """One line, not a traceback of the parser."""
    (tmp_path / "broken.toml").write_text("[[[")
    for name in ("missing.toml", "broken.toml"):
        with pytest.raises(InputError, match=name):
            read_pair_file(tmp_path / name)


def test_the_largest_skew_is_bounded() -> None:
    """Nothing is paired over more than ten seconds."""
    with pytest.raises(UsageError, match="skew"):
        PairConfig(CameraConfig("ir", CLIP), CameraConfig("vis", CLIP), max_skew_seconds=11.0)
