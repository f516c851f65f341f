"""The benchmark of the metrics: its check, its record and its table."""

from __future__ import annotations

import numpy as np
import pytest

from edgefuse.bench import bench_metrics
from edgefuse.bench.gate import GateError

QUICK = ["--size", "64", "80", "--rounds", "3"]


def test_the_record_holds_raw_times_and_ratios(capsys: pytest.CaptureFixture[str]) -> None:
    """Every metric has its own times on both sides, and the folder was scored with one process first."""
    record = bench_metrics.main([*QUICK, "--folder", "2"])
    assert set(record["metric_cpu_ms"]) == set(bench_metrics.METRICS)
    assert all(len(times) == 3 for times in record["suite_cpu_ms"].values())
    assert record["ratio"]["cddfuse"]["value"] > 0
    assert record["folder"][0]["workers"] == 1
    printed = capsys.readouterr().out
    assert "| all ten |" in printed
    assert "Folder, 1 process:" in printed


def test_nothing_is_measured_when_the_two_disagree(monkeypatch: pytest.MonkeyPatch) -> None:
    """A restatement that computes something else ends the run before any time is taken."""
    monkeypatch.setattr(bench_metrics, "_entropy", lambda image: float(np.std(image)))
    with pytest.raises(GateError, match=r"EN is .* the restatement gives"):
        bench_metrics.main([*QUICK, "--folder", "0"])
