"""Reading every pair before training."""

from __future__ import annotations

import numpy as np
import pytest

from edgefuse.data import check_pairs, discover, read_pair
from edgefuse.errors import InputError
from edgefuse.images import write_image


def test_good_pairs_pass_and_are_kept_in_memory(tmp_path, write_pairs):
    """Decoded luminance of both images is kept, up to the memory allowed."""
    pairs = discover(write_pairs(tmp_path)).pairs
    checked = check_pairs(pairs, keep_bytes=1 << 20)
    assert checked.pairs == pairs
    assert checked.problems == ()
    ir, vis = checked.images[pairs[0].name]
    assert ir.shape == vis.shape == (48, 64)
    assert ir.dtype == vis.dtype == np.uint8
    one_pair = ir.nbytes + vis.nbytes
    assert len(check_pairs(pairs, keep_bytes=one_pair).images) == 1
    assert check_pairs(pairs).images == {}


def test_each_kind_of_bad_file_is_named_and_the_rest_is_usable(tmp_path, write_pairs):
    """A truncated file, a text file, a pair of two sizes and a flat image are each one line that names the file."""
    folder = write_pairs(tmp_path, "abcde")
    truncated = folder / "ir" / "a.png"
    truncated.write_bytes(truncated.read_bytes()[:-40])
    (folder / "vis" / "b.png").write_text("not an image")
    write_image(folder / "vis" / "c.png", np.zeros((20, 30), np.uint8))
    write_image(folder / "ir" / "d.png", np.full((48, 64), 7, np.uint8))
    seen = []
    checked = check_pairs(discover(folder).pairs, on_pair=lambda: seen.append(1))
    assert [pair.ir.stem for pair in checked.pairs] == ["e"]
    assert len(seen) == 5
    expected = (
        ("a.png", "truncated"),
        ("b.png", "not an image"),
        ("c.png", "align the pair"),
        ("d.png", "every pixel is 7"),
    )
    for problem, (name, reason) in zip(checked.problems, expected, strict=True):
        assert name in problem
        assert reason in problem


def test_images_smaller_than_asked_are_named(tmp_path, write_pairs):
    """A minimum side leaves small images out."""
    checked = check_pairs(discover(write_pairs(tmp_path)).pairs, smallest_px=49)
    assert len(checked.problems) == 2
    assert "smaller than 49 px" in checked.problems[0]


def test_the_hash_is_that_of_the_content(tmp_path, write_pairs):
    """The same files give the same hash wherever they lie; another pixel gives another."""
    one = check_pairs(discover(write_pairs(tmp_path / "x" / "set")).pairs).sha256
    other = write_pairs(tmp_path / "y" / "set")
    assert check_pairs(discover(other).pairs).sha256 == one
    image = np.random.default_rng(5).integers(0, 255, (48, 64)).astype(np.uint8)
    write_image(other / "ir" / "a.png", image)
    assert check_pairs(discover(other).pairs).sha256 != one


def test_raw_thermal_counts_are_stretched(tmp_path, write_pairs):
    """A 16-bit infrared image of few counts fills the range, as it does at inference."""
    folder = write_pairs(tmp_path, "a")
    counts = np.random.default_rng(0).integers(7000, 7100, (48, 64)).astype(np.uint16)
    write_image(folder / "ir" / "a.png", counts)
    ir, _ = read_pair(folder / "ir" / "a.png", folder / "vis" / "a.png")
    assert ir.min() == 0
    assert ir.max() == 255


def test_a_missing_file_is_named(tmp_path, write_pairs):
    """Reading a pair of which one file is gone names it."""
    folder = write_pairs(tmp_path, "a")
    (folder / "vis" / "a.png").unlink()
    with pytest.raises(InputError, match=r"vis/a\.png"):
        read_pair(folder / "ir" / "a.png", folder / "vis" / "a.png")
