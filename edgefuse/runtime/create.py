"""From a model's name or file to a runner for it."""

from __future__ import annotations

import os
from typing import Literal, get_args

from edgefuse.errors import UsageError
from edgefuse.runtime.onnx_runtime import OnnxRuntimeRunner
from edgefuse.runtime.runner import Runner
from edgefuse.zoo import artifact

__all__ = ["DEVICES", "RUNTIMES", "Device", "RuntimeName", "create_runner"]

RuntimeName = Literal["auto", "onnxruntime"]
Device = Literal["cpu", "cuda"]
RUNTIMES: tuple[RuntimeName, ...] = get_args(RuntimeName)
DEVICES: tuple[Device, ...] = get_args(Device)

_RUNTIME_OF_SUFFIX: dict[str, RuntimeName] = {".onnx": "onnxruntime"}


def create_runner(
    model: str | os.PathLike[str],
    *,
    runtime: RuntimeName = "auto",
    device: Device = "cpu",
    threads: int | None = None,
) -> Runner:
    """Choose the runtime for a model and prepare it; nothing is loaded before ``activate``.

    Args:
        model: A bundled model's name, or the path of a model file.
        runtime: ``"auto"`` goes by the file's suffix.
        device: Where it runs.
        threads: CPU threads of one operation; None leaves the choice to the runtime.

    Returns:
        An inactive runner.

    Raises:
        UsageError: The name, runtime or device is unknown, or they do not fit together.
        ArtifactError: The file is missing, damaged or not the one of its manifest.
    """
    if runtime not in RUNTIMES:
        raise UsageError(f"runtime must be one of {', '.join(RUNTIMES)}, not {runtime!r}")
    if device not in DEVICES:
        raise UsageError(f"device must be one of {', '.join(DEVICES)}, not {device!r}")
    path = artifact(model)
    fitting = _RUNTIME_OF_SUFFIX.get(path.suffix.lower())
    if fitting is None:
        raise UsageError(f"{path}: no runtime for {path.suffix or 'a file without suffix'}; give a .onnx file")
    if runtime not in ("auto", fitting):
        raise UsageError(f"{path} runs on {fitting}, not on {runtime}")
    return OnnxRuntimeRunner(path, device=device, threads=threads)
