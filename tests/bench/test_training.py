"""What training costs: real steps of a small recipe, with the fused kernels and without."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

from edgefuse.bench.measure import Budget  # noqa: E402
from edgefuse.bench.readme import table_of  # noqa: E402
from edgefuse.bench.record import Series, save_document  # noqa: E402
from edgefuse.bench.training import (  # noqa: E402
    TrainingRow,
    TrainingSpec,
    agreeing,
    training_markdown,
    training_rows,
)
from edgefuse.errors import UsageError  # noqa: E402
from edgefuse.kernels.backend import choose_backend  # noqa: E402

BUDGET = Budget(seconds=0.05, warmup_seconds=0.0, min_runs=3)
SMALL = ("train.batch=2", "augmentation.crop_px=64")
SPEC = TrainingSpec("lite", "main", "fused", "cpu")


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    """Steps of the lite recipe on small crops."""
    return training_rows(["lite"], overrides=SMALL, budget=BUDGET, threads=1)


def test_each_kind_of_kernels_has_its_row(record: dict[str, Any]) -> None:
    """Both trained, on the same samples, to the same losses, and say what a step took."""
    reference, fused = (TrainingRow.from_dict(row) for row in record["rows"])
    assert (reference.spec.kernels, fused.spec.kernels) == ("reference", "fused")
    for row in (reference, fused):
        assert row.failed is None
        assert (row.batch, row.crop_px, row.precision) == (2, 64, "fp32")
        assert row.steps is not None
        assert len(row.steps.times_ms) >= 3
        assert len(row.losses) == 3
        assert row.peak_host_bytes is not None
    assert fused.losses == pytest.approx(reference.losses, rel=1e-3)
    assert reference.losses[2] != reference.losses[0]


def test_the_record_is_saved_and_shown(record: dict[str, Any], tmp_path: Path) -> None:
    """The table of the saved file is that of the record, with the speed-up in the fused row."""
    path = tmp_path / "train.json"
    save_document(record, path)
    assert table_of(path) == training_markdown(record)
    lines = training_markdown(record).splitlines()
    assert "speed-up" in lines[0]
    assert lines[3].count("±") == 2


def test_losses_that_disagree_fail_the_row() -> None:
    """A fused kernel with another gradient shows in the loss after an update."""
    reference = TrainingRow(replace(SPEC, kernels="reference"), losses=(2.0, 1.5, 1.2))
    good = TrainingRow(SPEC, losses=(2.0, 1.5, 1.2001))
    bad = TrainingRow(SPEC, losses=(2.0, 1.6, 1.4), steps=Series(1.0, 1, (1.0,)))
    assert agreeing(good, [reference]) == good
    refused = agreeing(bad, [reference])
    assert refused.failed == "the loss of step 2 is 1.6, and 1.5 with the reference kernels"
    assert refused.steps is None


def test_a_stage_that_cannot_train_says_why() -> None:
    """fp16 needs a GPU: the rows fail with that, and no number is there."""
    record = training_rows(
        ["lite"], kernels=["fused"], overrides=[*SMALL, "train.precision=fp16"], budget=BUDGET, threads=1
    )
    (row,) = record["rows"]
    assert "fp16 training needs a GPU" in row["failed"]
    assert "failed: fp16" in training_markdown(record)


def test_wrong_names_are_refused_before_anything_runs() -> None:
    """Kernels and recipes are closed choices."""
    with pytest.raises(UsageError, match="--kernels must be of reference, fused, not 'fast'"):
        training_rows(["lite"], kernels=["fast"], budget=BUDGET, threads=1)
    with pytest.raises(UsageError, match="no-such-recipe"):
        training_rows(["no-such-recipe"], budget=BUDGET, threads=1)


def test_the_environment_switches_the_fused_kernels_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the automatic choice obeys: who names an implementation gets it."""
    image = torch.zeros(1, 1, 8, 8)
    assert choose_backend("auto", image) == "native"
    monkeypatch.setenv("EDGEFUSE_KERNELS", "reference")
    assert choose_backend("auto", image) == "reference"
    assert choose_backend("native", image) == "native"
