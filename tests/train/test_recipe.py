"""Recipes: what they say, how they extend each other, what they refuse."""

from __future__ import annotations

import pytest

from edgefuse import models
from edgefuse.errors import UsageError
from edgefuse.losses import compose
from edgefuse.train import load_recipe, recipe_names
from edgefuse.train.recipe import RECIPES


@pytest.fixture
def write(tmp_path):
    """Writes a recipe file and returns its path."""

    def write_recipe(text, name="mine"):
        path = tmp_path / f"{name}.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write_recipe


MINIMAL = """
[model]
name = "lite"

[losses.max_intensity]
weight = 2.0
"""


@pytest.mark.parametrize("smoke", [False, True])
@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_that_ships_names_real_models_losses_and_sizes(name, smoke):
    """Models and losses of each recipe can be built, and its crop fits the model."""
    recipe = load_recipe(name, smoke=smoke)
    network = models.create(recipe.model, **recipe.config)
    assert recipe.title
    for stage in recipe.stages:
        assert compose(stage.losses).weights
        assert stage.augmentation.crop_px % network.size_multiple == 0
        assert stage.augmentation.crop_px >= network.min_size


@pytest.mark.parametrize("name", ["angularfuse", "dfecf-direction-aware", "direction-aware", "rpfnet", "sspfusion"])
def test_the_short_length_changes_the_schedule_and_not_what_is_learned(name):
    """Losses, model and stages are the recipe's; crops and steps are fewer, and the rate falls to its end."""
    full, short = load_recipe(name), load_recipe(name, short=True)
    assert (short.model, short.config) == (full.model, full.config)
    for before, after in zip(full.stages, short.stages, strict=True):
        assert (after.losses, after.network, after.freeze) == (before.losses, before.network, before.freeze)
        assert after.augmentation.crop_px < before.augmentation.crop_px
        assert after.augmentation.crop_px % models.create(short.model, **short.config).size_multiple == 0
        assert after.train.epochs < before.train.epochs
        assert (after.train.schedule.name, after.train.schedule.per) == ("cosine", "step")


def test_a_recipe_without_a_short_length_says_so(write):
    """The message says what to give in its place, and two lengths at once are refused."""
    with pytest.raises(UsageError, match=r"no \[short\] length"):
        load_recipe(write(MINIMAL), short=True)
    with pytest.raises(UsageError, match="not both"):
        load_recipe("rpfnet", short=True, smoke=True)


@pytest.mark.parametrize(
    ("name", "crop_px", "batch", "lr", "epochs"),
    [
        ("angularfuse", 128, 4, 1e-4, (70,)),
        ("rpfnet", 128, 16, 1e-3, (100,)),
        ("sspfusion", 256, 8, 2e-4, (50, 300)),
        ("dfecf", 128, 32, 1e-3, (30,)),
    ],
)
def test_the_papers_settings(name, crop_px, batch, lr, epochs):
    """Crop, batch, rate and epochs are the papers'; RPFNet's epochs and SSPFusion's batch are not stated there."""
    stages = load_recipe(name).stages
    assert tuple(stage.train.epochs for stage in stages) == epochs
    for stage in stages:
        assert (stage.augmentation.crop_px, stage.train.batch) == (crop_px, batch)
        assert {optimizer.name for optimizer in stage.train.optimizers.values()} == {"adam"}
        assert {optimizer.lr for optimizer in stage.train.optimizers.values()} == {lr}


def test_rpfnet_has_two_optimisers_and_sspfusion_two_stages():
    """The auxiliary decoder has an optimiser of its own; the structure extractor has a stage of its own."""
    optimizers = load_recipe("rpfnet").stages[0].train.optimizers
    assert optimizers["auxiliary"].parameters == ("auxiliary_decoder.*",)
    assert optimizers["network"].parameters == ()
    stages = load_recipe("sspfusion").stages
    assert [stage.name for stage in stages] == ["structure", "fusion"]
    assert [stage.network["training_stage"] for stage in stages] == ["structure", "fusion"]
    assert "rendering" in stages[0].losses
    assert "rendering" not in stages[1].losses


@pytest.mark.parametrize("name", ["angularfuse", "dfecf", "rpfnet", "sspfusion"])
def test_a_direction_aware_variant_is_three_lines(name):
    """The variant differs from its recipe in the gradient term alone, whose weight stays."""
    path = RECIPES / f"{name}-direction-aware.toml"
    assert len(path.read_text(encoding="utf-8").strip().splitlines()) == 3
    variant, original = load_recipe(path.stem).stages[-1], load_recipe(name).stages[-1]
    assert variant.losses["gradient"]["loss"] == "direction_aware"
    assert set(variant.losses["gradient"]) <= {"loss", "weight"}
    if "gradient" in original.losses:
        assert variant.losses["gradient"].get("weight") == original.losses["gradient"].get("weight")
    others = {label: term for label, term in original.losses.items() if label != "gradient"}
    assert {label: term for label, term in variant.losses.items() if label != "gradient"} == others
    assert variant.train == original.train


