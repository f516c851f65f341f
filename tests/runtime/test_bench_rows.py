"""Engines in ``edgefuse bench``: their rows are prepared, and say why they have no numbers here."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgefuse.bench.measure import Budget
from edgefuse.bench.spec import engine_subject, expand, onnx_subject
from edgefuse.bench.sweep import Settings, measure_rows
from edgefuse.errors import EdgeFuseError
from edgefuse.manifest import manifest_path
from edgefuse.runtime.device_memory import find_gpu

SETTINGS = Settings(budget=Budget(seconds=0.05, warmup_seconds=0.0), threads=1)
SIZE = (32, 32)


@pytest.mark.slow
def test_engines_are_measured_or_say_why_not(average_model: Path, tmp_path: Path) -> None:
    """A built engine up to the missing GPU, one without a manifest up to its trust, a graph up to its engine."""
    pytest.importorskip("tensorrt_rtx")
    from edgefuse.export import export

    try:
        find_gpu()
        pytest.skip("this machine has a GPU")
    except EdgeFuseError:
        pass
    path = tmp_path / "average.rtx"
    export(average_model, path, format="tensorrt-rtx", targets=("sm_86",), imgsz=SIZE)
    stray = tmp_path / "stray.rtx"
    stray.write_bytes(path.read_bytes())
    assert manifest_path(path).is_file()
    runtimes = ["tensorrt", "tensorrt-rtx"]
    for subject, reasons in (
        (engine_subject(path), ["no NVIDIA driver"]),
        (engine_subject(stray), ["--trust-engine"]),
        (engine_subject(stray, trusted=True), ["no NVIDIA driver"]),
        (onnx_subject(average_model), ["build the engine with edgefuse export first"] * 2),
    ):
        rows = measure_rows(expand([subject], runtimes=runtimes, sizes=[SIZE], threads=1), SETTINGS).rows
        assert len(rows) == len(reasons)
        for row, reason in zip(rows, reasons, strict=True):
            assert reason in (row.failed or "")
