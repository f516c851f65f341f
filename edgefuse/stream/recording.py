"""Reading what ``edgefuse stream --record`` wrote."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from edgefuse.errors import InputError
from edgefuse.images import read_ir, read_vis
from edgefuse.stream.frame import Frame, Role

__all__ = ["FORMAT_VERSION", "INDEX", "read_recording"]

INDEX = "frames.jsonl"
FORMAT_VERSION = 1


def read_recording(folder: str | os.PathLike[str], role: Role) -> Iterator[Frame]:
    """The frames of one camera, as they were captured.

    Args:
        folder: What ``RawRecorder`` wrote.
        role: Which camera.

    Returns:
        Frames in order of capture; pictures are read as they are asked for.

    Raises:
        InputError: No recording is there, or a line or picture of it is damaged. A last line that was cut off
            is passed over.
    """
    path = Path(folder) / INDEX
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{folder}: no recording of edgefuse stream ({INDEX} is missing or damaged)") from error
    entries = [
        entry for number, line in enumerate(lines) if (entry := _entry(path, lines, number, line))["role"] == role
    ]
    for entry in sorted(entries, key=lambda item: float(item["captured_seconds"])):
        file = Path(folder) / role / Path(str(entry["file"])).name
        image = read_ir(file) if role == "ir" else read_vis(file)
        pts = entry["pts_seconds"]
        yield Frame(
            role,
            image,
            int(entry["sequence"]),
            None if pts is None else float(pts),
            float(entry["captured_seconds"]),
            float(entry["changed_seconds"]),
            float(entry["offset_seconds"]),
        )


def _entry(path: Path, lines: list[str], number: int, line: str) -> dict[str, Any]:
    try:
        entry = cast("dict[str, Any]", json.loads(line))
        if entry["version"] != FORMAT_VERSION:
            raise InputError(f"{path}: version {entry['version']} of a recording; this edgefuse reads {FORMAT_VERSION}")
        float(entry["captured_seconds"]), float(entry["changed_seconds"]), int(entry["sequence"]), entry["file"]
        float(entry.setdefault("offset_seconds", 0.0))  # recordings of before it was noted
        return {"pts_seconds": None, **entry}
    except (ValueError, KeyError, TypeError) as error:
        if number == len(lines) - 1:
            return {"role": None}
        raise InputError(f"{path}, line {number + 1}: damaged") from error
