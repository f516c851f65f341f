"""Finding pairs below folders of any layout."""

from __future__ import annotations

import shutil

import pytest

from edgefuse.data import discover, require_split
from edgefuse.errors import InputError, UsageError


def names(found):
    """Names of the pairs found."""
    return [pair.name for pair in found.pairs]


def test_takes_a_folder_of_pairs_a_split_a_set_and_a_collection(tmp_path, write_pairs):
    """The same pairs are found from each level, under names that say set and split."""
    folder = write_pairs(tmp_path / "all" / "street" / "train")
    for root in (folder, folder.parent, folder.parent.parent):
        assert names(discover(root)) == ["street/train/a", "street/train/b"]


def test_keeps_to_the_wanted_split(tmp_path, write_pairs):
    """Test images and clips that are in no split stay out of the training split."""
    for split in ("train", "test"):
        write_pairs(tmp_path / "street" / split)
    write_pairs(tmp_path / "clips" / "walk")
    assert names(discover(tmp_path, split="train")) == ["street/train/a", "street/train/b"]
    assert len(discover(tmp_path).pairs) == 6


def test_a_root_inside_a_split_is_taken_as_it_is(tmp_path, write_pairs):
    """Who names a test folder means it, and a folder without splits is all training data."""
    folder = write_pairs(tmp_path / "street" / "test")
    assert len(discover(folder, split="train").pairs) == 2
    assert len(discover(write_pairs(tmp_path / "mine"), split="train").pairs) == 2


def test_a_set_without_the_wanted_split_is_an_error(tmp_path, write_pairs):
    """A set that has only test images gives nothing to train on, and the message says so."""
    write_pairs(tmp_path / "street" / "test")
    with pytest.raises(InputError, match="no image pairs in a split named 'train'"):
        discover(tmp_path / "street", split="train")


@pytest.mark.parametrize(("ir", "vis"), [("Inf", "Vis"), ("infrared", "visible"), ("thermal", "rgb"), ("MRI", "PET")])
def test_knows_the_folder_names_of_the_field(tmp_path, write_pairs, ir, vis):
    """Other data sets' names of the two folders work, in any case, medical ones among them."""
    folder = write_pairs(tmp_path / "set")
    (folder / "ir").rename(folder / "first")
    (folder / "first").rename(folder / ir)
    (folder / "vis").rename(folder / "second")
    (folder / "second").rename(folder / vis)
    assert names(discover(folder)) == ["set/a", "set/b"]


def test_names_files_without_a_partner_and_folders_without_one(tmp_path, write_pairs):
    """What is left out is said, file by file."""
    folder = write_pairs(tmp_path / "set" / "train", "abc")
    (folder / "vis" / "b.png").unlink()
    (tmp_path / "raw" / "ir").mkdir(parents=True)
    found = discover(tmp_path)
    assert names(found) == ["set/train/a", "set/train/c"]
    assert len(found.problems) == 2
    assert any("b.png" in problem and "no visible image" in problem for problem in found.problems)
    assert any("raw: has ir but no visible folder" in problem for problem in found.problems)


def test_a_pair_reached_twice_counts_once(tmp_path, write_pairs):
    """Overlapping roots do not repeat pairs."""
    folder = write_pairs(tmp_path / "set" / "train")
    assert len(discover([tmp_path, folder]).pairs) == 2


@pytest.mark.parametrize("make", [False, True])
def test_refuses_a_missing_and_an_empty_root(tmp_path, make):
    """A root that is not there, or holds no pair, is named."""
    root = tmp_path / "nothing"
    if make:
        root.mkdir()
    with pytest.raises(InputError, match="nothing"):
        discover(root)


def test_an_empty_couple_of_folders_is_a_problem_and_not_the_end(tmp_path, write_pairs):
    """One empty set does not stop the others."""
    write_pairs(tmp_path / "good")
    shutil.rmtree(write_pairs(tmp_path / "bad") / "vis")
    (tmp_path / "bad" / "vis").mkdir()
    found = discover(tmp_path)
    assert names(found) == ["good/a", "good/b"]
    assert any("bad" in problem for problem in found.problems)


def test_a_split_is_one_of_three():
    """The error of a wrong split lists the right ones."""
    assert require_split("val") == "val"
    assert require_split(None) is None
    with pytest.raises(UsageError, match="train, val, test"):
        require_split("trian")


def test_finds_every_training_pair_of_the_reference_data(shared):
    """The collection of real pairs holds 202 training pairs, with three sets of different layouts of files."""
    found = discover(shared / "data", split="train")
    assert len(found.pairs) == 202
    assert {pair.name.rpartition("/")[0] for pair in found.pairs} == {"msrs/train", "roadscene/train", "llvip/train"}
