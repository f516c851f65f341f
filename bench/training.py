"""What training costs: steps a second and peak memory of a recipe, with the fused kernels and without."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from edgefuse.bench.formatting import NOTHING, markdown_table, megabytes, significant, with_spread
from edgefuse.bench.machine import choose_cpus, describe_machine
from edgefuse.bench.measure import Budget, Timing, warnings_of
from edgefuse.bench.memory import peak_host_bytes
from edgefuse.bench.noise import NoiseMeter
from edgefuse.bench.processes import JobError, run_job
from edgefuse.bench.record import SCHEMA_VERSION, Series
from edgefuse.bench.summary import compare
from edgefuse.errors import UsageError
from edgefuse.wording import counted

if TYPE_CHECKING:
    from edgefuse.data import CheckedData
    from edgefuse.train.interruption import StopRequest
    from edgefuse.train.stage import StageRun

__all__ = [
    "KERNELS",
    "Kernels",
    "TrainingRow",
    "TrainingSpec",
    "agreeing",
    "measure_training",
    "training_markdown",
    "training_rows",
]

Kernels = Literal["reference", "fused"]
KERNELS: tuple[Kernels, ...] = get_args(Kernels)

_MOST_STEPS = 1000
_PAIRS = 8
_FIRST_STEPS = 3
# The loss after some updates holds the gradients of all before it. On the CPU both kinds of kernels agree to the digit;
# on a GPU sums are added in another order.
_LOSS_TOLERANCE = 1e-3


@dataclass(frozen=True)
class TrainingSpec:
    """One row.

    Attributes:
        recipe: Name of a recipe that ships, or path of a ``.toml`` file.
        stage: Name of the stage.
        kernels: Whether ``edgefuse.kernels`` may choose its fused implementations.
        device: ``"cpu"`` or ``"cuda"``.
        overrides: Changes to the recipe, as in ``"train.batch=4"``.
    """

    recipe: str
    stage: str
    kernels: Kernels
    device: str
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrainingRow:
    """What one row measured, or why it could not.

    Attributes:
        spec: The row.
        failed: Why there are no numbers, or None.
        batch: Samples of a step.
        crop_px: Side of the samples.
        precision: Arithmetic of the network.
        steps: Times of whole steps: drawing samples, forward, losses, backward, update.
        losses: Loss of the first steps.
        peak_host_bytes: Most memory that the row's process held.
        peak_device_bytes: Most memory held on the GPU.
        warnings: What to know before trusting the numbers.
    """

    spec: TrainingSpec
    failed: str | None = None
    batch: int | None = None
    crop_px: int | None = None
    precision: str | None = None
    steps: Series | None = None
    losses: tuple[float, ...] = ()
    peak_host_bytes: int | None = None
    peak_device_bytes: int | None = None
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The row as JSON, with the statistics beside the raw times."""
        document = asdict(self)
        if self.steps is not None:
            document["steps"] = self.steps.to_dict()
        return document

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> TrainingRow:
        """Read a row that ``to_dict`` wrote."""
        values = dict(document)
        spec = values.pop("spec")
        values["spec"] = TrainingSpec(**{**spec, "overrides": tuple(spec["overrides"])})
        values["steps"] = None if values["steps"] is None else Series.from_dict(values["steps"])
        values["losses"], values["warnings"] = tuple(values["losses"]), tuple(values["warnings"])
        return cls(**values)


def training_rows(
    recipes: Sequence[str],
    *,
    kernels: Sequence[str] = KERNELS,
    device: str = "cpu",
    overrides: Sequence[str] = (),
    budget: Budget,
    threads: int,
    on_row: Callable[[TrainingRow], None] = lambda _row: None,
) -> dict[str, Any]:
    """Measure every stage of recipes, a fresh process a row.

    Args:
        recipes: Names or files.
        kernels: Of ``KERNELS``.
        device: ``"cpu"`` or ``"cuda"``.
        overrides: Changes to every recipe.
        budget: How long to measure.
        threads: Threads of one operation on the CPU.
        on_row: Called with every finished row.

    Returns:
        The record, as JSON.

    Raises:
        UsageError: A recipe or a setting is wrong.
    """
    from edgefuse.train import load_recipe

    for name in kernels:
        if name not in KERNELS:
            raise UsageError(f"--kernels must be of {', '.join(KERNELS)}, not {name!r}")
    machine, cpus = describe_machine(), choose_cpus(threads)
    specs = [
        TrainingSpec(name, stage.name, mode, device, tuple(overrides))
        for name in recipes
        for stage in load_recipe(name, overrides=overrides).stages
        for mode in KERNELS
        if mode in kernels
    ]
    rows: list[TrainingRow] = []
    for spec in specs:
        rows.append(agreeing(_run(spec, budget, threads, cpus), rows))
        on_row(rows[-1])
    settings = {"budget": asdict(budget), "threads": threads, "cpus": list(cpus), "machine_summary": machine.summary}
    return {
        "schema_version": SCHEMA_VERSION,
        "command": "bench train",
        "machine": asdict(machine),
        "settings": settings,
        "rows": [row.to_dict() for row in rows],
    }


