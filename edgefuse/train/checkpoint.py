"""Training state in one safetensors file: weights, optimisers, random numbers, position. No pickle is involved."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edgefuse.errors import ArtifactError
from edgefuse.manifest import write_atomically

__all__ = ["Position", "load_checkpoint", "read_position", "save_checkpoint"]

_FORMAT = "edgefuse-checkpoint-1"


@dataclass
class Position:
    """How far a run has come.

    Attributes:
        stage: Index of the stage in progress.
        step: Steps done in it.
        total_steps: Steps done in all stages.
        seconds: Time spent training, over all resumes.
        recipe: The resolved recipe, to refuse a resume under another one.
        data_sha256: Identity of the training data, likewise.
        history: Rows of (stage, step, learning rate, total, terms) for the loss curve.
        before: What the weights were that the run started from; None for fresh ones.
        teachers: Model and weights of each stage's teacher.
    """

    stage: int = 0
    step: int = 0
    total_steps: int = 0
    seconds: float = 0.0
    recipe: dict[str, Any] = field(default_factory=dict)
    data_sha256: str = ""
    history: list[dict[str, Any]] = field(default_factory=list)
    before: dict[str, Any] | None = None
    teachers: dict[str, dict[str, Any]] = field(default_factory=dict)


def save_checkpoint(
    path: Path,
    *,
    network: nn.Module,
    optimizers: Mapping[str, torch.optim.Optimizer],
    position: Position,
    scaler: torch.amp.GradScaler | None = None,
) -> None:
    """Write a run's state in one step; an older checkpoint stays whole until the new one is.

    Args:
        path: The ``.safetensors`` file.
        network: The network that trains.
        optimizers: Its optimisers.
        position: How far the run has come.
        scaler: Loss scaler of an fp16 run.
    """
    from safetensors.torch import save

    tensors = {f"network/{name}": tensor.detach().cpu() for name, tensor in network.state_dict().items()}
    scalars: dict[str, Any] = {}
    for label, optimizer in optimizers.items():
        for index, state in optimizer.state_dict()["state"].items():
            for key, value in state.items():
                if isinstance(value, torch.Tensor):
                    tensors[f"optimizer/{label}/{index}/{key}"] = value.detach().cpu()
                elif value is not None:
                    scalars[f"{label}/{index}/{key}"] = value
    tensors["random/torch"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random/cuda"] = torch.cuda.get_rng_state()
    contiguous = {name: tensor.contiguous().clone() for name, tensor in tensors.items()}
    metadata = {
        "format": _FORMAT,
        "position": json.dumps(asdict(position)),
        "scalars": json.dumps(scalars),
        "scaler": json.dumps(scaler.state_dict() if scaler is not None else {}),
    }
    write_atomically(path, save(contiguous, metadata=metadata))


def load_checkpoint(
    path: Path,
    *,
    network: nn.Module,
    optimizers: Mapping[str, torch.optim.Optimizer],
    scaler: torch.amp.GradScaler | None = None,
) -> None:
    """Restore a run's tensors and random numbers; `read_position` has the rest.

    Args:
        path: File written by `save_checkpoint`.
        network: The same network; its tensors are overwritten.
        optimizers: Optimisers of the stage that the checkpoint was written in.
        scaler: Loss scaler of an fp16 run.

    Raises:
        ArtifactError: The file is missing, damaged, or of another network.
    """
    tensors, metadata = _read(path)
    weights = {name.removeprefix("network/"): value for name, value in tensors.items() if name.startswith("network/")}
    try:
        network.load_state_dict(weights)
        for label, optimizer in optimizers.items():
            _restore_optimizer(label, optimizer, tensors, json.loads(metadata["scalars"]))
        if scaler is not None and (scale := json.loads(metadata["scaler"])):
            scaler.load_state_dict(scale)
    except (RuntimeError, KeyError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ArtifactError(
            f"{path}: does not fit this recipe's network ({reason}); train into another folder"
        ) from error
    torch.set_rng_state(tensors["random/torch"])
    if torch.cuda.is_available() and "random/cuda" in tensors:
        torch.cuda.set_rng_state(tensors["random/cuda"])


def read_position(path: Path) -> Position:
    """Read how far a run had come.

    Args:
        path: File written by `save_checkpoint`.

    Returns:
        The position.

    Raises:
        ArtifactError: The file is missing or damaged.
    """
    _, metadata = _read(path)
    try:
        return Position(**json.loads(metadata["position"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path}: the checkpoint's position cannot be read ({error})") from error


def _read(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as content:
            metadata = dict(content.metadata() or {})
            tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118  # not a dict
    except (SafetensorError, OSError) as error:
        raise ArtifactError(f"{path}: cannot read the checkpoint ({error})") from error
    if metadata.get("format") != _FORMAT:
        raise ArtifactError(f"{path}: not a training checkpoint; give the folder of an earlier run")
    return tensors, metadata


def _restore_optimizer(
    label: str, optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor], scalars: dict[str, Any]
) -> None:
    prefix = f"optimizer/{label}/"
    state: dict[int, dict[str, Any]] = {}
    for name, value in tensors.items():
        if name.startswith(prefix):
            index, key = name.removeprefix(prefix).split("/")
            state.setdefault(int(index), {})[key] = value
    for name, value in scalars.items():
        if name.startswith(f"{label}/"):
            index, key = name.removeprefix(f"{label}/").split("/")
            state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
