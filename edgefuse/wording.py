"""Wording of what is told to people."""

from __future__ import annotations

__all__ = ["counted"]


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun.

    Args:
        number: How many.
        one: The noun for one, as in "frame".
        many: For any other number; with an s where it is not given.

    Returns:
        As in "1 frame", "2 frames", "0 frames".
    """
    return f"{number} {one if number == 1 else many or one + 's'}"
