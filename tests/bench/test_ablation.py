"""The ablation command: real rows that can be built, runs that resume, and tables that agree with their records."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from edgefuse import models
from edgefuse.bench.__main__ import main
from edgefuse.bench.ablation import ablation_markdown, chosen_rows, load_plan, load_results
from edgefuse.bench.readme import stale_tables
from edgefuse.data import check_pairs, discover
from edgefuse.errors import ArtifactError, UsageError
from edgefuse.images import write_image
from edgefuse.losses import compose
from edgefuse.train.engine import train
from edgefuse.train.schedule import build_optimizers
from edgefuse.train.stage import StageRun

ROOT = Path(__file__).resolve().parents[2]
PLAN = """
title = "a test"
metrics = ["EN", "Qabf"]
test_px = 24
every = 1

[length]
rpfnet = ["model.channels=4", "augmentation.crop_px=16", "train.epochs=2", "train.batch=2", "train.crops_per_pair=1",
          "train.sheet_px=16", "train.precision=fp32", "train.schedule.warmup_steps=0"]

[[tables]]
name = "Stages"
of = "number of stages"
rows = [
  { label = "one", recipe = "rpfnet", set = ["model.iterations=1"] },
  { label = "two", recipe = "rpfnet", set = ["model.iterations=2"] },
]

[[tables]]
name = "Again"
of = "the same training"
rows = [{ label = "its own", recipe = "rpfnet", set = ["model.iterations=2"] }]
"""


@pytest.mark.parametrize("table", load_plan().tables, ids=lambda table: table.name)
def test_every_row_of_every_table_can_be_trained(table):
    """Model, losses and optimisers of each row are real, and no two rows of a table are the same training."""
    for row in table.rows:
        recipe = row.load()
        network = models.create(recipe.model, **recipe.config)
        for stage in recipe.stages:
            assert compose(stage.losses).weights
            assert build_optimizers(network, stage.train.optimizers)
            assert stage.augmentation.crop_px == 64
    assert len({row.key for row in table.rows}) == len(table.rows)


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A plan of two trainings with pictures to train and test on; runs the command in a folder of its own."""
    random = np.random.default_rng(0)
    for split, names in (("train", "abcd"), ("test", "yz")):
        for name in names:
            for kind, shape in (("ir", (28, 32)), ("vis", (28, 32, 3))):
                image = random.integers(0, 256, shape).astype(np.uint8)
                write_image(tmp_path / "street" / split / kind / f"{name}.png", image)
    (tmp_path / "plan.toml").write_text(PLAN, encoding="utf-8")
    plan = load_plan(tmp_path / "plan.toml")
    monkeypatch.setattr("edgefuse.bench.ablation.load_plan", lambda: plan)

    def run(*arguments, code=0):
        folders = ["--data", tmp_path / "street/train", "--test", tmp_path / "street/test"]
        places = ["--results", tmp_path / "results.json", "--scratch", tmp_path / "runs", "--device", "cpu"]
        assert main(["ablation", *map(str, (*folders, *places, *arguments))]) == code
        return plan, load_results(tmp_path / "results.json")

    return run


def test_rows_are_trained_once_scored_and_written_as_tables(study, capsys):
    """A training that stands in two tables runs once; a second call finds nothing to do."""
    plan, results = study()
    assert capsys.readouterr().out == "0 rows left\n"
    assert len(results["rows"]) == 2
    record = results["rows"][plan.tables[1].rows[0].key]
    assert record["steps"] == 4
    assert record["scores"]["sets"]["street/test"]["images"] == 2
    value = record["scores"]["sets"]["street/test"]["means"]["Qabf"]
    text = ablation_markdown(plan, results)
    assert text.count(f"| {value:.3f} |") >= 2
    assert "not run" not in text
    assert "2 of 2 trainings are done" in text
    assert study()[1] == results


def test_rows_without_result_are_listed_and_a_cut_training_goes_on(study, tmp_path, capsys):
    """With no time no row starts, and the tables say so; a training that was cut is finished and not begun anew."""
    plan, results = study("--rows", "Stages", "--max-minutes", "0")
    assert results["rows"] == {}
    assert capsys.readouterr().out == "2 rows left\n"
    assert ablation_markdown(plan, results).count("not run") == 3
    row = plan.tables[0].rows[0]
    data = check_pairs(discover([tmp_path / "street/train"], split="train").pairs)
    cut = train(row.load(), data, output=tmp_path / "runs" / row.key, device="cpu", max_minutes=0.0)
    assert (cut.reason, cut.steps) == ("time limit", 1)
    _, results = study("--rows", "Stages")
    assert results["rows"][row.key]["steps"] == 4
    assert not (tmp_path / "runs" / row.key).exists()
    assert "not run" not in ablation_markdown(plan, results)


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("", ["one", "two", "its own"]),
        ("stages", ["one", "two"]),
        ("RPFNet", ["one", "two", "its own"]),
        ("Its Own", ["its own"]),
        ("tw", ["two"]),
    ],
)
def test_a_text_chooses_tables_recipes_and_rows(tmp_path, text, labels):
    """By a part of the name, whatever its capitals."""
    (tmp_path / "plan.toml").write_text(PLAN, encoding="utf-8")
    assert [row.label for row in chosen_rows(load_plan(tmp_path / "plan.toml"), text)] == labels


def test_a_text_that_names_nothing_is_refused(study, capsys):
    """It would look as if all were done; what there is is named instead."""
    _, results = study("--rows", "Stagse", code=2)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: no table, recipe or row has 'Stagse' in its name; tables: Stages, Again;")
    assert "recipes: rpfnet;" in printed.err
    assert results["rows"] == {}


def test_an_interrupted_training_ends_the_study(study, tmp_path, monkeypatch):
    """Ctrl-C in the middle of a row starts no other, and the next call finishes the row."""
    step = StageRun._step

    def press_ctrl_c(self, batch, stop):
        os.kill(os.getpid(), signal.SIGINT)
        return step(self, batch, stop)

    with monkeypatch.context() as patched:
        patched.setattr(StageRun, "_step", press_ctrl_c)
        _, results = study("--rows", "Stages", code=130)
    assert results["rows"] == {}
    assert len(list((tmp_path / "runs").iterdir())) == 1
    assert len(study()[1]["rows"]) == 2


def test_the_tables_of_the_document_are_those_of_the_records():
    """docs/ablations.md holds what `python -m edgefuse.bench readme docs/ablations.md` writes."""
    text = (ROOT / "docs/ablations.md").read_text(encoding="utf-8")
    assert "<!-- bench:ablation -->" in text
    assert stale_tables(text, ROOT / "bench/results") == []


def test_damaged_plans_and_results_are_refused(tmp_path):
    """Each in one line that names the file."""
    path = tmp_path / "ablation.json"
    path.write_text("{", encoding="utf-8")
    with pytest.raises(ArtifactError, match="not valid JSON"):
        load_results(path)
    path.write_text(json.dumps({"schema_version": 9, "command": "bench ablation"}), encoding="utf-8")
    with pytest.raises(ArtifactError, match="not the results"):
        load_results(path)
    path.write_text("[length]", encoding="utf-8")
    with pytest.raises(UsageError, match="not an ablation plan"):
        load_plan(path)
