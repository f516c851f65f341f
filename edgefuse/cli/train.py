"""``edgefuse train``: a recipe and a folder of image pairs in, weights out."""

from __future__ import annotations

import os
import shlex
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgefuse.cli._console import emit_json, log, out, progress
from edgefuse.errors import InputError, MissingDependencyError, UsageError
from edgefuse.wording import counted

if TYPE_CHECKING:
    from edgefuse.data import CheckedData
    from edgefuse.train.engine import TrainingResult
    from edgefuse.train.settings import Recipe

__all__ = ["train_command"]

_KEEP_BYTES = 2 << 30
"""Decoded images kept in memory: all of the official MSRS training set fits."""

_EXIT_INTERRUPTED = 130

_PACKAGES = ("torch", "accelerate", "safetensors", "tensorboard", "matplotlib")


def train_command(
    recipe: Annotated[
        str | None, typer.Argument(help="Recipe that ships (--list shows them) or path of a .toml file.")
    ] = None,
    data: Annotated[
        list[Path] | None, typer.Option(help="Folder with ir and vis folders at any depth; repeatable.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder of the run [default: runs/RECIPE].")
    ] = None,
    assign: Annotated[
        list[str] | None, typer.Option("--set", help="Change a setting, as in train.epochs=5; repeatable.")
    ] = None,
    smoke: Annotated[bool, typer.Option("--smoke", help="The shortest run that shows that the recipe works.")] = False,
    short: Annotated[
        bool, typer.Option("--short", help="The recipe's schedule for half an hour on one CPU core.")
    ] = False,
    max_minutes: Annotated[float | None, typer.Option(help="Stop after this time with everything written.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --output.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda; torchrun starts several processes.")] = "auto",
    workers: Annotated[int, typer.Option(help="Processes that draw samples beside the training.")] = 0,
    weights: Annotated[Path | None, typer.Option(help="Weights to start from.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse to train while any pair is unusable.")] = False,
    list_recipes: Annotated[bool, typer.Option("--list", help="List the recipes and exit.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train a fusion network.

    Every image is read before the first step and unusable files are named. Ctrl-C and --max-minutes end a run with
    its weights and a checkpoint written; --resume goes on from there.
    """
    if list_recipes:
        _list_recipes(as_json=json)
        return
    if recipe is None or not data:
        raise UsageError(
            "give a recipe and --data, as in: edgefuse train lite --data pictures/train (--list shows recipes)"
        )
    if max_minutes is not None and not max_minutes >= 0:  # NaN is at least nothing
        raise UsageError(f"--max-minutes must be at least 0, not {max_minutes:g}")
    for package in _PACKAGES:
        if find_spec(package) is None:
            raise MissingDependencyError.for_package(package, extra="train", purpose="train a network")
    from edgefuse.train import load_recipe

    chosen = load_recipe(recipe, overrides=assign or (), smoke=smoke, short=short)
    checked = _check_data(data, chosen, strict=strict)
    result = _train(
        chosen,
        checked,
        output=output or Path("runs") / chosen.name,
        device=device,
        resume=resume,
        max_minutes=max_minutes,
        workers=workers,
        initial_weights=weights,
    )
    if _is_main():
        _report(result, as_json=json)
    if result.reason == "interrupted":
        raise typer.Exit(_EXIT_INTERRUPTED)


def _is_main() -> bool:
    """Whether this process speaks for all that torchrun started."""
    return os.environ.get("RANK", "0") == "0"


def _list_recipes(*, as_json: bool) -> None:
    from edgefuse.train.recipe import load_recipe, recipe_names

    recipes = [load_recipe(name) for name in recipe_names()]
    if as_json:
        listed = [
            {"name": item.name, "model": item.model, "title": item.title, "paper": item.paper} for item in recipes
        ]
        emit_json("train", {"recipes": listed})
        return
    width = max(len(item.name) for item in recipes)
    for item in recipes:
        out(f"{item.name:<{width}}  {item.title}")


def _check_data(folders: list[Path], recipe: Recipe, *, strict: bool) -> CheckedData:
    """Find the pairs and read them all; unusable ones are named now, not in the middle of the run."""
    from edgefuse.data import check_pairs, discover

    found = discover(folders, split="train")
    with progress("Reading pairs", len(found.pairs)) as advance:
        checked = check_pairs(found.pairs, keep_bytes=_KEEP_BYTES, on_pair=advance)
    problems = (*found.problems, *checked.problems)
    for problem in problems if _is_main() else ():
        log(problem, style="yellow")
    if problems and strict:
        raise InputError(
            f"{counted(len(problems), 'problem')} in the data: mend the files, or train without --strict on what is "
            "usable"
        )
    if not checked.pairs:
        raise InputError("no usable image pair is left to train on")
    if _is_main():
        log(f"{recipe.name}: {counted(len(checked.pairs), 'pair')}")
    return checked


def _train(recipe: Recipe, data: CheckedData, *, output: Path, **options: object) -> TrainingResult:
    from edgefuse.train.engine import train

    samples = [len(data.pairs) * stage.train.crops_per_pair // stage.train.batch for stage in recipe.stages]
    total = sum(steps * stage.train.epochs for steps, stage in zip(samples, recipe.stages, strict=True))
    with progress("Training", total) as advance:
        return train(
            recipe,
            data,
            output=output,
            command=shlex.join(["edgefuse", *sys.argv[1:]]),
            on_step=lambda status: advance(1, status),
            **options,  # type: ignore[arg-type]  # the options of train, passed on by name
        )


def _report(result: TrainingResult, *, as_json: bool) -> None:
    if as_json:
        emit_json(
            "train",
            {
                "output": str(result.output),
                "weights": str(result.weights),
                "reason": result.reason,
                "steps": result.steps,
                "minutes": result.minutes,
                "first_loss": result.first_loss,
                "last_loss": result.last_loss,
                "record": result.record,
            },
        )
        return
    out(
        f"{result.reason}: {counted(result.steps, 'step')}, {result.minutes:.1f} min, "
        f"loss {result.first_loss:.4f} -> {result.last_loss:.4f}"
    )
    out(f"weights      {result.weights}")
    out(f"loss curve   {result.output / 'loss.png'}")
    out(f"sheets       {result.output / 'sheets'}")
    out(f"scalars      tensorboard --logdir {result.output / 'tensorboard'}")
    if result.reason != "finished":
        out(f"go on with   edgefuse train ... --output {result.output} --resume")
