"""Fetch the files of a model that is too large for the wheel, and check them before they get their name."""

from __future__ import annotations

import shutil
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import IO

from edgefuse.errors import ArtifactError, InputError, TrustError, UsageError
from edgefuse.manifest import Manifest, manifest_path, sha256_file
from edgefuse.stream.uri import redact
from edgefuse.zoo import ASSETS, cache_folder, known_manifest

__all__ = ["PulledFile", "pull"]

_BLOCK_BYTES = 1 << 18
_TIMEOUT_SECONDS = 30
_PARTIAL_CONTENT = 206
_RANGE_BEYOND_END = 416


@dataclass(frozen=True)
class PulledFile:
    """One file of a model.

    Attributes:
        path: Where it is.
        sha256: Its hash, as the manifest that ships has it.
        size_bytes: Its size.
        fetched: Whether it was fetched now; False where it was there and whole.
    """

    path: Path
    sha256: str
    size_bytes: int
    fetched: bool


def pull(
    name: str, source: str | None = None, *, on_bytes: Callable[[int], None] | None = None
) -> tuple[PulledFile, ...]:
    """Bring the graph and the weights of a model onto this machine.

    What is there already is checked and kept. A fetch that was cut goes on where it stopped, if the server can. A file
    gets its name only when its SHA-256 is that of the manifest that ships with EdgeFuse, whatever the source says.

    Args:
        name: Name of a model with a manifest.
        source: Folder with the files, such as ``edgefuse/assets`` of a checkout, or an ``http(s)://`` address of one.
            Not needed for what is here already.
        on_bytes: Called with the number of bytes of each block that arrives.

    Returns:
        The files: graph, then weights.

    Raises:
        UsageError: The name is unknown, or a source is needed and not given.
        TrustError: A file is not the one of the manifest; it is deleted.
        ArtifactError: The source has no such file, or the connection failed.
        InputError: The cache folder cannot be written.
    """
    manifest = known_manifest(name)
    wanted = [(manifest.file, manifest.sha256, manifest.size_bytes)]
    if manifest.weights.get("file"):
        weights = manifest.weights
        wanted.append((Path(weights["file"]).name, weights["sha256"], int(weights.get("size_bytes") or 0)))
    folder = ASSETS if (ASSETS / manifest.file).is_file() else cache_folder(manifest)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files = tuple(_one(folder / file, sha256, size, source, on_bytes) for file, sha256, size in wanted)
        if folder != ASSETS:
            _keep_manifest(manifest, folder)
    except OSError as error:
        raise InputError(f"cannot write {error.filename or folder}: {error.strerror or error}") from error
    return files


def _keep_manifest(manifest: Manifest, folder: Path) -> None:
    """Last, so that a folder without a manifest is one that is not complete."""
    manifest.save(manifest_path(folder / manifest.file))


def _one(
    path: Path, sha256: str, size_bytes: int, source: str | None, on_bytes: Callable[[int], None] | None
) -> PulledFile:
    """Check a file that is here, or fetch it."""
    if path.is_file() and sha256_file(path) == sha256:
        return PulledFile(path, sha256, path.stat().st_size, fetched=False)
    if source is None:
        state = "differs from its manifest (sha256)" if path.is_file() else "is not on this machine"
        raise UsageError(f"{path.name} {state}: say where to get it, --from FOLDER_OR_URL")
    part = path.with_name(f".{path.name}.{sha256[:12]}.part")
    _fetch(source, path.name, part, limit_bytes=size_bytes or None, on_bytes=on_bytes or _ignore)
    found = sha256_file(part)
    if found != sha256:
        part.unlink()
        place = redact(source)
        raise TrustError(
            f"{path.name} from {place} is not the file of the manifest (sha256 {found[:12]}, not {sha256[:12]}): "
            "it was deleted; get it from another place, or update EdgeFuse"
        )
    part.replace(path)
    return PulledFile(path, sha256, path.stat().st_size, fetched=True)


def _ignore(count: int) -> None:
    """Stands in where nobody counts."""


def _fetch(source: str, file: str, part: Path, *, limit_bytes: int | None, on_bytes: Callable[[int], None]) -> None:
    """Copy a file of a folder or of a server to ``part``."""
    scheme = urllib.parse.urlsplit(source).scheme.lower()
    if scheme in ("http", "https"):
        address = source.rstrip("/") + "/" + urllib.parse.quote(file)
        try:
            _download(address, part, limit_bytes=limit_bytes, on_bytes=on_bytes)
        except urllib.error.HTTPError as error:
            raise ArtifactError(f"{redact(address)}: the server says {error.code} {error.reason}") from error
        except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
            reason = redact(str(getattr(error, "reason", error) or error))
            raise ArtifactError(f"{redact(address)}: {reason}; the same command goes on where this stopped") from error
        return
    if "://" in source:
        raise UsageError(f"--from {redact(source)}: give a folder, or an address that starts with http:// or https://")
    found = Path(source) / file
    if not found.is_file():
        raise ArtifactError(f"{source} has no {file}")
    shutil.copyfile(found, part)
    on_bytes(part.stat().st_size)


def _download(address: str, part: Path, *, limit_bytes: int | None, on_bytes: Callable[[int], None]) -> None:
    """Go on with ``part``, or start it anew where the server sends the whole file."""
    have = part.stat().st_size if part.is_file() else 0
    if limit_bytes is not None and have >= limit_bytes:
        have = 0
    headers = {"User-Agent": "edgefuse", **({"Range": f"bytes={have}-"} if have else {})}
    request = urllib.request.Request(address, headers=headers)  # noqa: S310  # http and https only, see _fetch
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS)  # noqa: S310  # as above
    except urllib.error.HTTPError as error:
        if error.code != _RANGE_BEYOND_END or not have:
            raise
        part.unlink()
        _download(address, part, limit_bytes=limit_bytes, on_bytes=on_bytes)
        return
    with closing(response):
        continues = have > 0 and response.status == _PARTIAL_CONTENT
        if continues:
            on_bytes(have)
        with part.open("ab" if continues else "wb") as stream:
            room = None if limit_bytes is None else limit_bytes - stream.tell()
            arrived = _copy(response, stream, room=room, told=on_bytes)
    announced = response.headers.get("Content-Length")
    if announced is not None and arrived < int(announced) and (room is None or arrived <= room):
        raise ConnectionError(f"the connection ended after {arrived} of {announced} bytes")


def _copy(response: IO[bytes], stream: IO[bytes], *, room: int | None, told: Callable[[int], None]) -> int:
    """Write what arrives, at most one byte more than the manifest allows: then the hash cannot match."""
    arrived = 0
    while block := response.read(_BLOCK_BYTES if room is None else min(_BLOCK_BYTES, room - arrived + 1)):
        stream.write(block)
        told(len(block))
        arrived += len(block)
        if room is not None and arrived > room:
            break
    return arrived
