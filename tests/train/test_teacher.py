"""A network that learns from another one's pictures."""

from __future__ import annotations

import pytest
import torch

from edgefuse import models, zoo
from edgefuse.data import PairSamples
from edgefuse.errors import ArtifactError, UsageError
from edgefuse.manifest import sha256_file
from edgefuse.train import load_recipe
from edgefuse.train.engine import train
from edgefuse.train.loading import BatchOrder, batch_loader
from edgefuse.train.settings import TeacherSettings
from edgefuse.train.teacher import Teacher

SMALL = (
    "model.channels=4",
    "augmentation.crop_px=32",
    "train.epochs=3",
    "train.batch=2",
    "train.crops_per_pair=1",
    "train.sheet_px=32",
    "train.schedule.warmup_steps=0",
)


@pytest.fixture
def recipe_file(tmp_path):
    """A recipe whose only loss is a teacher's picture."""
    path = tmp_path / "taught.toml"
    path.write_text(
        """
        model.name = "lite"
        losses.distillation.weight = 1.0
        teacher.model = "lite"
        train.optimizers.all.lr = 1e-2
        """
    )
    return path


def distance(network, teacher, data):
    """Mean distance of two networks' pictures over fixed crops."""
    samples = PairSamples(data, load_recipe("lite", overrides=SMALL).stages[0].augmentation, seed=5)
    with torch.no_grad():
        return sum(
            float((network.eval()(batch.ir, batch.vis) - teacher.eval()(batch.ir, batch.vis)).abs().mean())
            for batch in batch_loader(samples, BatchOrder(samples, 6))
        )


def test_a_network_comes_closer_to_its_teacher_and_the_record_names_it(recipe_file, data, tmp_path):
    """The teacher's weights are those that ship for its name; they stay as they are."""
    result = train(
        load_recipe(recipe_file, overrides=[*SMALL, "train.epochs=20"]), data, output=tmp_path / "run", device="cpu"
    )
    shipped = zoo.weights("lite")
    assert result.record["teachers"] == {
        "main": {"model": "lite", "config": {}, "origin": shipped.name, "sha256": sha256_file(shipped)}
    }
    teacher, fresh, taught = models.create("lite"), models.create("lite", channels=4), models.create("lite", channels=4)
    models.load_weights(teacher, shipped)
    models.load_weights(taught, result.weights)
    assert distance(taught, teacher, data) < 0.7 * distance(fresh, teacher, data)


def test_teachers_may_have_weights_of_their_own_and_differ_from_stage_to_stage(recipe_file, data, tmp_path):
    """A path in the recipe is taken, with the settings that its header has; a resume asks for the same weights."""
    small = train(load_recipe("lite", overrides=SMALL), data, output=tmp_path / "small", device="cpu").weights
    with recipe_file.open("a") as stream:
        stream.write(f'\nstages.own.teacher.weights = "{small}"\nstages.shipped.train.epochs = 1')
    recipe = load_recipe(recipe_file, overrides=[key for key in SMALL if "epochs" not in key])
    output = tmp_path / "run"
    cut = train(recipe, data, output=output, device="cpu", max_minutes=0.0)
    assert cut.record["teachers"]["own"]["config"] == {"channels": 4}
    assert cut.record["teachers"]["own"]["sha256"] == sha256_file(small)
    assert cut.record["teachers"]["shipped"]["config"] == {}
    models.save_weights(models.create("lite"), small)
    with pytest.raises(UsageError, match="trained by a teacher with other weights"):
        train(recipe, data, output=output, device="cpu", resume=True)


def test_a_teacher_that_no_loss_asks_for_is_not_loaded(data, tmp_path):
    """A recipe that extends a taught one can set its term to nothing."""
    overrides = [*SMALL, "teacher.model=sspfusion", "losses.distillation.weight=0", "train.epochs=1"]
    result = train(load_recipe("lite", overrides=overrides), data, output=tmp_path / "run", device="cpu")
    assert "teachers" not in result.record


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["teacher.model=litte"], "unknown model 'litte'"),
        ([f"teacher.model={zoo.ASSETS / 'lite.onnx'}"], "a finished graph: name a network, and its weights"),
        (["teacher.weights=none.safetensors"], "none.safetensors"),
    ],
)
def test_what_cannot_teach_is_refused_before_the_first_step(recipe_file, data, tmp_path, changes, message):
    """One line says what is wrong, and no folder is left behind."""
    recipe = load_recipe(recipe_file, overrides=[*SMALL, *changes])
    with pytest.raises((UsageError, ArtifactError), match=message):
        train(recipe, data, output=tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


def test_the_crops_must_suit_the_teacher_too():
    """A student that takes any size would not notice."""
    with pytest.raises(UsageError, match="the teacher lite takes multiples of 16 from 16 up"):
        Teacher(TeacherSettings("lite"), device="cpu", crop_px=40)


def test_a_loss_without_its_teacher_and_wrong_keys_are_told(recipe_file, data, tmp_path):
    """The table's keys are checked as all others are."""
    with pytest.raises(UsageError, match="a loss needs a teacher: name one in the recipe"):
        train(
            load_recipe("lite", overrides=[*SMALL, "losses.distillation.weight=1"]),
            data,
            output=tmp_path / "run",
            device="cpu",
        )
    assert not (tmp_path / "run").exists()
    with pytest.raises(UsageError, match=r"\[teacher\] has no name; it takes model, weights"):
        load_recipe(recipe_file, overrides=["teacher.name=lite"])
    with pytest.raises(UsageError, match=r"\[teacher\] needs a model"):
        load_recipe("lite", overrides=["teacher.weights=x.safetensors"])
    with pytest.raises(UsageError, match=r"teacher\.model must be a string"):
        load_recipe("lite", overrides=["teacher.model=3"])
