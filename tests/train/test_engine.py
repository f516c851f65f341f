"""Runs: what they leave, how they stop, resume and refuse."""

from __future__ import annotations

import json
import os
import signal

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from edgefuse import models
from edgefuse.errors import UsageError
from edgefuse.manifest import sha256_file
from edgefuse.train import load_recipe
from edgefuse.train.engine import train
from edgefuse.train.stage import DivergedError


def stop_after(steps):
    """A callback that asks the run to stop, as Ctrl-C does, once some steps are done."""
    done = []

    def on_step(status):
        done.append(status)
        if len(done) == steps:
            os.kill(os.getpid(), signal.SIGTERM)

    return on_step


def equal(one, other):
    """Whether two files hold the same tensors, to the bit."""
    ours, theirs = load_file(one), load_file(other)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_run_leaves_weights_checkpoint_record_curve_sheets_and_scalars(tiny, data, tmp_path):
    """Everything that is promised is there, and the weights load into the model."""
    seen = []
    result = train(
        tiny, data, output=tmp_path / "run", device="cpu", command="edgefuse train lite", on_step=seen.append
    )
    assert (result.reason, result.steps, len(seen)) == ("finished", 9, 9)
    assert {path.name for path in result.output.iterdir()} == {
        "checkpoint.safetensors",
        "loss.png",
        "sheets",
        "tensorboard",
        "training.json",
        "weights.safetensors",
    }
    assert len(list((result.output / "sheets").iterdir())) == 3
    models.load_weights(models.create("lite", channels=4), result.weights)
    with safe_open(result.weights, framework="pt") as content:
        assert content.metadata()["recipe"] == "lite"
        assert json.loads(content.metadata()["config"]) == {"channels": 4}
        assert json.loads(content.metadata()["training"]) == result.record
    record = json.loads((result.output / "training.json").read_text())
    assert record == result.record
    assert record["command"] == "edgefuse train lite"
    assert record["data_pairs"] == {"street/train": 6}
    assert record["data_sha256"] == data.sha256
    assert record["finished"] is True
    assert record["steps"] == 9


def test_the_same_seed_gives_the_same_weights_and_another_does_not(tiny, data, tmp_path):
    """A run is a function of its recipe and its data."""
    first = train(tiny, data, output=tmp_path / "a", device="cpu").weights
    again = train(tiny, data, output=tmp_path / "b", device="cpu").weights
    assert equal(first, again)
    overrides = [f"{key}={value}" for key, value in (("model.channels", 4), ("train.seed", 1), ("train.epochs", 3))]
    small = ["augmentation.crop_px=32", "train.batch=2", "train.crops_per_pair=1", "train.sheet_px=32"]
    other = load_recipe("lite", overrides=[*overrides, *small, "train.schedule.warmup_steps=2"])
    assert not equal(first, train(other, data, output=tmp_path / "c", device="cpu").weights)


@pytest.mark.parametrize("steps", [1, 3, 4])
def test_a_resumed_run_has_the_weights_of_an_uninterrupted_one(tiny, data, tmp_path, steps):
    """To the bit, whether it was stopped within an epoch, at its end or after its first step."""
    whole = train(tiny, data, output=tmp_path / "whole", device="cpu")
    part = train(tiny, data, output=tmp_path / "part", device="cpu", on_step=stop_after(steps))
    assert part.reason == "interrupted"
    assert steps <= part.steps < 9
    assert part.record["finished"] is False
    resumed = train(tiny, data, output=tmp_path / "part", device="cpu", resume=True)
    assert (resumed.reason, resumed.steps) == ("finished", 9)
    assert equal(whole.weights, resumed.weights)
    assert resumed.last_loss == whole.last_loss


@pytest.mark.parametrize("steps", [3, 6, 8])
def test_a_resume_crosses_stages_optimisers_and_random_layers(data, tmp_path, steps):
    """Two stages, two optimisers and a network with dropout and batch statistics resume to the bit as well."""
    path = tmp_path / "two.toml"
    path.write_text(
        f"""
        model.name = "{__name__}:Restless"
        losses.max_intensity.weight = 1.0
        augmentation.crop_px = 16
        train.epochs = 2
        train.batch = 2
        train.sheet_px = 16
        train.optimizers.rest.name = "sgd"
        train.optimizers.last = {{ lr = 1e-2, parameters = ["last.*"] }}
        stages.first.freeze = ["mix.bias"]
        stages.second.losses.ssim.weight = 0.5
        """
    )
    recipe = load_recipe(path)
    whole = train(recipe, data, output=tmp_path / "whole", device="cpu")
    train(recipe, data, output=tmp_path / "part", device="cpu", on_step=stop_after(steps))
    resumed = train(recipe, data, output=tmp_path / "part", device="cpu", resume=True)
    assert resumed.steps == whole.steps == 12
    assert equal(whole.weights, resumed.weights)


