"""Pictures of a record, and the roofs that rows stand under."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgefuse.bench.plot import plot_quality, plot_roofline, read_scores, roofline_points
from edgefuse.bench.record import Record, Row, Series
from edgefuse.bench.roofs import measure_roofs
from edgefuse.errors import InputError


def make_row(model: str = "lite", **fields: Any) -> Row:
    """A row of 2 ms, 6 GFLOP and 3 GB moved."""
    values: dict[str, Any] = {
        "flops": 6_000_000_000,
        "moved_bytes": 3_000_000_000,
        "inference": Series(2.0, 1, (2.0, 2.0, 2.0)),
        "device": "cpu",
        **fields,
    }
    return Row(model=model, runtime="ort", precision="fp32", batch=1, imgsz=(480, 640), threads=2, **values)


def make_record(*rows: Row, **settings: Any) -> Record:
    """A record of these rows."""
    return Record(machine={}, settings={"machine_summary": "A CPU (2 cores)", **settings}, overhead=None, rows=rows)


def test_a_row_stands_at_its_intensity_and_speed() -> None:
    """6 GFLOP over 3 GB in 2 ms: 2 FLOPs a byte, 3 TFLOP/s; rows without counts, numbers or a CPU are left out."""
    record = make_record(
        make_row(), make_row(flops=None), make_row(inference=None), make_row(device="cuda"), make_row(moved_bytes=None)
    )
    (point,) = roofline_points(record)
    assert (point.intensity, point.flops_per_second) == (2.0, 3e12)
    assert point.label == "lite, ort, 640×480"


def test_the_roofs_are_positive_and_finite() -> None:
    """A matrix product and a copy each take some time on any machine."""
    roofs = measure_roofs({"threads": 1})
    assert all(0 < roofs[name] < 1e16 for name in ("flops_per_second", "bytes_per_second"))


def test_pictures_are_written(tmp_path: Path) -> None:
    """Both are PNG files; a record without a row to draw is an error instead of an empty picture."""
    pytest.importorskip("matplotlib")
    record = make_record(make_row(), roofs={"flops_per_second": 1e13, "bytes_per_second": 1e11})
    plot_roofline(record, tmp_path / "roofline.png")
    plot_quality(record, {"lite": 0.7}, tmp_path / "quality.png", metric="VIF")
    for name in ("roofline.png", "quality.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match="nothing to draw"):
        plot_roofline(make_record(make_row(inference=None), roofs={}), tmp_path / "none.png")
    with pytest.raises(InputError, match="no measured model has a VIF"):
        plot_quality(record, {"other": 0.7}, tmp_path / "none.png", metric="VIF")


def test_scores_are_those_of_an_evaluation(tmp_path: Path) -> None:
    """The means of each method by name, and a clear error for another metric or file."""
    path = tmp_path / "study.json"
    methods = [{"name": "lite", "means": {"VIF": 0.7, "EN": None}}, {"name": "rpfnet", "means": {"VIF": 0.6}}]
    path.write_text(json.dumps({"methods": methods}))
    assert read_scores(path, "VIF") == {"lite": 0.7, "rpfnet": 0.6}
    with pytest.raises(InputError, match=r"no EN in it; it has EN, VIF"):
        read_scores(path, "EN")
    path.write_text("[]")
    with pytest.raises(InputError, match="not a result of edgefuse eval"):
        read_scores(path, "VIF")
    with pytest.raises(InputError, match="cannot read the scores"):
        read_scores(tmp_path / "missing.json", "VIF")
