"""Reading and writing still images."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgefuse.errors import InputError
from edgefuse.images import read_ir, read_vis, write_image

RNG = np.random.default_rng(0)


def test_raw_thermal_keeps_its_sixteen_bits(tmp_path: Path) -> None:
    """Counts come back exactly, from PNG and TIFF."""
    raw = RNG.integers(0, 65535, (24, 31)).astype(np.uint16)
    for suffix in (".png", ".tif"):
        write_image(tmp_path / f"raw{suffix}", raw)
        np.testing.assert_array_equal(read_ir(tmp_path / f"raw{suffix}"), raw)


def test_three_equal_infrared_channels_become_one(tmp_path: Path) -> None:
    """No value changes when a gray image was stored as colour."""
    gray = RNG.integers(0, 255, (24, 31)).astype(np.uint8)
    write_image(tmp_path / "ir.png", cv2.merge([gray, gray, gray]))
    np.testing.assert_array_equal(read_ir(tmp_path / "ir.png"), gray)


def test_a_palette_infrared_becomes_its_luminance(tmp_path: Path) -> None:
    """Different channels are weighted as BT.601 says, to a rounding step."""
    colour = RNG.integers(0, 255, (24, 31, 3)).astype(np.uint8)
    write_image(tmp_path / "ir.png", colour)
    expected = colour.astype(float) @ np.array([0.114, 0.587, 0.299])
    assert np.abs(read_ir(tmp_path / "ir.png") - expected).max() < 1


def test_gray_and_colour_visible_keep_their_shape(tmp_path: Path) -> None:
    """A gray file stays two-dimensional, a colour file BGR; transparency goes."""
    write_image(tmp_path / "gray.png", np.zeros((24, 31), np.uint8))
    write_image(tmp_path / "colour.png", np.full((24, 31, 3), (10, 20, 30), np.uint8))
    write_image(tmp_path / "alpha.png", np.full((24, 31, 4), (10, 20, 30, 40), np.uint8))
    assert read_vis(tmp_path / "gray.png").shape == (24, 31)
    assert read_vis(tmp_path / "colour.png")[0, 0].tolist() == [10, 20, 30]
    assert read_vis(tmp_path / "alpha.png").shape == (24, 31, 3)


def test_a_text_file_named_png_is_refused(tmp_path: Path) -> None:
    """The message names the file and says that it is no image."""
    (tmp_path / "a.png").write_text("not an image")
    with pytest.raises(InputError, match=r"a\.png: not an image"):
        read_vis(tmp_path / "a.png")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """No traceback of the operating system's error."""
    with pytest.raises(InputError, match=r"nowhere\.png: no such file"):
        read_ir(tmp_path / "nowhere.png")


def test_one_pixel_is_refused(tmp_path: Path) -> None:
    """A 1x1 image is taken for a broken file."""
    write_image(tmp_path / "dot.png", np.zeros((1, 1), np.uint8))
    with pytest.raises(InputError, match="1x1 pixels is too small"):
        read_vis(tmp_path / "dot.png")


def test_an_unknown_suffix_is_refused(tmp_path: Path) -> None:
    """The message lists what can be written."""
    with pytest.raises(InputError, match=r"use \.png"):
        write_image(tmp_path / "a.xyz", np.zeros((16, 16), np.uint8))


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    """A path whose folder is a file is reported, and nothing else is left behind."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="cannot write"):
        write_image(tmp_path / "file" / "a.png", np.zeros((16, 16), np.uint8))
    assert sorted(item.name for item in tmp_path.iterdir()) == ["file"]
