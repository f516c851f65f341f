"""Studies: methods against each other on folders of images, as tables and pictures."""

from __future__ import annotations

from edgefuse.metrics.study.files import Item, Method, find_items, method_from_text
from edgefuse.metrics.study.run import default_workers, plan, run
from edgefuse.metrics.study.score import Job, Request, Row, score
from edgefuse.metrics.study.summary import Study
from edgefuse.metrics.study.tables import (
    FORMATS,
    Table,
    TableFormat,
    image_tables,
    mean_table,
    render,
    robustness_table,
)

__all__ = [
    "FORMATS",
    "Item",
    "Job",
    "Method",
    "Request",
    "Row",
    "Study",
    "Table",
    "TableFormat",
    "default_workers",
    "find_items",
    "image_tables",
    "mean_table",
    "method_from_text",
    "plan",
    "render",
    "robustness_table",
    "run",
    "score",
]
