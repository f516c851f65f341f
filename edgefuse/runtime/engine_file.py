"""Engine files before anything in them is used: read once, held against their manifest, and told apart by header.

An engine is executable code, so the bytes that are hashed are the very bytes that are loaded.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shlex
from dataclasses import dataclass
from pathlib import Path

from edgefuse.errors import ArtifactError, TrustError
from edgefuse.manifest import Manifest, manifest_path
from edgefuse.runtime.engine_library import EngineKind

__all__ = ["HEADER_BYTES", "EngineFile", "EngineHeader", "read_engine", "read_header", "rebuild_command"]

HEADER_BYTES = 64
_TAGS: dict[bytes, EngineKind] = {b"ftrt": "tensorrt", b"vtrt": "tensorrt-rtx"}
_SUFFIXES: dict[EngineKind, str] = {"tensorrt": ".plan", "tensorrt-rtx": ".rtx"}

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EngineHeader:
    """What the first bytes of an engine say.

    Attributes:
        library: Which library wrote it, or None for other bytes.
        version: The library's version, or None.
    """

    library: EngineKind | None
    version: str | None


def read_header(header: bytes) -> EngineHeader:
    """Tell which library wrote an engine, and in which version: its four parts are bytes 24 to 27.

    Source: NVIDIA's answer in https://github.com/NVIDIA/TensorRT/issues/3073. Only that library can say more.

    Args:
        header: At least the first 64 bytes of the file.

    Returns:
        Library and version, None where they cannot be told.
    """
    library = _TAGS.get(header[:4])
    version = ".".join(map(str, header[24:28])) if library is not None and len(header) >= 28 else None
    return EngineHeader(library, version)


@dataclass(frozen=True)
class EngineFile:
    """An engine that may be loaded.

    Attributes:
        path: Where it came from.
        content: Its bytes.
        header: What they begin with.
        manifest: Its manifest, None where the user trusts it without.
    """

    path: Path
    content: bytes
    header: EngineHeader
    manifest: Manifest | None


def read_engine(path: Path, kind: EngineKind, *, trust: bool = False) -> EngineFile:
    """Read an engine and check it against its manifest.

    Args:
        path: The ``.plan`` or ``.rtx`` file.
        kind: What it has to be.
        trust: Take an engine without a matching manifest: the user vouches for it.

    Returns:
        The engine.

    Raises:
        ArtifactError: The file is missing, or another library's engine.
        TrustError: It has no manifest, or is not the file that the manifest describes.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror or error})") from error
    try:
        manifest = _matching_manifest(path, content, kind)
    except ArtifactError as error:
        if not trust:
            raise
        _log.warning("%s; loaded all the same, as --trust-engine says", error)
        manifest = None
    header = read_header(content[:HEADER_BYTES])
    if header.library not in (None, kind):
        raise ArtifactError(f"{path}: a {header.library} engine; name it {path.stem}{_SUFFIXES[header.library]}")
    return EngineFile(path, content, header, manifest)


def _matching_manifest(path: Path, content: bytes, kind: EngineKind) -> Manifest:
    place = manifest_path(path)
    if not place.is_file():
        raise TrustError(
            f"{path}: an engine is code, and this one has no manifest {place.name}; "
            "export it with edgefuse, or say --trust-engine if you built it"
        )
    manifest = Manifest.load(place)
    if manifest.file != path.name:
        raise TrustError(f"{path}: its manifest describes {manifest.file}; keep the two together or export again")
    if hashlib.sha256(content).hexdigest() != manifest.sha256:
        raise TrustError(f"{path}: content differs from its manifest (sha256); export again or restore the file")
    if manifest.format != kind:
        raise TrustError(f"{path}: its manifest describes a {manifest.format} file, not a {kind} engine; export again")
    return manifest


def rebuild_command(file: EngineFile, kind: EngineKind) -> str:
    """The command that builds an engine again on this machine.

    Args:
        file: The engine.
        kind: What it is.

    Returns:
        A line for a shell; words in capitals stand for what the file does not tell.
    """
    manifest = file.manifest
    words = ["edgefuse", "export", "GRAPH.onnx" if manifest is None else manifest.model, "--format", kind]
    words += ["--output", file.path.name, "--overwrite"]
    if manifest is None:
        return shlex.join(words)
    origin = str(manifest.weights.get("origin", ""))
    if origin.endswith((".safetensors", ".pt", ".pth")) and "licence" not in manifest.weights:
        words += ["--weights", origin]
    if origin == "untrained":
        words.append("--untrained")
    for key, value in manifest.config.items():
        words += ["--config", f"{key}={value if isinstance(value, str) else json.dumps(value)}"]
    sizes = manifest.builder.get("sizes")
    if sizes is not None:
        words += sizes.split()
    elif manifest.imgsz is not None:
        words += ["--imgsz", *map(str, manifest.imgsz)]
    if manifest.precision != "fp32":
        words += ["--precision", manifest.precision]
    return shlex.join(words)
