"""From rows to means, ranks and the remarks that belong under a table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from edgefuse.metrics.conventions import find_convention
from edgefuse.metrics.ranking import rank_of_ranks
from edgefuse.metrics.study.score import RETENTION, SPECTRAL, Job, Request, Row, without_nan
from edgefuse.wording import counted

__all__ = ["RANK", "RETENTION_WORST", "Study"]

RANK = "RoR"
"""Column of the rank of ranks."""

RETENTION_WORST = "TR_worst"
"""Column of the smallest target retention."""


@dataclass(frozen=True)
class Study:
    """Rows of methods on scenes, with what was asked for.

    Attributes:
        request: What was computed of each.
        jobs: What there was to do, in table order.
        rows: What is done; fewer than ``jobs`` after an interruption.
        problems: Files that are left out before any job.
    """

    request: Request
    jobs: tuple[Job, ...]
    rows: tuple[Row, ...]
    problems: tuple[str, ...] = ()

    @cached_property
    def _by_place(self) -> dict[tuple[str, str, str], Row]:
        return {(row.method, row.disturbance, row.image): row for row in self.rows}

    @cached_property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods."""
        return tuple(dict.fromkeys(job.method.name for job in self.jobs))

    @cached_property
    def disturbances(self) -> tuple[str, ...]:
        """Disturbances, without the clean inputs."""
        return tuple(dict.fromkeys(job.disturbance for job in self.jobs if job.corruptions))

    @cached_property
    def images(self) -> tuple[str, ...]:
        """Scenes for which every method has scores, under every disturbance that it was tried on.

        Means are taken over these alone: means over different scenes cannot be compared.
        """
        is_done: dict[str, bool] = {}
        for job in self.jobs:
            row = self._by_place.get((job.method.name, job.disturbance, job.item.name))
            is_done[job.item.name] = is_done.get(job.item.name, True) and row is not None and row.error is None
        return tuple(name for name, done in is_done.items() if done)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Names of the values of a row: metrics of the convention, target retention, spectral scores."""
        extra = {name for row in self.rows for name in row.scores}
        return self.request.columns + tuple(name for name in (RETENTION, *SPECTRAL) if name in extra)

    @property
    def is_complete(self) -> bool:
        """Whether every job has its row."""
        return len(self.rows) == len(self.jobs)

    @property
    def errors(self) -> tuple[str, ...]:
        """One line for each thing that is missing or failed."""
        return self.problems + tuple(row.error for row in self.ordered_rows() if row.error is not None)

    def ordered_rows(self) -> list[Row]:
        """Rows in the order of the jobs."""
        places = ((job.method.name, job.disturbance, job.item.name) for job in self.jobs)
        return [self._by_place[place] for place in places if place in self._by_place]

    def rows_of(self, method: str, disturbance: str = "") -> list[Row]:
        """Rows of one method on :attr:`images`."""
        rows = (self._by_place.get((method, disturbance, image)) for image in self.images)
        return [row for row in rows if row is not None]

    def means(self, method: str, disturbance: str = "") -> dict[str, float]:
        """Mean of every column over the scenes where it is defined; of target retention also the worst value."""
        rows = self.rows_of(method, disturbance)
        values = {column: _mean(row.scores.get(column, math.nan) for row in rows) for column in self.columns}
        if RETENTION in values:
            defined = [value for row in rows if not math.isnan(value := row.scores.get(RETENTION, math.nan))]
            values[RETENTION_WORST] = min(defined, default=math.nan)
        return values

    def ranks(self) -> dict[str, int]:
        """Rank of ranks over the metrics of the convention; empty for fewer than two methods or no scene."""
        if len(self.methods) < 2 or not self.images:
            return {}
        table = {method: self.means(method) for method in self.methods}
        return rank_of_ranks(
            {method: {column: means[column] for column in self.request.columns} for method, means in table.items()}
        )

    def remarks(self) -> list[str]:
        """What to know to read the tables: convention, scenes, undefined values, what is left out."""
        lines = [self.describe()]
        scenes = len(dict.fromkeys(job.item.name for job in self.jobs))
        if len(self.images) < scenes:
            lines.append(f"Means over the {len(self.images)} of {scenes} images that every method has.")
        else:
            lines.append(f"Means over {counted(scenes, 'image')}.")
        lines += self._undefined()
        if not self.is_complete:
            lines.append(f"INCOMPLETE: stopped after {len(self.rows)} of {len(self.jobs)} results.")
        return lines

    def describe(self) -> str:
        """The line that says which conventions the numbers follow."""
        line = find_convention(self.request.convention).describe(self.request.columns)
        if RETENTION in self.columns:
            line += f" {RETENTION}: target retention, fused contrast of the masked targets over infrared contrast."
        if set(SPECTRAL) & set(self.columns):
            line += " PSD_ir, PSD_vis: share of source amplitude over radial frequency; PSD_entropy: of the spectrum."
        return line

    def _undefined(self) -> list[str]:
        """One line for each column with undefined values, with the first reason."""
        first: dict[str, tuple[int, Row]] = {}
        for row in self.ordered_rows():
            for column in row.reasons:
                count, earlier = first.get(column, (0, row))
                first[column] = (count + 1, earlier)
        return [
            f"{column} is undefined for {counted(count, 'result')} and left out of its mean "
            f"({row.method}, {row.image}: {row.reasons[column]})."
            for column, (count, row) in first.items()
        ]

    def record(self) -> dict[str, Any]:
        """Everything as plain data for JSON, which has no NaN: an undefined value is None."""
        ranks = self.ranks()
        return {
            "convention": self.request.convention,
            "convention_line": self.describe(),
            "metrics": list(self.request.columns),
            "columns": list(self.columns),
            "complete": self.is_complete,
            "images_in_means": list(self.images),
            "methods": [
                {"name": method, "means": without_nan(self.means(method)), "rank_of_ranks": ranks.get(method)}
                for method in self.methods
            ],
            "disturbed": [
                {"name": method, "disturbance": disturbance, "means": without_nan(self.means(method, disturbance))}
                for method in self.methods
                for disturbance in self.disturbances
                if self.rows_of(method, disturbance)
            ],
            "images": [row.record() for row in self.ordered_rows()],
            "problems": list(self.errors),
            "remarks": self.remarks(),
        }


def _mean(values: Iterable[float]) -> float:
    defined: Sequence[float] = [value for value in values if not math.isnan(value)]
    return math.fsum(defined) / len(defined) if defined else math.nan
