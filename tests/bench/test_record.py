"""Records: what is saved is what is read, and nothing else is taken for one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgefuse.bench.gate import Deviation
from edgefuse.bench.noise import Noise
from edgefuse.bench.record import SCHEMA_VERSION, Record, Row, Series
from edgefuse.errors import ArtifactError


def make_record() -> Record:
    """A record with a measured and a failed row."""
    identity: dict[str, Any] = {"device": "cpu", "precision": "fp32", "batch": 2, "imgsz": (480, 640), "threads": 2}
    measured = Row(
        model="lite",
        runtime="ort",
        **identity,
        parameters=1234,
        macs=10,
        flops=21,
        uncounted={"Strange": 1},
        load_ms=3.5,
        inference=Series(first_ms=9.0, warmup_runs=4, times_ms=(1.0, 2.0, 3.0)),
        energy_joules={"rapl": 0.5},
        deviation=Deviation(reference="torch", max_abs=1e-6, mean_abs=1e-7, tolerance=1e-3),
        noise=Noise(other_cores=0.0, stolen_cores=None),
        warnings=("3 runs",),
    )
    failed = Row(model="lite", runtime="ort-cuda", **identity, failed="no CUDA")
    return Record(
        machine={"utc": "2026-01-02T03:04:05+00:00", "cpu": {"name": "A CPU"}},
        settings={"threads": 2},
        overhead=Series(first_ms=0.1, warmup_runs=1, times_ms=(0.0001, 0.0002)),
        rows=(measured, failed),
    )


def test_a_saved_record_reads_back_the_same(tmp_path: Path) -> None:
    """Every field survives, tuples and nested results included."""
    path = tmp_path / "record.json"
    make_record().save(path)
    assert Record.load(path) == make_record()


def test_a_record_carries_its_schema_statistics_and_raw_times(tmp_path: Path) -> None:
    """A reader of the JSON needs no code of ours for the medians."""
    path = tmp_path / "record.json"
    make_record().save(path)
    document = json.loads(path.read_text())
    assert (document["schema_version"], document["command"]) == (SCHEMA_VERSION, "bench")
    inference = document["rows"][0]["inference"]
    assert inference["summary"]["p50_ms"] == 2.0
    assert inference["times_ms"] == [1.0, 2.0, 3.0]
    assert document["rows"][0]["frames_per_second"] == 1000.0
    assert document["rows"][1]["failed"] == "no CUDA"
    assert document["rows"][1]["inference"] is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not json", "not a benchmark record"),
        ("[1, 2]", "not a record of edgefuse bench"),
        ('{"command": "fuse"}', "not a record of edgefuse bench"),
        ('{"command": "bench", "schema_version": 99}', "schema 99, this version reads"),
    ],
)
def test_other_files_are_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    """Another command's JSON, another schema and no JSON at all."""
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(ArtifactError, match=f"other.json.*{message}"):
        Record.load(path)


def test_a_missing_record_is_an_error_and_not_an_empty_one(tmp_path: Path) -> None:
    """The path and the reason are in the message."""
    with pytest.raises(ArtifactError, match=r"missing\.json: cannot read the benchmark record"):
        Record.load(tmp_path / "missing.json")


def test_rows_are_comparable_whatever_they_measured() -> None:
    """The key holds what was asked for, not what came out."""
    first, second = make_record().rows
    assert first.key != second.key
    assert Row.from_dict({**first.to_dict(), "load_ms": 99.0}).key == first.key
