"""Models that the page offers: what is installed, and what lies exported beside the one that runs, of any precision."""

from __future__ import annotations

from pathlib import Path

from edgefuse.errors import EdgeFuseError
from edgefuse.manifest import Manifest, manifest_path
from edgefuse.runtime.create import RUNTIME_OF_SUFFIX
from edgefuse.zoo import installed

__all__ = ["model_choices"]


def model_choices(folder: Path) -> list[dict[str, str]]:
    """Look for models that a stream can go on with.

    Args:
        folder: Where exported files lie, each with its manifest.

    Returns:
        For each, ``model``, the name or path that loads it, and ``label``, such as "lite, int8, onnx".
    """
    choices = [_choice(name, Manifest.load(manifest_path(path))) for name, path in installed().items()]
    for path in sorted(folder.glob("*.json")):
        try:
            manifest = Manifest.load(path)
        except EdgeFuseError:  # some other file
            continue
        artifact = path.with_name(Path(manifest.file).name)
        if artifact.suffix in RUNTIME_OF_SUFFIX and artifact.is_file():
            choices.append(_choice(str(artifact), manifest))
    return choices


def _choice(model: str, manifest: Manifest) -> dict[str, str]:
    return {"model": model, "label": f"{manifest.model}, {manifest.precision}, {manifest.format}"}