class Restless(nn.Module):
    """A network of a user's own: plain ``nn.Module``, random in training, with running statistics."""

    def __init__(self):
        super().__init__()
        self.mix = nn.Conv2d(2, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.5)
        self.last = nn.Conv2d(4, 1, 1)

    def forward(self, ir, vis):
        """Mix the two and normalise."""
        return torch.sigmoid(self.last(self.drop(self.norm(self.mix(torch.cat([ir, vis], dim=1))))))


def test_a_network_of_ones_own_trains_with_a_recipes_losses(data, tmp_path):
    """A recipe that only names another module trains it: any module of two inputs and one output."""
    path = tmp_path / "own.toml"
    path.write_text(f'extends = "rpfnet"\nmodel.name = "{__name__}:Restless"')
    with pytest.raises(UsageError, match="optimiser auxiliary has no parameter"):
        train(load_recipe(path), data, output=tmp_path / "rpfnet", device="cpu")
    path.write_text(f'extends = "angularfuse"\nmodel.name = "{__name__}:Restless"\ntrain.optimizers.all.lr = 1e-2')
    small = [
        "augmentation.crop_px=32",
        "augmentation.mask_px=8",
        "train.epochs=10",
        "train.batch=6",
        "train.sheet_px=32",
    ]
    result = train(load_recipe(path, overrides=small), data, output=tmp_path / "run", device="cpu")
    assert result.last_loss < result.first_loss
    assert load_file(result.weights).keys() == Restless().state_dict().keys()


def test_a_time_limit_ends_a_run_with_usable_weights(tiny, data, tmp_path):
    """With no time left, one step is done and everything is written."""
    result = train(tiny, data, output=tmp_path / "run", device="cpu", max_minutes=0.0)
    assert (result.reason, result.steps) == ("time limit", 1)
    models.load_weights(models.create("lite", channels=4), result.weights)
    assert (result.output / "loss.png").is_file()


class Diverging(nn.Module):
    """Fuses well, and then no longer."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.calls = 0

    def forward(self, ir, vis):
        """Give NaN from the fifth batch on."""
        self.calls += self.training
        return self.weight * torch.maximum(ir, vis) * (1.0 if self.calls < 5 else float("nan"))


def test_a_loss_that_is_no_number_stops_the_run_and_names_the_batch(data, tmp_path):
    """The message has step, terms and pictures; the checkpoint of the last good epoch stays."""
    path = tmp_path / "nan.toml"
    path.write_text(
        f"""
        model.name = "{__name__}:Diverging"
        losses.max_intensity.weight = 1.0
        augmentation.crop_px = 16
        train = {{ epochs = 4, batch = 2, sheet_px = 16 }}
        """
    )
    with pytest.raises(
        DivergedError, match=r"step 5 of stage main \(loss nan.*on the batch street/train/\d, street/train/\d"
    ):
        train(load_recipe(path), data, output=tmp_path / "run", device="cpu")
    assert torch.isfinite(load_file(tmp_path / "run" / "weights.safetensors")["weight"])


class Kinked(nn.Module):
    """A finite picture whose gradient is none."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, ir, vis):
        """The square root has no derivative at zero."""
        return torch.maximum(ir, vis) + torch.sqrt(self.weight)


def test_a_gradient_that_is_no_number_stops_the_run_too(data, tmp_path):
    """Weights are not updated by a gradient that is not finite."""
    path = tmp_path / "kink.toml"
    path.write_text(
        f'model.name = "{__name__}:Kinked"\nlosses.ssim.weight = 1.0\naugmentation.crop_px = 16\ntrain.batch = 2'
    )
    with pytest.raises(DivergedError, match="the gradient is not finite in step 1"):
        train(load_recipe(path), data, output=tmp_path / "run", device="cpu")


