"""From a model's name or file to a runner for it."""

from __future__ import annotations

import os
from typing import Literal, get_args

from edgefuse.errors import UsageError
from edgefuse.runtime.engine_library import EngineKind
from edgefuse.runtime.onnx_runtime import OnnxRuntimeRunner
from edgefuse.runtime.runner import Runner
from edgefuse.runtime.tensorrt_runner import TensorRtRunner
from edgefuse.zoo import artifact

__all__ = ["DEVICES", "RUNTIMES", "RUNTIME_OF_SUFFIX", "Device", "RuntimeName", "create_runner"]

RuntimeName = Literal["auto", "onnxruntime", "tensorrt", "tensorrt-rtx"]
Device = Literal["cpu", "cuda"]
RUNTIMES: tuple[RuntimeName, ...] = get_args(RuntimeName)
DEVICES: tuple[Device, ...] = get_args(Device)

RUNTIME_OF_SUFFIX: dict[str, Literal["onnxruntime"] | EngineKind] = {
    ".onnx": "onnxruntime",
    ".ort": "onnxruntime",
    ".plan": "tensorrt",
    ".engine": "tensorrt",
    ".rtx": "tensorrt-rtx",
}
"""What runs a model file, by the end of its name."""


def create_runner(
    model: str | os.PathLike[str],
    *,
    runtime: RuntimeName = "auto",
    device: Device = "cpu",
    threads: int | None = None,
    trust_engine: bool = False,
) -> Runner:
    """Choose the runtime for a model and prepare it; nothing is loaded before ``activate``.

    Args:
        model: A bundled model's name, or the path of a model file.
        runtime: ``"auto"`` goes by the file's suffix.
        device: Where it runs.
        threads: CPU threads of one operation; None leaves the choice to the runtime.
        trust_engine: Run an engine without a matching manifest: it is code, and the user vouches for it.

    Returns:
        An inactive runner.

    Raises:
        UsageError: The name, runtime or device is unknown, or they do not fit together.
        ArtifactError: The file is missing or damaged.
        TrustError: The file is not the one of its manifest, or an engine without one.
    """
    if runtime not in RUNTIMES:
        raise UsageError(f"runtime must be one of {', '.join(RUNTIMES)}, not {runtime!r}")
    if device not in DEVICES:
        raise UsageError(f"device must be one of {', '.join(DEVICES)}, not {device!r}")
    path = artifact(model)
    fitting = RUNTIME_OF_SUFFIX.get(path.suffix.lower())
    if fitting is None:
        known = ", ".join(RUNTIME_OF_SUFFIX)
        raise UsageError(f"{path}: no runtime for {path.suffix or 'a file without suffix'}; give one of {known}")
    if runtime not in ("auto", fitting):
        raise UsageError(f"{path} runs on {fitting}, not on {runtime}{_way_to(model, runtime)}")
    if fitting == "onnxruntime":
        return OnnxRuntimeRunner(path, device=device, threads=threads)
    if device != "cuda":
        raise UsageError(f"{path} is an engine, which runs on a GPU: --device cuda")
    return TensorRtRunner(path, kind=fitting, trust_engine=trust_engine)


def _way_to(model: str | os.PathLike[str], runtime: RuntimeName) -> str:
    """How to get a file for the runtime that was asked for."""
    if runtime == "onnxruntime":
        return ""
    suffix = next(suffix for suffix, name in RUNTIME_OF_SUFFIX.items() if name == runtime)
    return f": edgefuse export {model} --format {runtime} --output MODEL{suffix}, then --model MODEL{suffix}"