def _run(spec: TrainingSpec, budget: Budget, threads: int, cpus: tuple[int, ...]) -> TrainingRow:
    try:
        result = run_job("train", {"spec": asdict(spec), "budget": asdict(budget)}, threads=threads, cpus=cpus)
    except JobError as error:
        return TrainingRow(spec, failed=str(error))
    steps = result.pop("steps")
    losses, warnings = tuple(result.pop("losses")), tuple(result.pop("warnings"))
    return TrainingRow(spec, steps=Series.from_dict(steps), losses=losses, warnings=warnings, **result)


def agreeing(row: TrainingRow, earlier: Sequence[TrainingRow]) -> TrainingRow:
    """Refuse a row whose losses are not those of its partner with the other kernels.

    Args:
        row: A finished row.
        earlier: The rows before it.

    Returns:
        The row, or a failed one in its place.
    """
    partner = next((other for other in earlier if _are_partners(row, other)), None)
    if partner is None or row.failed is not None or partner.failed is not None:
        return row
    for step, (loss, expected) in enumerate(zip(row.losses, partner.losses, strict=False), start=1):
        if abs(loss - expected) > _LOSS_TOLERANCE * abs(expected):
            reason = (
                f"the loss of step {step} is {loss:.6g}, and {expected:.6g} with the {partner.spec.kernels} kernels"
            )
            return TrainingRow(row.spec, failed=reason, losses=row.losses)
    return row


def _are_partners(row: TrainingRow, other: TrainingRow) -> bool:
    return replace(row.spec, kernels=other.spec.kernels) == other.spec and row.spec != other.spec


