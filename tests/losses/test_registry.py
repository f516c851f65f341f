"""Losses by name, and what the package exports."""

from __future__ import annotations

import inspect

import pytest
import torch

from edgefuse import losses
from edgefuse.errors import InputError, UsageError
from edgefuse.losses import Loss, LossContext, create, names


def test_all_lists_what_is_exported():
    """Every public name but the submodules is in ``__all__``, sorted as the linter sorts it."""
    public = {key for key, value in vars(losses).items() if not key.startswith("_") and not inspect.ismodule(value)}
    shadowed = {key for key in losses.__all__ if not inspect.ismodule(getattr(losses, key))}
    assert public == shadowed == set(losses.__all__)


@pytest.mark.parametrize("name", names())
def test_each_name_builds_a_module_and_names_a_function_of_the_same_options(name):
    """The module's options are keyword-only and are those of the function, defaults included."""
    function, module = getattr(losses, name), create(name)
    assert isinstance(module, Loss)
    of_function = inspect.signature(function).parameters
    of_module = inspect.signature(type(module)).parameters
    assert {key: option.default for key, option in of_module.items()} == {
        key: option.default for key, option in of_function.items() if option.default is not option.empty
    }
    assert all(option.kind is option.KEYWORD_ONLY for option in of_module.values())
    assert {key for key, option in of_function.items() if option.default is option.empty} == {
        "fused",
        "ir",
        "vis",
        *module.needs,
    }


@pytest.mark.parametrize("name", names())
def test_shapes_that_differ_are_refused_with_both_named(pictures, name):
    """A fused picture of another size is an error that states the shapes."""
    fused, ir, vis = pictures(16, 16)
    maps = (torch.rand(2, 1, 8, 8),)
    context = LossContext(residual_map=fused, structure_maps=maps, structure_targets=maps, teacher=fused)
    with pytest.raises(InputError, match=r"\(2, 1, 16, 16\)|\(2, 1, 15, 16\)"):
        create(name)(fused[..., :-1, :], ir, vis, context)


def test_unknown_names_and_options_list_what_is_allowed():
    """A typing mistake in a recipe is answered with the choices."""
    with pytest.raises(UsageError, match=r"unknown loss 'sssim'; known are .*ssim"):
        create("sssim")
    with pytest.raises(UsageError, match=r"has no option window; its options are ir_weight=0.5, vis_weight=0.5"):
        create("ssim", window=7)
    with pytest.raises(UsageError, match="has no option window; its options are none"):
        create("max_intensity", window=7)


def test_a_loss_of_ones_own_is_built_by_its_path(tmp_path, monkeypatch, pictures):
    """A recipe takes it as it takes ours: with options, and with what is wrong in one line."""
    (tmp_path / "own_losses.py").write_text(
        "from edgefuse import losses\n"
        "class Mean(losses.Loss):\n"
        "    def __init__(self, *, target: float = 0.5) -> None:\n"
        "        super().__init__(lambda fused, ir, vis, *, target: (fused.mean() - target).abs(), target=target)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    total = losses.compose({"mean": {"loss": "own_losses:Mean", "weight": 2, "target": 0.25}})
    fused, ir, vis = pictures(16, 16)
    torch.testing.assert_close(total(fused, ir, vis), 2 * (fused.mean() - 0.25).abs())
    for name, message in (
        ("own_losses:Mean", "has no option level; its options are target=0.5"),
        ("own_losses:losses", "has no class or function losses"),
        ("inspect:signature", "no subclass of edgefuse.losses.Loss"),
        ("no_such_package:Mean", "PYTHONPATH must name the folder that holds it"),
    ):
        with pytest.raises(UsageError, match=message):
            create(name, level=1)


def test_an_option_of_the_wrong_type_is_refused():
    """A string where a number belongs is a usage error, not a traceback."""
    with pytest.raises(UsageError, match="ssim cannot take"):
        create("ssim", ir_weight="half")


def test_a_module_shows_its_options():
    """Printing a loss tells how it was made."""
    assert repr(create("ssim", ir_weight=1.0)) == "SSIMLoss(ir_weight=1.0, vis_weight=0.5)"
