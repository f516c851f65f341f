"""The JSON beside every artifact: what it is, where it came from, and whether it still is what was exported."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from edgefuse.errors import ArtifactError, TrustError

__all__ = [
    "PRECISIONS",
    "SCHEMA_VERSION",
    "ArtifactFormat",
    "Manifest",
    "Precision",
    "manifest_path",
    "sha256_file",
    "verify",
    "write_atomically",
]

SCHEMA_VERSION = 1

ArtifactFormat = Literal["onnx", "ort", "tensorrt", "tensorrt-rtx"]
Precision = Literal["fp32", "fp16", "bf16", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

_LARGEST_MANIFEST_BYTES = 4 << 20


@dataclass(frozen=True)
class Manifest:
    """What is known of one artifact.

    Attributes:
        file: File name of the artifact, without a folder.
        sha256: SHA-256 of the artifact's bytes, in hex.
        size_bytes: Size of the artifact.
        format: Kind of artifact.
        model: Name of the model, or ``package.module:Class`` of a user's own.
        config: Keyword arguments that the model was created with.
        recipe: Recipe that the weights were trained by, if known.
        inputs: Names of the graph's inputs, in order.
        output: Name of the graph's output.
        imgsz: Height and width in pixels, or None where both are free.
        batch: Number of image pairs an inference takes, or None where it is free.
        size_multiple: Height and width must be multiples of it; the runtime pads.
        min_size: Smallest height and width that the network takes.
        precision: Precision of the weights and of most operations.
        opset: ONNX opset of the graph that the artifact is or was built from.
        dft_lowering: How DFT nodes were rewritten: "none" where there were none.
        builder: Name and version of what wrote the artifact; of an engine also ``sizes``, the options that it was built
            with, and ``version_compatible``.
        targets: GPU targets an engine was built for, as in ``("sm_86",)``.
        parity: Difference from the model that was exported, as measured at export.
        weights: Origin, licence and hash of the weights.
        training: How the weights were trained: command, seed, steps, device, minutes, data hash, metrics.
        cost: What one frame takes: parameters, multiply-adds at 640x480.
        edgefuse_version: Version that wrote the manifest.
        created_utc: Time of writing, ISO 8601.
        schema_version: Version of this layout.
    """

    file: str
    sha256: str
    size_bytes: int
    format: ArtifactFormat
    model: str
    config: dict[str, Any] = field(default_factory=dict)
    recipe: str | None = None
    inputs: tuple[str, ...] = ("ir", "vis")
    output: str = "fused"
    imgsz: tuple[int, int] | None = None
    batch: int | None = 1
    size_multiple: int = 1
    min_size: int = 1
    precision: Precision = "fp32"
    opset: int | None = None
    dft_lowering: str = "none"
    builder: dict[str, str] = field(default_factory=dict)
    targets: tuple[str, ...] = ()
    parity: dict[str, Any] | None = None
    weights: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] | None = None
    cost: dict[str, Any] | None = None
    edgefuse_version: str = ""
    created_utc: str = ""
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        if Path(self.file).name != self.file or not self.file:
            raise ArtifactError(f"manifest names {self.file!r}, which is not a plain file name")
        if self.size_multiple < 1 or self.min_size < 1:
            raise ArtifactError(f"manifest of {self.file}: size_multiple and min_size must be at least 1")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the manifest as JSON, replacing an older one in one step."""
        write_atomically(Path(path), (json.dumps(asdict(self), indent=2) + "\n").encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Manifest:
        """Read a manifest.

        Args:
            path: JSON file.

        Returns:
            The manifest.

        Raises:
            ArtifactError: It is missing, damaged, or written by a newer version.
        """
        path = Path(path)
        raw = _read_json(path)
        if raw.get("schema_version") != SCHEMA_VERSION:
            found = raw.get("schema_version")
            raise ArtifactError(f"{path}: manifest schema {found!r}, this version reads {SCHEMA_VERSION}; export again")
        known = {item.name for item in fields(cls)}
        for name in ("inputs", "targets", "imgsz"):
            if isinstance(raw.get(name), list):
                raw[name] = tuple(raw[name])
        try:
            return cls(**{key: value for key, value in raw.items() if key in known})
        except TypeError as error:
            raise ArtifactError(f"{path}: not a complete manifest ({error})") from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _LARGEST_MANIFEST_BYTES:
            raise ArtifactError(f"{path}: too large to be a manifest")
        raw = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ArtifactError(f"{path}: cannot read the manifest ({error.strerror})") from error
    except ValueError as error:
        raise ArtifactError(f"{path}: the manifest is not valid JSON ({error})") from error
    if not isinstance(raw, dict):
        raise ArtifactError(f"{path}: the manifest is not a JSON object")
    return raw


def manifest_path(artifact: str | os.PathLike[str]) -> Path:
    """The path of an artifact's manifest: the same stem, ending in ``.json``."""
    return Path(artifact).with_suffix(".json")


def sha256_file(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's bytes, in hex."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def verify(artifact: str | os.PathLike[str]) -> Manifest:
    """Check an artifact against its manifest before anything in it is used.

    Args:
        artifact: The model or engine file.

    Returns:
        Its manifest.

    Raises:
        ArtifactError: The artifact or its manifest is missing or damaged.
        TrustError: The artifact is not the one that the manifest describes.
    """
    artifact = Path(artifact)
    if not artifact.is_file():
        raise ArtifactError(f"{artifact}: no such file")
    manifest = Manifest.load(manifest_path(artifact))
    if manifest.file != artifact.name:
        raise TrustError(f"{artifact}: its manifest describes {manifest.file}; keep the two together or export again")
    if sha256_file(artifact) != manifest.sha256:
        raise TrustError(f"{artifact}: content differs from its manifest (sha256); export again or restore the file")
    return manifest


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees either the old content or the new, never a part.

    Args:
        path: File to write; its folder must exist.
        content: All of its bytes.

    Raises:
        OSError: The folder is missing, read-only or full; the old file is untouched.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
