"""Contact sheets."""

from __future__ import annotations

import numpy as np
import pytest

from edgefuse.errors import InputError
from edgefuse.sheet import contact_sheet


def test_pictures_stand_side_by_side_at_their_own_size() -> None:
    """Each picture is in the sheet pixel for pixel, gray ones as equal channels."""
    rng = np.random.default_rng(0)
    ir, vis = rng.integers(0, 255, (60, 80)).astype(np.uint8), rng.integers(0, 255, (60, 80, 3)).astype(np.uint8)
    sheet = contact_sheet([("ir", ir), ("vis", vis)])
    bottom = sheet[-64:-4]
    np.testing.assert_array_equal(bottom[:, 4:84], np.repeat(ir[..., None], 3, axis=2))
    np.testing.assert_array_equal(bottom[:, 88:168], vis)


def test_rows_hold_the_given_number_of_columns() -> None:
    """Five panels in rows of two make three rows."""
    panels = [(str(index), np.full((40, 50), 40 * index, np.uint8)) for index in range(5)]
    one, three = contact_sheet(panels[:2], columns=2), contact_sheet(panels, columns=2)
    assert three.shape[1] == one.shape[1]
    assert three.shape[0] - 4 == 3 * (one.shape[0] - 4)


def test_sizes_and_depths_may_differ() -> None:
    """All are scaled to one height with their proportions kept; 16 bits show their high byte."""
    sheet = contact_sheet([("a", np.zeros((40, 50), np.uint8)), ("b", np.full((80, 200, 3), 200 << 8, np.uint16))])
    assert sheet.shape[1] == 4 + 50 + 4 + 100 + 4
    assert sheet[-20, -20].tolist() == [200, 200, 200]


def test_raw_counts_are_stretched_to_be_seen() -> None:
    """A few kelvins of TLinear counts fill the gray scale; a flat picture is black, not an error."""
    counts = np.tile(np.linspace(28000, 29000, 100).astype(np.uint16), (60, 1))
    picture = contact_sheet([("raw", counts)])[-64:-4, 4:104, 0]
    assert picture.min() == 0
    assert picture.max() == 255
    assert np.all(np.diff(picture[30].astype(int)) >= 0)
    flat = contact_sheet([("raw", np.full((60, 100), 28000, np.uint16))])[-64:-4, 4:104]
    assert flat.max() == 0


def test_captions_are_drawn_and_long_ones_kept_inside() -> None:
    """Letters are brighter than the bar, and the last column of the bar stays dark."""
    sheet = contact_sheet([("a caption much longer than the picture is wide", np.zeros((200, 120), np.uint8))])
    bar = sheet[4:-204, 4:-4]
    assert bar.max() > 150
    assert bar[:, -2:].max() < 60


@pytest.mark.parametrize("picture", [np.zeros((9, 9)), np.zeros((9, 9, 4), np.uint8), np.zeros(9, np.uint8)])
def test_other_arrays_are_refused(picture: np.ndarray) -> None:
    """The message names the panel."""
    with pytest.raises(InputError, match="'odd'"):
        contact_sheet([("odd", picture)])


def test_no_panel_is_refused() -> None:
    """There is nothing to lay out."""
    with pytest.raises(InputError, match="at least one"):
        contact_sheet([])
