"""Pictures of a study."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgefuse.errors import InputError, MissingDependencyError, UsageError
from edgefuse.images import write_image
from edgefuse.metrics.study import Item, Method, Request, Row, Study, plan, run

pytest.importorskip("matplotlib")
from edgefuse.metrics.study.pictures import draw_cumulative, draw_lines, draw_spectra


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Two methods on three small scenes, with spectra."""
    rng = np.random.default_rng(0)
    items = []
    for name in ("a", "b", "c"):
        for part in ("ir", "vis", "one", "two"):
            write_image(tmp_path / part / f"{name}.png", rng.integers(0, 256, (32, 40)).astype(np.uint8))
        items.append(Item(name, tmp_path / "ir" / f"{name}.png", tmp_path / "vis" / f"{name}.png"))
    request = Request(metrics=("EN", "CC"), spectrum=True)
    jobs = plan([Method("one", fused=tmp_path / "one"), Method("two", fused=tmp_path / "two")], items)
    return Study(request, tuple(jobs), tuple(run(jobs, request)))


@pytest.mark.parametrize(
    ("draw", "suffix"),
    [(draw_cumulative, ".png"), (draw_lines, ".svg"), (draw_spectra, ".png"), (draw_spectra, ".svg")],
)
def test_pictures_are_files_of_both_kinds(study: Study, tmp_path: Path, draw: Any, suffix: str) -> None:
    """PNG decodes and is no blank sheet; SVG is text."""
    draw(study, tmp_path / f"picture{suffix}")
    if suffix == ".svg":
        assert "<svg" in (tmp_path / "picture.svg").read_text(encoding="utf-8")
    else:
        picture = cv2.imread(str(tmp_path / "picture.png"))
        assert picture is not None
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20


def test_an_undefined_value_leaves_a_gap(study: Study, tmp_path: Path) -> None:
    """A picture is drawn whatever is undefined, also where a method has no value at all."""
    rows = tuple(Row(row.method, row.image, scores={**row.scores, "CC": math.nan}) for row in study.rows)
    broken = Study(study.request, study.jobs, rows)
    draw_cumulative(broken, tmp_path / "cumulative.png")
    with pytest.raises(InputError, match="no image has a spectrum"):
        draw_spectra(broken, tmp_path / "spectra.png")


def test_another_suffix_is_refused(study: Study, tmp_path: Path) -> None:
    """The error names the suffixes that there are."""
    with pytest.raises(UsageError, match=r"ending in \.png or \.svg"):
        draw_lines(study, tmp_path / "picture.pdf")


def test_without_matplotlib_the_extra_is_named(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message is the command that fixes it."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(
        MissingDependencyError, match=r"matplotlib is needed to draw pictures: pip install 'edgefuse\[train\]'"
    ):
        draw_lines(study, tmp_path / "picture.png")
