"""Pairing files of two folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgefuse.errors import InputError
from edgefuse.pairs import pair_folders


def folders(tmp_path: Path, ir: list[str], vis: list[str]) -> tuple[Path, Path]:
    """Two folders with empty files of the given names."""
    for folder, names in (("ir", ir), ("vis", vis)):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / name).touch()
    return tmp_path / "ir", tmp_path / "vis"


def test_formats_may_differ_and_frames_come_in_number_order(tmp_path: Path) -> None:
    """Stems decide; frame 2 comes before frame 10; other files are not looked at."""
    found = pair_folders(*folders(tmp_path, ["f10.png", "f2.TIF", "notes.txt"], ["f2.jpg", "f10.png", ".hidden.png"]))
    assert [pair.name for pair in found.pairs] == ["f2", "f10"]
    assert found.pairs[0].vis.name == "f2.jpg"
    assert found.problems == ()


def test_images_without_a_partner_are_named(tmp_path: Path) -> None:
    """Both sides are reported, and the pair between them is still there."""
    found = pair_folders(*folders(tmp_path, ["a.png", "b.png"], ["b.png", "c.png"]))
    assert [pair.name for pair in found.pairs] == ["b"]
    assert len(found.problems) == 2
    assert "no visible image named 'a'" in found.problems[0]
    assert "no infrared image named 'c'" in found.problems[1]


def test_two_files_of_one_stem_are_reported(tmp_path: Path) -> None:
    """The first by name is used."""
    found = pair_folders(*folders(tmp_path, ["a.jpg", "a.png"], ["a.png"]))
    assert found.pairs[0].ir.name == "a.jpg"
    assert "same name" in found.problems[0]


def test_nothing_in_common_is_an_error(tmp_path: Path) -> None:
    """As is a folder that is not there."""
    ir, vis = folders(tmp_path, ["a.png"], ["b.png"])
    with pytest.raises(InputError, match="no image in"):
        pair_folders(ir, vis)
    with pytest.raises(InputError, match="no such folder"):
        pair_folders(ir, tmp_path / "none")
