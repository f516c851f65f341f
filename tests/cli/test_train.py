"""``edgefuse train`` and ``edgefuse data`` as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgefuse import models
from edgefuse.images import write_image

SMALL = [
    *("--set", "model.channels=4", "--set", "augmentation.crop_px=32", "--set", "train.batch=2"),
    *("--set", "train.crops_per_pair=1", "--set", "train.epochs=2", "--set", "train.sheet_px=32", "--device", "cpu"),
]


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """A collection with four training pairs and a test pair."""
    random = np.random.default_rng(0)
    for split, names in (("train", "abcd"), ("test", "z")):
        for name in names:
            for kind, shape in (("ir", (40, 56)), ("vis", (40, 56, 3))):
                image = random.integers(0, 256, shape).astype(np.uint8)
                write_image(tmp_path / "data" / "street" / split / kind / f"{name}.png", image)
    return tmp_path / "data"


def test_a_recipe_and_a_folder_become_weights(run_cli, pairs, tmp_path):
    """Weights are where the output says, and the record holds the command line."""
    out = tmp_path / "run"
    result = run_cli("train", "lite", "--data", pairs, "-o", out, *SMALL)
    assert result.code == 0, result.err
    assert "finished: 4 steps" in result.out
    assert str(out / "weights.safetensors") in result.out
    models.load_weights(models.create("lite", channels=4), out / "weights.safetensors")
    record = json.loads((out / "training.json").read_text())
    assert record["command"].startswith(f"edgefuse train lite --data {pairs} -o {out} --set model.channels=4")
    assert record["data_pairs"] == {"street/train": 4}


def test_json_has_the_result_and_logs_stay_on_stderr(run_cli, pairs, tmp_path):
    """Standard output is one JSON document."""
    result = run_cli("train", "lite", "--data", pairs, "-o", tmp_path / "run", "--json", *SMALL)
    document = json.loads(result.out)
    assert document["schema_version"] == 1
    assert document["command"] == "train"
    assert document["reason"] == "finished"
    assert document["steps"] == 4
    assert "4 pairs" in result.err


def test_a_run_out_of_time_tells_how_to_go_on_and_does(run_cli, pairs, tmp_path):
    """The line that is printed resumes the run."""
    out = tmp_path / "run"
    result = run_cli("train", "lite", "--data", pairs, "-o", out, "--max-minutes", 0, *SMALL)
    assert result.code == 0
    assert "time limit: 1 step," in result.out
    assert "--resume" in result.out
    result = run_cli("train", "lite", "--data", pairs, "-o", out, "--resume", *SMALL)
    assert "finished: 4 steps" in result.out
    result = run_cli("train", "lite", "--data", pairs, "-o", out, *SMALL)
    assert result.code == 2
    assert "go on with --resume" in result.err


def test_a_bad_file_is_named_before_the_first_step(run_cli, pairs, tmp_path):
    """The rest trains, unless the run is strict."""
    bad = pairs / "street" / "train" / "ir" / "b.png"
    bad.write_bytes(bad.read_bytes()[:100])
    result = run_cli("train", "lite", "--data", pairs, "-o", tmp_path / "strict", "--strict", *SMALL)
    assert result.code == 1
    assert f"{bad}: " in result.err
    assert not (tmp_path / "strict").exists()
    result = run_cli("train", "lite", "--data", pairs, "-o", tmp_path / "run", *SMALL)
    assert result.code == 0
    assert f"{bad}: " in result.err
    assert "lite: 3 pairs" in result.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "give a recipe and --data"),
        (("lite",), "give a recipe and --data"),
        (("fusiongan", "--data", "DATA"), "unknown recipe"),
        (("lite", "--data", "DATA", "--set", "train.epoch=3"), "has no epoch"),
        (("lite", "--data", "DATA", "--device", "tpu"), "auto, cpu, cuda"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(run_cli, pairs, tmp_path, arguments, said):
    """Each mistake names what is allowed."""
    given = [pairs if argument == "DATA" else argument for argument in arguments]
    result = run_cli("train", *given, *(["-o", tmp_path / "run"] if given else []))
    assert result.code == 2
    assert said in result.err


def test_the_recipes_are_listed(run_cli):
    """Every recipe has a line, and JSON has its model."""
    result = run_cli("train", "--list")
    assert "angularfuse-direction-aware" in result.out
    listed = json.loads(run_cli("train", "--list", "--json").out)["recipes"]
    assert {"name": "lite", "model": "lite"}.items() <= next(item for item in listed if item["name"] == "lite").items()


def test_data_check_counts_pairs_and_names_problems(run_cli, pairs):
    """A clean collection passes; a missing partner, a damaged file and two sizes fail with a line each."""
    result = run_cli("data", "check", pairs)
    assert result.code == 0
    assert "street/train: 4 pairs" in result.out
    assert "5 usable pairs, 0 problems" in result.out
    folder = pairs / "street" / "train"
    (folder / "vis" / "a.png").unlink()
    (folder / "ir" / "b.png").write_text("text")
    write_image(folder / "vis" / "c.png", np.zeros((20, 20), np.uint8))
    result = run_cli("data", "check", pairs, "--split", "train", "--json")
    assert result.code == 1
    document = json.loads(result.out)
    assert (document["pairs"], document["sets"]) == (1, {"street/train": 1})
    assert len(document["problems"]) == 3
    for name in ("ir/a.png", "ir/b.png", "ir/c.png"):
        assert any(name in problem for problem in document["problems"])
        assert name in result.err


def test_data_check_refuses_what_is_not_there(run_cli, tmp_path):
    """A missing folder and an unknown split are told apart."""
    assert run_cli("data", "check", tmp_path / "none").code == 1
    result = run_cli("data", "check", tmp_path, "--split", "dev")
    assert result.code == 2
    assert "train, val, test" in result.err