def measure_training(job: dict[str, Any]) -> dict[str, Any]:
    """Train one stage on simulated pairs and time its steps.

    Args:
        job: ``spec`` and ``budget`` as JSON, and ``threads``.

    Returns:
        Fields of a :class:`TrainingRow`, as JSON.
    """
    spec = TrainingSpec(**{**job["spec"], "overrides": tuple(job["spec"]["overrides"])})
    # Read by edgefuse.kernels whenever it chooses an implementation.
    os.environ["EDGEFUSE_KERNELS"] = "auto" if spec.kernels == "fused" else "reference"
    import torch

    from edgefuse import models
    from edgefuse.train import load_recipe
    from edgefuse.train.accelerator import start_accelerator
    from edgefuse.train.checkpoint import Position
    from edgefuse.train.interruption import StopRequest
    from edgefuse.train.stage import StageRun

    torch.set_num_threads(job["threads"])
    recipe = load_recipe(spec.recipe, overrides=spec.overrides)
    stage = next(stage for stage in recipe.stages if stage.name == spec.stage)
    data = _simulated_pairs(stage.augmentation.crop_px, count=max(_PAIRS, stage.train.batch))
    per_epoch = max(1, len(data.pairs) * stage.train.crops_per_pair // stage.train.batch)
    stage = replace(stage, train=replace(stage.train, epochs=-(-_MOST_STEPS // per_epoch)))
    accelerator = start_accelerator(spec.device, precision=stage.train.precision)  # type: ignore[arg-type]  # it checks
    torch.manual_seed(stage.train.seed)
    network = models.create(recipe.model, **recipe.config)
    for module in network.modules():
        if hasattr(module, "spectral"):
            setattr(module, "spectral", "fused" if spec.kernels == "fused" else "eager")  # noqa: B010
    run = StageRun(stage, network, data, accelerator=accelerator, position=Position())
    with NoiseMeter() as noise:
        timing, losses = _time_steps(_steps(run, StopRequest()), Budget(**job["budget"]))
    warnings = warnings_of(timing)
    if noise.noise.cause is not None:
        warnings.append(f"noisy machine: {noise.noise.cause}")
    on_gpu = accelerator.device.type == "cuda"
    return {
        "batch": stage.train.batch,
        "crop_px": stage.augmentation.crop_px,
        "precision": stage.train.precision,
        "steps": asdict(Series.of(timing)),
        "losses": losses[:_FIRST_STEPS],
        "peak_host_bytes": peak_host_bytes(),
        "peak_device_bytes": int(torch.cuda.max_memory_allocated()) if on_gpu else None,
        "warnings": warnings,
    }


def _time_steps(steps: Iterator[tuple[float, float]], budget: Budget) -> tuple[Timing, list[float]]:
    """Take steps until the budget is spent, those of the warm-up first."""
    first_ms, first_loss = next(steps)
    losses, warmup_ms = [first_loss], first_ms
    while warmup_ms < budget.warmup_seconds * 1e3 or len(losses) < _FIRST_STEPS:
        step_ms, loss = next(steps)
        losses.append(loss)
        warmup_ms += step_ms
    warmup_runs = len(losses) - 1
    times_ms: list[float] = []
    for step_ms, loss in steps:
        times_ms.append(step_ms)
        losses.append(loss)
        if budget.is_spent(len(times_ms), sum(times_ms) / 1e3):
            break
    return Timing(first_ms, warmup_runs, tuple(times_ms), sum(times_ms) / 1e3), losses


def _steps(run: StageRun, stop: StopRequest) -> Iterator[tuple[float, float]]:
    """Milliseconds and loss of each step; a step reads its loss back, so the device has finished when it ends."""
    ends = [time.perf_counter()]
    while not run.finished:
        for row in run.epoch(stop, lambda _status: ends.append(time.perf_counter())):
            yield (ends[-1] - ends[-2]) * 1e3, row["loss"]


def _simulated_pairs(crop_px: int, *, count: int) -> CheckedData:
    """Structured pairs in memory, a little larger than the crops that are drawn from them."""
    from pathlib import Path

    from edgefuse.bench.images import sample_pair
    from edgefuse.data import CheckedData
    from edgefuse.pairs import PathPair

    side = crop_px + 32
    ir, vis = sample_pair(count, (side, side))
    names = [f"pair{index}" for index in range(count)]
    return CheckedData(
        pairs=tuple(PathPair(name, Path(name), Path(name)) for name in names),
        problems=(),
        sha256="",
        images={name: (ir[index], vis[index, ..., 1].copy()) for index, name in enumerate(names)},
    )


def training_markdown(record: dict[str, Any]) -> str:
    """Write a record as a table.

    Args:
        record: What :func:`training_rows` returned.

    Returns:
        Markdown, ending in a newline.
    """
    rows = [TrainingRow.from_dict(row) for row in record["rows"]]
    headings = [
        "recipe",
        "stage",
        "kernels",
        "batch",
        "crop",
        "ms a step",
        "steps a second",
        "speed-up",
        "peak MB",
        "GPU peak MB",
    ]
    cells = [[*_cells(row), _speed_up(row, rows), *_memory(row)] for row in rows]
    machine, settings = record["machine"], record["settings"]
    notes = [
        "",
        f"Measured on {settings['machine_summary']}, {counted(settings['threads'], 'thread')}, {machine['utc'][:10]}.",
        "A step draws its samples, runs network and losses forward and backward, and updates the weights.",
    ]
    notes += [f"{row.spec.recipe} {row.spec.stage} {row.spec.kernels}: {note}" for row in rows for note in row.warnings]
    return "\n".join([markdown_table(headings, cells), *notes]) + "\n"


def _cells(row: TrainingRow) -> list[str]:
    name = [row.spec.recipe, row.spec.stage, row.spec.kernels]
    if row.steps is None:
        return [*name, NOTHING, NOTHING, f"failed: {row.failed}", NOTHING]
    summary = row.steps.summary
    return [
        *name,
        str(row.batch),
        str(row.crop_px),
        with_spread(summary.p50_ms, summary.spread_ms),
        significant(1e3 / summary.p50_ms),
    ]


def _speed_up(row: TrainingRow, rows: Sequence[TrainingRow]) -> str:
    """How much faster the fused kernels are, told in their row."""
    partner = next((other for other in rows if _are_partners(row, other)), None)
    if row.spec.kernels != "fused" or partner is None or row.steps is None or partner.steps is None:
        return NOTHING
    ratio = compare(partner.steps.summary, row.steps.summary)
    return with_spread(ratio.value, ratio.spread)


def _memory(row: TrainingRow) -> list[str]:
    return [megabytes(row.peak_host_bytes), megabytes(row.peak_device_bytes)]
