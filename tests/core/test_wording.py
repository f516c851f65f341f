"""Numbers with their nouns."""

from __future__ import annotations

from edgefuse.wording import counted


def test_one_is_singular() -> None:
    """Only one is."""
    assert [counted(number, "frame") for number in (0, 1, 2)] == ["0 frames", "1 frame", "2 frames"]
    assert counted(2, "box", "boxes") == "2 boxes"
