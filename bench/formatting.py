"""How numbers and tables are written."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = [
    "NOTHING",
    "TEXT_COLUMNS",
    "count",
    "markdown_table",
    "megabytes",
    "milliseconds",
    "significant",
    "with_spread",
]

NOTHING = "–"
"""What stands where there is no number."""

TEXT_COLUMNS = frozenset({"model", "runtime", "verdict", "recipe", "stage", "kernels", "operation", "implementation"})
"""Headings of the columns that are aligned left."""


def count(value: float | None) -> str:
    """A number of operations or parameters, with K, M or G."""
    if value is None:
        return NOTHING
    for unit, name in ((1e9, " G"), (1e6, " M"), (1e3, " K")):
        if value >= unit:
            return f"{significant(value / unit, digits=4)}{name}"
    return f"{value:.0f}"


def megabytes(size_bytes: float | None) -> str:
    """A size in units of 10⁶ bytes."""
    return NOTHING if size_bytes is None else significant(size_bytes / 1e6)


def milliseconds(value: float | None) -> str:
    """A time in milliseconds."""
    return significant(value)


def significant(value: float | None, digits: int = 3) -> str:
    """A number with so many significant digits, never in exponents and never fewer than its integer digits."""
    if value is None:
        return NOTHING
    if value == 0:
        return "0"
    integer_digits = len(str(int(abs(value)))) if abs(value) >= 1 else 0
    if integer_digits == 0:
        return f"{value:.{digits}g}" if abs(value) >= 1e-4 else f"{value:.1e}"
    return f"{value:.{max(0, digits - integer_digits)}f}"


def with_spread(value: float, spread: float) -> str:
    """A number and its uncertainty to the same decimals: those of the number, and enough that the spread is not 0."""
    decimals = len(significant(value).partition(".")[2])
    if spread > 0:
        decimals = max(decimals, -math.floor(math.log10(spread)))
    return f"{value:.{decimals}f} ± {spread:.{decimals}f}"


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns line up as plain text, numbers to the right.

    Args:
        headings: Heading of every column.
        rows: Cells of every row.

    Returns:
        The table without a final newline.
    """
    escaped = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    widths = [max(3, *(len(row[index]) for row in [list(headings), *escaped])) for index in range(len(headings))]
    left = {index for index, heading in enumerate(headings) if heading in TEXT_COLUMNS}

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.ljust(width) if index in left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "| " + " | ".join(padded) + " |"

    rule = "|" + "|".join(f" {'-' * w} " if i in left else f" {'-' * (w - 1)}: " for i, w in enumerate(widths)) + "|"
    return "\n".join([line(headings), rule, *(line(row) for row in escaped)])
