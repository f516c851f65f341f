"""What a manifest keeps of a training run."""

from __future__ import annotations

import json
import platform
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

import edgefuse
from edgefuse.data import CheckedData
from edgefuse.manifest import sha256_file, write_atomically
from edgefuse.train.checkpoint import Position
from edgefuse.train.settings import Recipe

__all__ = ["record_of_weights", "training_record", "write_record"]

_OF_EARLIER_RUN = (
    "recipe",
    "seed",
    "steps",
    "minutes",
    "device",
    "precision",
    "data_sha256",
    "settings",
    "before",
    "teachers",
)


def training_record(
    recipe: Recipe,
    data: CheckedData,
    position: Position,
    *,
    command: str,
    device: str,
    precision: str,
    processes: int,
    finished: bool,
    losses: tuple[float, float],
) -> dict[str, Any]:
    """Describe a run so that it can be judged and repeated.

    Args:
        recipe: The recipe, overrides applied.
        data: What it was trained on.
        position: How far it came.
        command: Command line.
        device: Device, as torch names it.
        precision: Arithmetic that was used.
        processes: Number of processes.
        finished: Whether it ran its full length.
        losses: Mean loss at the start and at the end of the last stage.

    Returns:
        A JSON table.
    """
    train = recipe.stages[-1].train
    return {
        "command": command,
        "recipe": recipe.name,
        "settings": recipe.resolved,
        "seed": train.seed,
        "steps": position.total_steps,
        "finished": finished,
        "minutes": round(position.seconds / 60, 2),
        "device": torch.cuda.get_device_name(device) if device.startswith("cuda") else device,
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "processes": processes,
        "precision": precision,
        "first_loss": losses[0],
        "last_loss": losses[1],
        "data_sha256": data.sha256,
        "data_pairs": _count_by_set(data),
        "torch": torch.__version__,
        "edgefuse": edgefuse.__version__,
        "finished_utc": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        **({} if position.before is None else {"before": position.before}),
        **({"teachers": position.teachers} if position.teachers else {}),
    }


def record_of_weights(path: Path) -> dict[str, Any]:
    """Describe weights that a run starts from.

    Args:
        path: The file.

    Returns:
        A JSON table: the file's name and hash, and of the run that made it what its header says.
    """
    earlier: Any = None
    if path.suffix == ".safetensors":
        with safe_open(path, framework="np") as stream, suppress(ValueError, RecursionError):
            earlier = json.loads((stream.metadata() or {}).get("training", "{}"))
    run = earlier if isinstance(earlier, dict) else {}
    return {
        "file": path.name,
        "sha256": sha256_file(path),
        **{key: run[key] for key in _OF_EARLIER_RUN if key in run},
    }


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Write a record as JSON in one step."""
    write_atomically(path, (json.dumps(record, indent=2) + "\n").encode())


def _count_by_set(data: CheckedData) -> dict[str, int]:
    counts: dict[str, int] = {}
    for pair in data.pairs:
        name = pair.name.rpartition("/")[0]
        counts[name] = counts.get(name, 0) + 1
    return counts
