"""One stage of a run: its optimisers, its data in order, its steps."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from edgefuse.data import CheckedData, PairSamples
from edgefuse.errors import EdgeFuseError, UsageError
from edgefuse.losses import LossContext, compose
from edgefuse.train.checkpoint import Position
from edgefuse.train.interruption import StopRequest
from edgefuse.train.loading import Batch, BatchOrder, batch_loader
from edgefuse.train.schedule import build_optimizers, freeze_parameters, learning_rate
from edgefuse.train.settings import Stage
from edgefuse.train.teacher import Teacher

if TYPE_CHECKING:
    from accelerate import Accelerator

__all__ = ["DivergedError", "StageRun"]

_HISTORY_ROWS = 1000


class DivergedError(EdgeFuseError):
    """The loss or its gradient is no longer a finite number."""


class _TrainingNetwork(nn.Module):
    """Gives any network the dictionary of outputs that losses read, through whatever wraps it for several processes."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, ir: torch.Tensor, vis: torch.Tensor) -> dict[str, Any]:
        forward_train = getattr(self.network, "forward_train", None)
        outputs: dict[str, Any] = forward_train(ir, vis) if forward_train else {"fused": self.network(ir, vis)}
        return outputs


class StageRun:
    """One stage, ready to run from the position given.

    Args:
        stage: What to do.
        network: The network that trains.
        data: The pairs.
        accelerator: Device, precision, processes.
        position: How far the run has come; moved on with each step.
        teacher: The teacher, where a term of the losses needs one.
        workers: Processes that draw samples.

    Attributes:
        optimizers: The stage's optimisers by label.
        total_steps: Steps of the stage.
    """

    def __init__(
        self,
        stage: Stage,
        network: nn.Module,
        data: CheckedData,
        *,
        accelerator: Accelerator,
        position: Position,
        teacher: Teacher | None = None,
        workers: int = 0,
    ) -> None:
        self.stage, self.position, self._accelerator, self._teacher = stage, position, accelerator, teacher
        train = stage.train
        _set_attributes(network, stage.network)
        freeze_parameters(network, stage.freeze)
        network.to(accelerator.device).train()
        self.optimizers = build_optimizers(network, train.optimizers)
        self._losses = compose(stage.losses).to(accelerator.device)
        self._samples = PairSamples(data, stage.augmentation, crops_per_pair=train.crops_per_pair, seed=train.seed)
        self._order = BatchOrder(self._samples, train.batch)
        self.steps_per_epoch = len(self._order)
        self.total_steps = train.epochs * self.steps_per_epoch
        loader = batch_loader(self._samples, self._order, workers=workers, pin=accelerator.device.type == "cuda")
        self._network, self._loader = accelerator.prepare(_TrainingNetwork(network), loader)
        self._wrapped = [accelerator.prepare_optimizer(optimizer) for optimizer in self.optimizers.values()]
        self._row_every = max(1, self.total_steps // _HISTORY_ROWS)
        self._pending: list[dict[str, float]] = []

    @property
    def finished(self) -> bool:
        """Whether every step is done."""
        return self.position.step >= self.total_steps

    def epoch(self, stop: StopRequest, on_step: Callable[[str], None]) -> Iterator[dict[str, Any]]:
        """Run the rest of the current epoch, or less when asked to stop.

        Args:
            stop: Looked at after each step.
            on_step: Called after each step with a short status.

        Yields:
            Rows of the history, a mean over some steps each.

        Raises:
            DivergedError: A loss or gradient is not finite.
        """
        position = self.position
        self._samples.epoch, self._order.first = divmod(position.step, self.steps_per_epoch)
        number = self._samples.epoch + 1
        last = time.monotonic()
        for batch in self._loader:
            terms, stopping = self._step(batch, stop)
            position.step += 1
            position.total_steps += 1
            now = time.monotonic()
            position.seconds += now - last
            last = now
            on_step(f"{self.stage.name} epoch {number}/{self.stage.train.epochs} loss {terms['loss']:.4f}")
            self._pending.append(terms)
            if stopping or self.finished or position.step % self._row_every == 0:
                yield self._history_row()
            if stopping:
                return

    def _step(self, batch: Batch, stop: StopRequest) -> tuple[dict[str, float], bool]:
        """One update of the weights; the values are means over all processes."""
        self._set_rates()
        outputs = self._network(batch.ir_input, batch.vis_input)
        # The teacher sees what the losses compare with, so that noise and offsets of the input are no lesson.
        taught = self._teacher.fuse(batch.ir, batch.vis) if self._teacher else None
        context = LossContext.from_outputs(outputs, teacher=taught)
        report = self._losses.report(outputs["fused"], batch.ir, batch.vis, context)
        labels = ("loss", *report.terms)
        # All processes must agree to stop, or the others would wait forever for the one that did.
        wish = torch.tensor(float(stop.reason is not None), device=report.total.device)
        values = torch.stack([value.float() for value in (report.total.detach(), *report.terms.values(), wish)])
        *numbers, wished = self._accelerator.reduce(values, reduction="mean").tolist()
        terms = dict(zip(labels, numbers, strict=True))
        if not all(map(math.isfinite, numbers)):
            raise self._diverged("loss", terms, batch.names)
        self._accelerator.backward(report.total)
        self._check_gradient(batch.names)
        for optimizer in self._wrapped:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return terms, wished > 0

    def _set_rates(self) -> None:
        train = self.stage.train
        for label, optimizer in self.optimizers.items():
            rate = learning_rate(
                train.optimizers[label].lr,
                train.schedule,
                step=self.position.step,
                steps_per_epoch=self.steps_per_epoch,
                epochs=train.epochs,
            )
            for group in optimizer.param_groups:
                group["lr"] = rate

    def _check_gradient(self, names: Sequence[str]) -> None:
        """Limit the gradient's norm, and refuse one that is not finite."""
        train = self.stage.train
        norm = self._accelerator.clip_grad_norm_(self._network.parameters(), train.clip_norm or math.inf)
        # In fp16 the loss scaler skips such steps and lowers its scale: that is its normal work.
        if norm is not None and train.precision != "fp16" and not math.isfinite(float(norm)):
            raise self._diverged("gradient", {"norm": float(norm)}, names)

    def _diverged(self, what: str, values: dict[str, float], names: Sequence[str]) -> DivergedError:
        shown = ", ".join(f"{label} {value:.4g}" for label, value in values.items())
        return DivergedError(
            f"the {what} is not finite in step {self.position.step + 1} of stage {self.stage.name} ({shown}) "
            f"on the batch {', '.join(names)}; the last checkpoint is kept: lower lr or set train.clip_norm"
        )

    def _history_row(self) -> dict[str, Any]:
        """Mean of the steps since the last row."""
        count = len(self._pending)
        means = {label: math.fsum(terms[label] for terms in self._pending) / count for label in self._pending[0]}
        self._pending.clear()
        row = {
            "stage": self.stage.name,
            "epoch": (self.position.step - 1) // self.steps_per_epoch + 1,
            "step": self.position.step,
            "lr": {label: optimizer.param_groups[0]["lr"] for label, optimizer in self.optimizers.items()},
            "loss": means.pop("loss"),
            "terms": means,
        }
        self.position.history.append(row)
        return row


def _set_attributes(network: nn.Module, attributes: Mapping[str, Any]) -> None:
    """Put the network into the mode that a stage asks for."""
    for name, value in attributes.items():
        if not hasattr(network, name) or callable(getattr(network, name)):
            raise UsageError(f"{type(network).__name__} has no setting {name} that a stage could change")
        setattr(network, name, value)
