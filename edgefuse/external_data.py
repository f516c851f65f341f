"""Weights of an ONNX graph that lie in files of their own: none may lie outside the graph's folder.

ONNX Runtime refuses those itself from 1.24 on. Up to 1.23, the last for Python 3.10, it reads whatever file a graph
names. A device has no ``onnx``, so the few fields that matter are read here.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from edgefuse.errors import ArtifactError, TrustError

__all__ = ["check_external_data", "check_location"]

# For every message of ONNX's schema in which a tensor can lie: the fields that lead to one.
_SPARSE = "sparse tensor"
_FIELDS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: _SPARSE},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: _SPARSE, 23: _SPARSE},
    _SPARSE: {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_TENSOR_NAME, _TENSOR_EXTERNAL_DATA = 8, 13
_ENTRY_KEY, _ENTRY_VALUE = 1, 2


def check_external_data(path: str | os.PathLike[str]) -> None:
    """Look at every file that an ONNX graph takes weights from, before anything opens one.

    Args:
        path: The file; one of ONNX Runtime's own format (``.ort``) holds all of its weights.

    Raises:
        ArtifactError: The file is damaged, or one that it names is missing.
        TrustError: A file that it names lies outside its folder, or is no plain file.
    """
    path = Path(path)
    if path.suffix == ".ort":
        return
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror})") from error
    # The key of such an entry stands in the file letter by letter; most graphs have none, and need no reading.
    if b"location" not in content:
        return
    folder = path.parent.resolve()
    try:
        for name, entries in _external_tensors(content):
            check_location(path, folder, name, entries)
    except ValueError as error:
        raise ArtifactError(f"{path}: truncated, or not an ONNX model ({error})") from error


def check_location(path: Path, folder: Path, name: str, entries: Mapping[str, str]) -> None:
    """Check where one tensor's content lies.

    Args:
        path: The ``.onnx`` file, for messages.
        folder: Its folder.
        name: The tensor.
        entries: The tensor's ``external_data``.

    Raises:
        ArtifactError: The file is missing or ends before the tensor does.
        TrustError: The file lies outside the folder, or is no plain file.
    """
    location = entries.get("location", "")
    relative = Path(location)
    if not location or relative.is_absolute() or ".." in relative.parts or "\\" in location or "\0" in location:
        raise TrustError(f"{path}: external data of {name!r} lies at {location!r}, outside the model's folder; refused")
    file = folder / relative
    for part in (file, *file.parents):
        if part == folder:
            break
        if part.is_symlink():
            raise TrustError(f"{path}: external data of {name!r} goes through the link {part.name!r}; refused")
    try:
        found = file.stat()
    except OSError as error:
        raise ArtifactError(f"{path}: its external data {location!r} is missing") from error
    if not stat.S_ISREG(found.st_mode):
        raise TrustError(f"{path}: external data {location!r} is no plain file; refused")
    try:
        start, length = int(entries.get("offset", 0)), int(entries.get("length", found.st_size))
    except ValueError as error:
        raise ArtifactError(f"{path}: external data of {name!r} has no valid offset and length") from error
    if start < 0 or length < 0 or start > found.st_size:
        raise ArtifactError(f"{path}: external data of {name!r} begins or ends outside {location!r}")


def _external_tensors(model: bytes) -> Iterator[tuple[str, dict[str, str]]]:
    """Name and ``external_data`` of every tensor that has one, whatever it says of where its content lies.

    A message may come in parts, so that one part says that the content is external and another where it is.
    """
    pending = [("model", memoryview(model))]
    while pending:
        kind, message = pending.pop()
        inside, name, entries = _FIELDS[kind], "", {}
        for number, value in _messages(message):
            if number in inside:
                pending.append((inside[number], value))
            elif kind == "tensor" and number == _TENSOR_NAME:
                name = str(value, "utf-8", "replace")
            elif kind == "tensor" and number == _TENSOR_EXTERNAL_DATA:
                entry = {part: str(text, "utf-8") for part, text in _messages(value)}
                key = entry.get(_ENTRY_KEY, "")
                if key in entries:
                    raise ValueError(f"tensor {name!r} says {key!r} twice")
                entries[key] = entry.get(_ENTRY_VALUE, "")
        if "location" in entries:
            yield name, entries


def _messages(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Number and content of the fields of a protobuf message that are messages, strings or bytes."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        # Readers keep 32 bits of a tag.
        number, wire_type = (tag & 0xFFFFFFFF) >> 3, tag & 7
        if wire_type == 0:
            _, at = _varint(message, at)
        elif wire_type == 1:
            at += 8
        elif wire_type == 2:
            size, start = _varint(message, at)
            at = start + size
            if at <= len(message):
                yield number, message[start:at]
        elif wire_type == 5:
            at += 4
        else:
            raise ValueError(f"field of wire type {wire_type}")
    if at > len(message):
        raise ValueError("a field ends after its message")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A number in seven bits a byte, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number without an end")
