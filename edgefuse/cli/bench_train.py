"""``edgefuse bench train``: what training costs on this machine."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from edgefuse.cli._console import emit_json, log, out, progress
from edgefuse.errors import MissingDependencyError, UsageError

__all__ = ["train_command"]


def train_command(
    recipes: Annotated[
        list[str] | None, typer.Argument(metavar="RECIPE", help="Recipes that ship (edgefuse train --list) or files.")
    ] = None,
    kernels: Annotated[str, typer.Option(help="Of reference, fused; separate with commas.")] = "reference,fused",
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    assign: Annotated[
        list[str] | None, typer.Option("--set", help="Change a setting, as in train.batch=4; repeat for more.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads; by default one a physical core.")] = None,
    seconds: Annotated[float, typer.Option(help="Time for the timed steps of each row.")] = 10.0,
    warmup: Annotated[float, typer.Option(help="Time for the steps before them.")] = 1.0,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Also save the JSON record here.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the record as JSON, raw times included.")] = False,
) -> None:
    """Measure training: milliseconds a step, peak memory, and what the fused kernels gain.

    Each stage of a recipe runs on simulated pairs in a fresh process. The losses with both kinds of kernels must agree.
    """
    for package in ("torch", "accelerate"):
        if find_spec(package) is None:
            raise MissingDependencyError.for_package(package, extra="train", purpose="measure training")
    if not (seconds > 0 and warmup >= 0):  # NaN is above nothing
        raise UsageError("--seconds must be above 0, --warmup at least 0")

    from edgefuse.bench.machine import threads_for
    from edgefuse.bench.measure import Budget
    from edgefuse.bench.record import check_savable, save_document
    from edgefuse.bench.training import TrainingRow, training_markdown, training_rows

    if output is not None:
        check_savable(output)
    with progress("Measuring", None) as advance:

        def finish(row: TrainingRow) -> None:
            advance(1)
            if row.failed is not None:
                log(f"{row.spec.recipe} {row.spec.stage} {row.spec.kernels} failed: {row.failed}", style="red")

        record = training_rows(
            recipes or ["lite"],
            kernels=[name.strip() for name in kernels.split(",") if name.strip()],
            device=device,
            overrides=assign or (),
            budget=Budget(seconds=seconds, warmup_seconds=warmup, max_seconds=max(60.0, 3 * seconds)),
            threads=threads_for(threads),
            on_row=finish,
        )
    if output is not None:
        save_document(record, output)
    if json:
        emit_json("bench train", record)
    else:
        out(training_markdown(record).rstrip("\n"))
    if any(row["failed"] is not None for row in record["rows"]):
        raise typer.Exit(1)
