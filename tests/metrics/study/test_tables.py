"""Tables as text."""

from __future__ import annotations

import csv
import io
import math

import pytest

from edgefuse.errors import UsageError
from edgefuse.metrics.study import Table, render

TABLE = Table(
    "method",
    ("EN", "MSE", "RoR"),
    (("one", (6.5, 4000.125, 1.0)), ("two_b", (7.25, 5000.0, 3.0)), ("x|y", (math.nan, 4500.0, 2.0))),
    ("Convention default (corrected).", "Means over 3 images."),
    marked=True,
)


def test_markdown_marks_best_and_second_best_in_each_direction() -> None:
    """EN is best where large, MSE and ranks where small; an undefined value is a dash and is never marked."""
    lines = render(TABLE, "markdown").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").replace("\\|", "/").split("|")] for line in lines[:5]]
    assert cells[0] == ["method", "EN", "MSE", "RoR"]
    assert cells[2] == ["one", "*6.5000*", "**4000.12**", "**1**"]
    assert cells[3] == ["two_b", "**7.2500**", "5000.00", "3"]
    assert cells[4] == ["x/y", "–", "*4500.00*", "*2*"]
    assert lines[6].startswith("Convention default")
    assert "Best **bold**" in lines[-1]


def test_csv_has_full_precision_and_nothing_else() -> None:
    """What is read back equals what was there."""
    rows = list(csv.reader(io.StringIO(render(TABLE, "csv"))))
    assert rows[0] == ["method", "EN", "MSE", "RoR"]
    assert float(rows[1][2]) == 4000.125
    assert math.isnan(float(rows[3][1]))
    assert len(rows) == 4


def test_latex_escapes_names_and_marks_bold_and_underlined() -> None:
    """The text compiles in a plain article: no package, no bare underscore, the convention under the table."""
    text = render(TABLE, "latex")
    assert r"\begin{tabular}{lrrr}" in text
    assert r"two\_b & \textbf{7.2500} & 5000.00 & 3 \\" in text
    assert r"one & \underline{6.5000} & \textbf{4000.12} & \textbf{1} \\" in text
    assert r"\footnotesize Convention default" in text
    assert text.count("{") == text.count("}")


def test_changes_are_shown_against_their_baseline() -> None:
    """The row of a disturbance has the difference to the clean row in brackets, with its sign."""
    table = Table("inputs", ("EN",), (("clean", (6.5,)), ("dark", (4.25,))), baseline=(None, 0))
    assert "4.2500 (-2.2500)" in render(table, "markdown")


def test_equal_values_share_a_mark_and_one_row_has_none() -> None:
    """Two best values are both bold; a table without competition has no marks."""
    tie = Table("m", ("EN",), (("a", (2.0,)), ("b", (2.0,)), ("c", (1.0,))), marked=True)
    text = render(tie, "markdown")
    assert text.count("**2.0000**") == 2
    assert "*1.0000*" in text
    same = Table("m", ("EN",), (("a", (2.0,)), ("b", (2.0,))), marked=True)
    assert "**2" not in render(same, "markdown")


def test_another_style_is_refused() -> None:
    """The error lists the styles that there are."""
    with pytest.raises(UsageError, match="markdown, csv, latex, not 'html'"):
        render(TABLE, "html")  # type: ignore[arg-type]
