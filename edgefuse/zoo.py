"""The models that ship with EdgeFuse, and how a name or a path becomes a file."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from edgefuse.errors import ArtifactError, UsageError
from edgefuse.foreign import is_foreign
from edgefuse.manifest import Manifest, manifest_path

__all__ = [
    "ASSETS",
    "DEFAULT_MODEL",
    "MODELS",
    "ZooModel",
    "artifact",
    "bundled",
    "cache_folder",
    "cache_root",
    "installed",
    "known_manifest",
    "manifests",
    "weights",
]

ASSETS = Path(__file__).resolve().parent / "assets"
DEFAULT_MODEL = "lite"
_WEIGHTS_SUFFIXES = (".safetensors", ".pt", ".pth")


@dataclass(frozen=True)
class ZooModel:
    """A network that EdgeFuse knows, whether its weights ship with it or not."""

    name: str
    summary: str
    paper: str | None = None


MODELS: tuple[ZooModel, ...] = (
    ZooModel("lite", "the default: small enough for a CPU or the smallest Jetson"),
    ZooModel("lite-plus", "lite with coefficients for each pixel: for an RTX or an Orin"),
    ZooModel(
        "direction-aware",
        "direction-aware gradient, similarity and intensity, on the network of RPFNet",
        "Direction-aware gradient loss, arXiv 2510.13067",
    ),
    ZooModel("rpfnet", "residual prior and spectral convolution", "RPFNet, ACM MM 2025"),
    ZooModel("angularfuse", "U-Net of Restormer-CNN blocks, angle gradient loss", "AngularFuse"),
    ZooModel("sspfusion", "structure extraction and structure-preserving fusion", "SSPFusion"),
    ZooModel("dfecf", "differential enhancement and cross-modal fusion", "DFECF"),
)


def bundled() -> dict[str, Path]:
    """The ``.onnx`` files that ship with EdgeFuse, by model name."""
    return {path.stem: path for path in sorted(ASSETS.glob("*.onnx")) if manifest_path(path).is_file()}


def installed() -> dict[str, Path]:
    """The ``.onnx`` files on this machine, by model name: those that ship, and those that were pulled."""
    pulled = {}
    for name, manifest in manifests().items():
        path = cache_folder(manifest) / manifest.file
        if path.is_file() and manifest_path(path).is_file():
            pulled[name] = path
    return {**pulled, **bundled()}


def cache_root() -> Path:
    """Where everything goes that can be fetched or made again: ``$EDGEFUSE_CACHE``, or the user's cache folder."""
    chosen = os.environ.get("EDGEFUSE_CACHE")
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "edgefuse"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgefuse"


def cache_folder(manifest: Manifest) -> Path:
    """Where the files of a fetched model go: a folder for each content, so that an update finds no old file."""
    return cache_root() / "models" / f"{Path(manifest.file).stem}-{manifest.sha256[:12]}"


def weights(name: str) -> Path | None:
    """The safetensors of a model, bundled or pulled, or None where there are none on this machine."""
    path = ASSETS / f"{name}.safetensors"
    if path.is_file():
        return path
    manifest = manifests().get(name)
    file = manifest.weights.get("file") if manifest else None
    if manifest is None or not file:
        return None
    pulled = cache_folder(manifest) / file
    return pulled if pulled.is_file() else None


def artifact(model: str | os.PathLike[str]) -> Path:
    """Find the file behind a model name or path.

    Args:
        model: The name of a model that is bundled or pulled, or the path of an ``.onnx``, ``.plan`` or ``.rtx`` file.

    Returns:
        The file.

    Raises:
        UsageError: The name is unknown, or known but without weights on this machine.
        ArtifactError: The path does not exist.
    """
    text = os.fspath(model)
    here = installed()
    if text in here:
        return here[text]
    if is_foreign(text) and not Path(text).exists():
        raise UsageError(f"{text} is a class, not a model file: edgefuse export {text} --weights FILE makes one")
    if Path(text).suffix.lower() in _WEIGHTS_SUFFIXES:
        raise UsageError(
            f"{text} holds weights alone: edgefuse export NAME --weights {text} makes a model file of them"
        )
    if Path(text).suffix or os.sep in text:
        if not Path(text).is_file():
            raise ArtifactError(f"{text}: no such model file")
        return Path(text)
    shipped = ", ".join(here)
    if text in manifests():
        raise UsageError(f"{text} is not on this machine yet: edgefuse models pull {text} --from FOLDER_OR_URL")
    if text in {item.name for item in MODELS}:
        raise UsageError(
            f"{text} has no bundled weights (bundled: {shipped}): "
            f"edgefuse export {text} --weights FILE --output {text}.onnx, then --model {text}.onnx"
        )
    raise UsageError(f"unknown model {text!r}: give one of {shipped}, or the path of a model file")


def known_manifest(name: str) -> Manifest:
    """The manifest that ships for a model, whether its files are on this machine or not.

    Raises:
        UsageError: No model of this name has one.
    """
    known = manifests()
    if name not in known:
        raise UsageError(f"no weights are published for {name!r}: known are {', '.join(known)}")
    return known[name]


def manifests() -> dict[str, Manifest]:
    """The manifests that ship, by model name; the files of a large model may have to be pulled."""
    return {path.stem: Manifest.load(path) for path in sorted(ASSETS.glob("*.json"))}
