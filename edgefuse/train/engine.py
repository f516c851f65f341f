"""A training run: every recipe goes through it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from edgefuse import models
from edgefuse.data import CheckedData
from edgefuse.errors import InputError, UsageError
from edgefuse.losses import compose
from edgefuse.train.accelerator import TrainDevice, precision_of, start_accelerator
from edgefuse.train.checkpoint import Position, load_checkpoint, read_position, save_checkpoint
from edgefuse.train.interruption import Reason, StopRequest
from edgefuse.train.record import record_of_weights, training_record, write_record
from edgefuse.train.reporting import ScalarLog, contact_sheet, draw_loss_curve
from edgefuse.train.settings import Recipe, Stage
from edgefuse.train.stage import StageRun
from edgefuse.train.teacher import Teacher, teacher_of

if TYPE_CHECKING:
    from accelerate import Accelerator

__all__ = ["CHECKPOINT_FILE", "WEIGHTS_FILE", "TrainingResult", "train"]

CHECKPOINT_FILE = "checkpoint.safetensors"
WEIGHTS_FILE = "weights.safetensors"


@dataclass(frozen=True)
class TrainingResult:
    """What a run came to.

    Attributes:
        output: Folder of the run.
        weights: The network's weights.
        reason: Why it ended.
        steps: Steps done, over all resumes.
        minutes: Time spent training, over all resumes.
        first_loss: Mean loss of the last stage's first epoch.
        last_loss: Mean loss of its last epoch.
        record: What a manifest keeps of it.
    """

    output: Path
    weights: Path
    reason: Reason
    steps: int
    minutes: float
    first_loss: float
    last_loss: float
    record: dict[str, Any]


def train(
    recipe: Recipe,
    data: CheckedData,
    *,
    output: Path,
    device: TrainDevice = "auto",
    resume: bool = False,
    max_minutes: float | None = None,
    workers: int = 0,
    initial_weights: Path | None = None,
    command: str = "",
    on_step: Callable[[str], None] | None = None,
) -> TrainingResult:
    """Train a recipe.

    The folder gets ``weights.safetensors``, ``checkpoint.safetensors``, ``training.json``, ``loss.png``, a contact
    sheet for each epoch and TensorBoard events. On one CPU a resumed run ends with the very weights of an
    uninterrupted one.

    Args:
        recipe: The recipe.
        data: Checked pairs.
        output: Folder of the run; made where it is missing.
        device: ``cpu``, ``cuda``, or ``auto`` for a GPU where there is one. Several processes come from ``torchrun`` or
            ``accelerate launch``.
        resume: Go on with the run in ``output``.
        max_minutes: Stop after this time, with everything written.
        workers: Processes that draw samples beside the training.
        initial_weights: Weights to start from.
        command: Command line, for the record.
        on_step: Called after each step with a short status.

    Returns:
        What the run came to.

    Raises:
        UsageError: The recipe does not fit the model, the data or the folder.
        DivergedError: A loss or gradient is not finite; the message names the batch.
    """
    run = _Run(recipe, data, output, device=device, workers=workers, command=command)
    run.prepare(resume=resume, initial_weights=initial_weights)
    with StopRequest(max_minutes) as stop:
        reason = run.train(stop, on_step or _ignore)
    return run.finish(reason)


def _ignore(status: str) -> None:
    """Stands in where nobody wants the status."""


class _Run:
    """State of one run."""

    def __init__(
        self, recipe: Recipe, data: CheckedData, output: Path, *, device: TrainDevice, workers: int, command: str
    ) -> None:
        self.recipe, self.data, self.output = recipe, data, output
        self.workers, self.command = workers, command
        first = recipe.stages[0].train
        self.accelerator: Accelerator = start_accelerator(device, precision=first.precision)
        torch.manual_seed(first.seed)
        self.network = models.create(recipe.model, **recipe.config)
        self.position = Position(recipe=recipe.resolved, data_sha256=data.sha256)
        self.teachers: dict[str, Teacher] = {}
        self.log: ScalarLog | None = None

    @property
    def is_main(self) -> bool:
        """Whether this process writes files."""
        return bool(self.accelerator.is_main_process)

    def prepare(self, *, resume: bool, initial_weights: Path | None) -> None:
        """Check what can be checked before the first step."""
        for stage in self.recipe.stages:
            _check_crop(stage, self.network)
            if "teacher" in compose(stage.losses).needs:
                self.teachers[stage.name] = teacher_of(stage, device=self.accelerator.device)
        taught_by = {name: teacher.record for name, teacher in self.teachers.items()}
        checkpoint = self.output / CHECKPOINT_FILE
        if resume:
            self.position = _checked_position(checkpoint, self.recipe, self.data)
            if self.position.teachers != taught_by:
                raise UsageError(f"{self.output} was trained by a teacher with other weights; give another --output")
        elif checkpoint.exists():
            raise UsageError(f"{self.output} holds a run already: go on with --resume, or give another --output")
        elif initial_weights is not None:
            models.load_weights(self.network, initial_weights)
            self.position.before = record_of_weights(initial_weights)
        self.position.teachers = taught_by
        if self.is_main:
            try:
                self.output.mkdir(parents=True, exist_ok=True)
                self.log = ScalarLog(self.output / "tensorboard", first_step=self.position.total_steps)
            except OSError as error:
                raise InputError(f"{self.output}: cannot write there ({error.strerror})") from error

    def train(self, stop: StopRequest, on_step: Callable[[str], None]) -> Reason:
        """Go through the stages that are left."""
        resumed = self.position.total_steps > 0
        for index in range(self.position.stage, len(self.recipe.stages)):
            if index > self.position.stage:
                self.position.stage, self.position.step = index, 0
            stage = StageRun(
                self.recipe.stages[index],
                self.network,
                self.data,
                accelerator=self.accelerator,
                position=self.position,
                teacher=self.teachers.get(self.recipe.stages[index].name),
                workers=self.workers,
            )
            if resumed:
                load_checkpoint(
                    self.output / CHECKPOINT_FILE,
                    network=self.network,
                    optimizers=stage.optimizers,
                    scaler=self.accelerator.scaler,
                )
                resumed = False
            reason = self._train_stage(stage, stop, on_step)
            if reason != "finished":
                return reason
        return "finished"

    def _train_stage(self, stage: StageRun, stop: StopRequest, on_step: Callable[[str], None]) -> Reason:
        """Run epochs; state is written after each, and when asked to stop."""
        while not stage.finished:
            for row in stage.epoch(stop, on_step):
                if self.log is not None:
                    self.log.add(row, self.position.total_steps)
            if self.is_main:
                self._save(stage)
            if self.position.step % stage.steps_per_epoch:
                return stop.reason or "interrupted"
            # A stop that came with the very last step leaves nothing undone.
            if stop.reason is not None and not stage.finished:
                return stop.reason
        return "finished"

    def _save(self, stage: StageRun) -> None:
        """Write checkpoint and weights, and after a whole epoch the contact sheet."""
        position = self.position
        save_checkpoint(
            self.output / CHECKPOINT_FILE,
            network=self.network,
            optimizers=stage.optimizers,
            position=position,
            scaler=self.accelerator.scaler,
        )
        models.save_weights(self.network, self.output / WEIGHTS_FILE, metadata=self._metadata())
        epoch, left_over = divmod(position.step, stage.steps_per_epoch)
        if not left_over:
            sheet = self.output / "sheets" / f"{stage.stage.name}_{epoch:04d}.jpg"
            contact_sheet(self.network, self.data, sheet, side_px=stage.stage.train.sheet_px)

    def _metadata(self) -> dict[str, str]:
        """What an export needs to know of the weights."""
        recipe = self.recipe
        return {"model": recipe.model, "config": json.dumps(recipe.config), "recipe": recipe.name}

    def finish(self, reason: Reason) -> TrainingResult:
        """Write the record, also into the weights, and the loss curve."""
        losses = _ends(self.position.history)
        record = training_record(
            self.recipe,
            self.data,
            self.position,
            command=self.command,
            device=str(self.accelerator.device),
            precision=precision_of(self.accelerator),
            processes=self.accelerator.num_processes,
            finished=reason == "finished",
            losses=losses,
        )
        if self.is_main:
            write_record(self.output / "training.json", record)
            metadata = {**self._metadata(), "training": json.dumps(record)}
            models.save_weights(self.network, self.output / WEIGHTS_FILE, metadata=metadata)
            draw_loss_curve(self.position.history, self.output / "loss.png")
        if self.log is not None:
            self.log.close()
        self.accelerator.wait_for_everyone()
        return TrainingResult(
            output=self.output,
            weights=self.output / WEIGHTS_FILE,
            reason=reason,
            steps=self.position.total_steps,
            minutes=self.position.seconds / 60,
            first_loss=losses[0],
            last_loss=losses[1],
            record=record,
        )


def _check_crop(stage: Stage, network: nn.Module) -> None:
    crop, multiple = stage.augmentation.crop_px, getattr(network, "size_multiple", 1)
    smallest = getattr(network, "min_size", 1)
    if crop % multiple or crop < smallest:
        raise UsageError(
            f"augmentation.crop_px is {crop}, but {type(network).__name__} takes multiples of {multiple} "
            f"from {smallest} up"
        )


def _checked_position(path: Path, recipe: Recipe, data: CheckedData) -> Position:
    """Position of an earlier run, if this one continues it."""
    if not path.is_file():
        raise UsageError(f"{path.parent} holds no run to resume; leave --resume out")
    position = read_position(path)
    old, new = _flat(position.recipe), _flat(recipe.resolved)
    changed = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    # A longer run of the same recipe is a continuation too.
    changed = [key for key in changed if not key.endswith("train.epochs")]
    if changed:
        raise UsageError(f"{path.parent} was trained with another recipe ({', '.join(changed)} differ)")
    if position.data_sha256 != data.sha256:
        raise UsageError(f"{path.parent} was trained on other data; give the same --data, or another --output")
    position.recipe = recipe.resolved
    return position


def _flat(table: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Leaves of a nested table, as dotted key to text."""
    leaves: dict[str, str] = {}
    for key, value in table.items():
        leaves.update(_flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": repr(value)})
    return leaves


def _ends(history: Sequence[dict[str, Any]]) -> tuple[float, float]:
    """Mean loss of the first and of the last epoch of the last stage."""
    if not history:
        return math.nan, math.nan
    rows = [row for row in history if row["stage"] == history[-1]["stage"]]
    first, last = (
        [row["loss"] for row in rows if row["epoch"] == epoch] for epoch in (rows[0]["epoch"], rows[-1]["epoch"])
    )
    return math.fsum(first) / len(first), math.fsum(last) / len(last)