def test_overrides_are_toml_or_plain_words_and_hold_in_every_stage():
    """A value set for all stages reaches each of them; one set for a stage reaches that one."""
    recipe = load_recipe(
        "sspfusion",
        overrides=[
            "train.epochs=5",
            "train.precision=bf16",
            "stages.structure.train.batch=2",
            "model.widths=[4, 8, 8]",
        ],
    )
    assert [stage.train.epochs for stage in recipe.stages] == [5, 5]
    assert [stage.train.precision for stage in recipe.stages] == ["bf16", "bf16"]
    assert [stage.train.batch for stage in recipe.stages] == [2, 8]
    assert recipe.config["widths"] == [4, 8, 8]
    assert recipe.resolved["stages"]["structure"]["train"]["epochs"] == 5


def test_a_recipe_extends_one_that_ships_or_one_beside_it(write):
    """A file next to the recipe goes before one that ships."""
    assert load_recipe(write('extends = "lite"\ntrain.epochs = 7')).stages[0].train.epochs == 7
    write(MINIMAL + "[train]\nepochs = 9\n", "base")
    mine = load_recipe(write('extends = "base"\nlosses.max_intensity.weight = 3.0'))
    assert mine.stages[0].train.epochs == 9
    assert mine.stages[0].losses == {"max_intensity": {"weight": 3.0}}


def test_another_model_starts_without_the_settings_of_the_old_one(write):
    """Settings of RPFNet would be errors in a network of one's own; the same model keeps them."""
    assert load_recipe(write('extends = "rpfnet"\nmodel.name = "my.module:Net"')).config == {}
    assert load_recipe(write('extends = "rpfnet"\nmodel.variant = "released"')).config["variant"] == "released"
    assert load_recipe(write('extends = "rpfnet"\nmodel.name = "rpfnet"')).config["auxiliary"] is True


def test_a_term_that_changes_its_kind_keeps_its_weight_and_drops_its_options(write):
    """Options of the old loss would be errors in the new one."""
    base = MINIMAL + '[losses.gradient]\nloss = "angle_gradient"\nweight = 4.0\nangle_weight = 2.0\n'
    write(base, "base")
    changed = load_recipe(write('extends = "base"\nlosses.gradient.loss = "max_gradient"'))
    assert changed.stages[0].losses["gradient"] == {"loss": "max_gradient", "weight": 4.0}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[model]\nname = 'lite'", "names no loss"),
        ("[losses.ssim]\nweight = 1", "needs a name"),
        (MINIMAL + "[train]\nepoch = 3", "has no epoch"),
        (MINIMAL + "[train]\nepochs = 0", "train.epochs"),
        (MINIMAL + "[train]\nepochs = 'many'", "train.epochs"),
        (MINIMAL + "[train]\nprecision = 'fp8'", "fp32, bf16, fp16"),
        (MINIMAL + "[train.optimizers.all]\nname = 'lion'", "adam, adamw, sgd"),
        (MINIMAL + "[train.optimizers.all]\nlr = 0", "lr must be positive"),
        (MINIMAL + "[train.optimizers.a]\n[train.optimizers.b]", "give patterns to all but one"),
        (MINIMAL + "[train.schedule]\nname = 'linear'", "constant, cosine, step"),
        (MINIMAL + "[augmentation]\ncrop = 3", "has no crop"),
        (MINIMAL + "[speed]\nfast = true", "has no speed"),
        ("train = 3" + MINIMAL, "wrong type"),
        ("extends = 'nothing-like-it'", "unknown recipe"),
        ("extends = 'mine'", "extends itself"),
        ("model = [", "not valid TOML"),
    ],
)
def test_says_what_is_wrong_with_a_recipe(write, text, said):
    """Each mistake is one line that names it."""
    with pytest.raises(UsageError, match=said):
        load_recipe(write(text))


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train.epochs", "key=value"),
        ("=3", "key=value"),
        ("train.epoch=3", "has no epoch"),
        ("stages.main.x=1", "no such stage"),
    ],
)
def test_says_what_is_wrong_with_an_override(override, said):
    """An override that cannot be meant is refused."""
    with pytest.raises(UsageError, match=said):
        load_recipe("lite", overrides=[override])


def test_an_unknown_name_lists_the_recipes(tmp_path):
    """A wrong name shows the right ones, and a missing file is said to be missing."""
    with pytest.raises(UsageError, match="angularfuse, angularfuse-direction-aware, dfecf"):
        load_recipe("fusiongan")
    with pytest.raises(UsageError, match="no such recipe file"):
        load_recipe(tmp_path / "none.toml")
