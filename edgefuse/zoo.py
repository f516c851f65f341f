"""The models that ship with EdgeFuse, and how a name or a path becomes a file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from edgefuse.errors import ArtifactError, UsageError
from edgefuse.manifest import Manifest, manifest_path

__all__ = ["ASSETS", "DEFAULT_MODEL", "MODELS", "ZooModel", "artifact", "bundled", "weights"]

ASSETS = Path(__file__).resolve().parent / "assets"
DEFAULT_MODEL = "lite"


@dataclass(frozen=True)
class ZooModel:
    """A network that EdgeFuse knows, whether its weights ship with it or not."""

    name: str
    summary: str
    paper: str | None = None


MODELS: tuple[ZooModel, ...] = (
    ZooModel("lite", "the default: small enough for a CPU or the smallest Jetson"),
    ZooModel("rpfnet", "residual prior and spectral convolution", "RPFNet, ACM MM 2025"),
    ZooModel("angularfuse", "U-Net of Restormer-CNN blocks, angle gradient loss", "AngularFuse"),
    ZooModel("sspfusion", "structure extraction and structure-preserving fusion", "SSPFusion"),
    ZooModel("dfecf", "differential enhancement and cross-modal fusion", "DFECF"),
)


def bundled() -> dict[str, Path]:
    """The ``.onnx`` files that ship with EdgeFuse, by model name."""
    return {path.stem: path for path in sorted(ASSETS.glob("*.onnx")) if manifest_path(path).is_file()}


def weights(name: str) -> Path | None:
    """The bundled safetensors of a model, or None where none ship."""
    path = ASSETS / f"{name}.safetensors"
    return path if path.is_file() else None


def artifact(model: str | os.PathLike[str]) -> Path:
    """Find the file behind a model name or path.

    Args:
        model: A bundled model's name, or the path of an ``.onnx``, ``.plan`` or ``.rtx`` file.

    Returns:
        The file.

    Raises:
        UsageError: The name is unknown, or known but without bundled weights.
        ArtifactError: The path does not exist.
    """
    text = os.fspath(model)
    if text in bundled():
        return bundled()[text]
    if Path(text).suffix or os.sep in text:
        if not Path(text).is_file():
            raise ArtifactError(f"{text}: no such model file")
        return Path(text)
    shipped = ", ".join(bundled())
    if text in {item.name for item in MODELS}:
        raise UsageError(
            f"{text} has no bundled weights (bundled: {shipped}): "
            f"edgefuse export {text} --weights FILE --output {text}.onnx, then --model {text}.onnx"
        )
    raise UsageError(f"unknown model {text!r}: give one of {shipped}, or the path of a model file")


def manifests() -> dict[str, Manifest]:
    """The manifests of the bundled models, by name."""
    return {name: Manifest.load(manifest_path(path)) for name, path in bundled().items()}