def test_an_earlier_run_is_neither_overwritten_nor_continued_by_another(tiny, data, tmp_path):
    """A folder in use, a folder without a run, another recipe and other data are refused; more epochs are not."""
    run = tmp_path / "run"
    with pytest.raises(UsageError, match="holds no run to resume"):
        train(tiny, data, output=run, device="cpu", resume=True)
    train(tiny, data, output=run, device="cpu")
    with pytest.raises(UsageError, match="holds a run already"):
        train(tiny, data, output=run, device="cpu")
    with pytest.raises(UsageError, match=r"another recipe \(.*losses\.gradient"):
        train(load_recipe("angularfuse"), data, output=run, device="cpu", resume=True)
    fewer = type(data)(data.pairs[1:], (), "0" * 64, data.images)
    with pytest.raises(UsageError, match="other data"):
        train(tiny, fewer, output=run, device="cpu", resume=True)
    small = ["model.channels=4", "augmentation.crop_px=32", "train.batch=2", "train.crops_per_pair=1"]
    longer = load_recipe(
        "lite", overrides=[*small, "train.epochs=4", "train.sheet_px=32", "train.schedule.warmup_steps=2"]
    )
    assert train(longer, data, output=run, device="cpu", resume=True).steps == 12


def test_weights_can_be_given_to_start_from(tiny, data, tmp_path):
    """A run that starts from trained weights differs from one that does not, and its record says which they were."""
    first = train(tiny, data, output=tmp_path / "a", device="cpu")
    tuned = train(tiny, data, output=tmp_path / "b", device="cpu", initial_weights=first.weights)
    assert not equal(first.weights, tuned.weights)
    assert "before" not in first.record
    before = tuned.record["before"]
    assert (before["file"], before["sha256"]) == ("weights.safetensors", sha256_file(first.weights))
    assert before.keys() > {"recipe", "seed", "steps", "minutes", "settings"}
    assert before["steps"] == first.steps


def test_a_resumed_run_still_knows_what_it_started_from(tiny, data, tmp_path):
    """Also where the weights were some file that says nothing of its own training."""
    plain = tmp_path / "plain.safetensors"
    models.save_weights(models.create("lite", channels=4), plain, {"training": "no JSON"})
    train(tiny, data, output=tmp_path / "run", device="cpu", initial_weights=plain, on_step=stop_after(2))
    resumed = train(tiny, data, output=tmp_path / "run", device="cpu", resume=True)
    assert resumed.reason == "finished"
    assert resumed.record["before"] == {"file": "plain.safetensors", "sha256": sha256_file(plain)}


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("augmentation.crop_px=24", "takes multiples of 16"),
        ("train.batch=64", "fewer than a batch of 64"),
        ("train.precision=fp16", "fp16 training needs a GPU"),
        ("losses.saliency_structure.weight=1.0", "residual_map"),
    ],
)
def test_refuses_what_cannot_train(data, tmp_path, override, said):
    """Crop, batch, precision and losses that do not fit are refused with the reason."""
    small = ["augmentation.crop_px=32", "train.batch=2", "train.crops_per_pair=1"]
    recipe = load_recipe("lite", overrides=[*small, override])
    with pytest.raises(UsageError, match=said):
        train(recipe, data, output=tmp_path / "run", device="cpu")


@pytest.mark.parametrize("has_bf16", [True, False])
def test_bf16_trains(data, tmp_path, monkeypatch, caplog, has_bf16):
    """Mixed precision runs on a CPU too, and its weights stay fp32; without bf16 instructions it is fp32 and said."""
    monkeypatch.setattr("edgefuse.train.accelerator._cpu_multiplies_bf16", lambda: has_bf16)
    changes = ["model.channels=4", "augmentation.crop_px=32", "train.epochs=1", "train.batch=2", "train.sheet_px=32"]
    recipe = load_recipe("lite", overrides=[*changes, "train.crops_per_pair=1", "train.precision=bf16"])
    result = train(recipe, data, output=tmp_path / "run", device="cpu")
    assert {tensor.dtype for tensor in load_file(result.weights).values()} == {torch.float32}
    used = json.loads((tmp_path / "run" / "training.json").read_text())["precision"]
    assert (used, "no bf16 arithmetic" in caplog.text) == (("bf16", False) if has_bf16 else ("fp32", True))


def test_workers_that_draw_samples_change_nothing(tiny, data, tmp_path):
    """Samples drawn in other processes give the same weights."""
    alone = train(tiny, data, output=tmp_path / "alone", device="cpu")
    helped = train(tiny, data, output=tmp_path / "helped", device="cpu", workers=2)
    assert equal(alone.weights, helped.weights)
