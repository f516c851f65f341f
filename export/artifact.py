"""What an export leaves behind, and how it is written."""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from edgefuse.errors import ArtifactError, InputError
from edgefuse.manifest import Manifest, manifest_path, write_atomically

__all__ = ["Artifact", "refuse_taken", "write_artifact"]


@dataclass(frozen=True)
class Artifact:
    """An exported model and what is known of it.

    Attributes:
        path: The file; its manifest is the ``.json`` of the same stem.
        manifest: The manifest.
    """

    path: Path
    manifest: Manifest


def refuse_taken(path: Path, *, overwrite: bool) -> None:
    """Refuse to write where something is that may not be replaced.

    Args:
        path: File that is to be written with a manifest of the same stem.
        overwrite: Whether an older export under the same name may go.

    Raises:
        InputError: The file exists and may not be replaced, or the manifest beside it is another file's.
    """
    beside = manifest_path(path)
    if beside.is_file():
        try:
            owner = Manifest.load(beside).file
        except ArtifactError:
            owner = beside.name
        if owner != path.name and (not overwrite or (path.parent / owner).exists()):
            raise InputError(f"{path}: {beside.name} belongs to {owner}; give the output another name")
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists: give another --output, or --overwrite to replace it")


def write_artifact(path: Path, content: bytes, manifest: Manifest, *, overwrite: bool) -> Artifact:
    """Write a file and its manifest; at no time does a manifest describe another file's bytes as whole.

    Args:
        path: The file.
        content: Its bytes.
        manifest: What is known of it; name, size and hash are filled in here.
        overwrite: Replace what is there.

    Returns:
        The artifact.

    Raises:
        InputError: It exists and may not be replaced, or the folder cannot be written.
    """
    refuse_taken(path, overwrite=overwrite)
    complete = replace(manifest, file=path.name, sha256=sha256(content).hexdigest(), size_bytes=len(content))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        manifest_path(path).unlink(missing_ok=True)
        write_atomically(path, content)
        complete.save(manifest_path(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error
    return Artifact(path, complete)
