"""Tables of a study as Markdown, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from edgefuse.errors import UsageError
from edgefuse.metrics.ranking import is_better
from edgefuse.metrics.study.summary import RANK, RETENTION_WORST, Study

__all__ = ["FORMATS", "Table", "TableFormat", "image_tables", "mean_table", "render", "robustness_table"]

TableFormat = Literal["markdown", "csv", "latex"]
FORMATS: dict[TableFormat, str] = {"markdown": ".md", "csv": ".csv", "latex": ".tex"}
"""Formats and the suffixes of their files."""


@dataclass(frozen=True)
class Table:
    """A table of numbers, with the lines that belong under it.

    Attributes:
        corner: Heading of the first column.
        columns: Headings of the others.
        rows: A name and one number a column.
        remarks: Lines under the table; the first one says which conventions the numbers follow.
        marked: Whether the best and the second best of each column are marked.
        baseline: For each row the index of the row that its change is shown against, or None.
    """

    corner: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[float, ...]], ...]
    remarks: tuple[str, ...] = ()
    marked: bool = False
    baseline: tuple[int | None, ...] = ()


def mean_table(study: Study) -> Table:
    """Methods by metrics: means, worst target retention, rank of ranks.

    Args:
        study: The results.

    Returns:
        The table; with two methods or more the best values are marked and ranked.
    """
    ranks = study.ranks()
    means = {method: study.means(method) for method in study.methods}
    columns = [
        *study.columns,
        *(name for name in (RETENTION_WORST,) if any(name in values for values in means.values())),
    ]
    rows = []
    for method, values in means.items():
        numbers = [values[column] for column in columns]
        rows.append((method, tuple([*numbers, float(ranks[method])] if ranks else numbers)))
    return Table(
        "method",
        (*columns, RANK) if ranks else tuple(columns),
        tuple(rows),
        tuple(study.remarks()),
        marked=len(rows) > 1,
    )


def image_tables(study: Study) -> dict[str, Table]:
    """Images by metrics, one table a method, clean inputs only.

    Args:
        study: The results.

    Returns:
        Tables by method.
    """
    tables = {}
    for method in study.methods:
        rows = [row for row in study.ordered_rows() if row.method == method and not row.disturbance and not row.error]
        numbers = tuple(
            (row.image, tuple(row.scores.get(column, math.nan) for column in study.columns)) for row in rows
        )
        tables[method] = Table("image", study.columns, numbers, (study.describe(),))
    return tables


def robustness_table(study: Study) -> Table:
    """How each metric falls: a row for clean inputs, then one for each disturbance with the change.

    Args:
        study: The results, with disturbances.

    Returns:
        The table.
    """
    rows: list[tuple[str, tuple[float, ...]]] = []
    baseline: list[int | None] = []
    for method in study.methods:
        clean = len(rows)
        for disturbance in ("", *study.disturbances):
            if not study.rows_of(method, disturbance):
                continue
            means = study.means(method, disturbance)
            rows.append((f"{method}, {disturbance or 'clean'}", tuple(means[column] for column in study.columns)))
            baseline.append(clean if disturbance else None)
    note = "Disturbed inputs, scored against the clean sources; in brackets the change from clean inputs."
    return Table("method, inputs", study.columns, tuple(rows), (*study.remarks(), note), baseline=tuple(baseline))


def render(table: Table, style: TableFormat) -> str:
    """Write a table.

    Args:
        table: The table.
        style: ``"markdown"``: best value bold, second best in italics; ``"latex"``: best bold, second best
            underlined; ``"csv"``: full precision without marks or remarks.

    Returns:
        The text, with a newline at its end.

    Raises:
        UsageError: Another style.
    """
    writers: dict[str, Callable[[Table], str]] = {"markdown": _markdown, "csv": _csv, "latex": _latex}
    if style not in writers:
        raise UsageError(f"table format must be one of {', '.join(get_args(TableFormat))}, not {style!r}")
    return writers[style](table)


def _csv(table: Table) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([table.corner, *table.columns])
    for name, numbers in table.rows:
        writer.writerow([name, *("nan" if math.isnan(number) else repr(number) for number in numbers)])
    return stream.getvalue()


def _markdown(table: Table) -> str:
    cells = _cells(table, best="**{}**", second="*{}*", plain=str, dash="–")
    grid = [
        [table.corner, *table.columns],
        *([name.replace("|", "\\|"), *row] for (name, _), row in zip(table.rows, cells, strict=True)),
    ]
    widths = [max(len(line[index]) for line in grid) for index in range(len(grid[0]))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = ["| " + " | ".join(line) + " |" for line in (rule, *(_padded(line, widths) for line in grid))]
    lines[0], lines[1] = lines[1], lines[0]
    marks = ["Best **bold**, second best *italic*."] if table.marked else []
    return "\n".join([*lines, "", *(line + "  " for line in (*table.remarks, *marks))]).rstrip() + "\n"


def _padded(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [
        cell.ljust(width) if index == 0 else cell.rjust(width)
        for index, (cell, width) in enumerate(zip(line, widths, strict=True))
    ]


def _latex(table: Table) -> str:
    cells = _cells(table, best=r"\textbf{{{}}}", second=r"\underline{{{}}}", plain=_escape, dash="--")
    head = " & ".join(_escape(name) for name in (table.corner, *table.columns))
    lines = [rf"\begin{{tabular}}{{l{'r' * len(table.columns)}}}", r"\hline", head + r" \\", r"\hline"]
    lines += [" & ".join([_escape(name), *row]) + r" \\" for (name, _), row in zip(table.rows, cells, strict=True)]
    lines += [r"\hline", r"\end{tabular}"]
    lines += [rf"\\ {{\footnotesize {_escape(remark)}}}" for remark in table.remarks]
    return "\n".join(lines) + "\n"


def _escape(text: str) -> str:
    for plain, escaped in (("\\", r"\textbackslash "), *((char, "\\" + char) for char in "&%$#_{}")):
        text = text.replace(plain, escaped)
    return text


def _cells(table: Table, *, best: str, second: str, plain: Callable[[str], str], dash: str) -> list[list[str]]:
    marks = [
        _two_best(table, index) if table.marked else (set[int](), set[int]()) for index in range(len(table.columns))
    ]
    cells = []
    for place, (_, numbers) in enumerate(table.rows):
        line = []
        for index, number in enumerate(numbers):
            text = plain(_number(number, table.columns[index], dash))
            base = table.baseline[place] if table.baseline else None
            if base is not None:
                text += f" ({_number(number - table.rows[base][1][index], table.columns[index], dash, signed=True)})"
            first, runners_up = marks[index]
            line.append(best.format(text) if place in first else second.format(text) if place in runners_up else text)
        cells.append(line)
    return cells


def _number(value: float, column: str, dash: str, *, signed: bool = False) -> str:
    """Four decimals, two from a hundred up, none for ranks."""
    if math.isnan(value):
        return dash
    digits = 0 if column == RANK else 4 if abs(value) < 100 else 2
    return f"{value:{'+' if signed else ''}.{digits}f}"


def _two_best(table: Table, index: int) -> tuple[set[int], set[int]]:
    """Rows that hold the best and the second best value of a column; equal values share a mark."""
    column = table.columns[index]
    sign = -1.0 if column == RANK else 1.0  # of ranks the smallest is the best
    numbers = {place: row[index] for place, (_, row) in enumerate(table.rows)}
    values = {place: sign * number for place, number in numbers.items() if not math.isnan(number)}
    if len(set(values.values())) < 2:
        return set(), set()
    best = _best(column, values)
    rest = {place: value for place, value in values.items() if place not in best}
    return best, _best(column, rest)


def _best(metric: str, values: dict[int, float]) -> set[int]:
    return {
        place
        for place, value in values.items()
        if not any(is_better(metric, other, value) for other in values.values())
    }
