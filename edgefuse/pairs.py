"""Infrared and visible files that belong together."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from edgefuse.errors import InputError

__all__ = ["IMAGE_SUFFIXES", "VIDEO_SUFFIXES", "Pairing", "PathPair", "pair_folders"]

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"})
VIDEO_SUFFIXES = frozenset({".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".ts"})


@dataclass(frozen=True)
class PathPair:
    """Files of one scene; ``name`` is the stem that they share."""

    name: str
    ir: Path
    vis: Path


@dataclass(frozen=True)
class Pairing:
    """What two folders hold: pairs in natural name order, and one line for each file that has no partner."""

    pairs: tuple[PathPair, ...]
    problems: tuple[str, ...]


def pair_folders(ir: str | os.PathLike[str], vis: str | os.PathLike[str]) -> Pairing:
    """Pair the images of two folders by file stem, whatever their formats.

    Args:
        ir: Folder of infrared images.
        vis: Folder of visible images.

    Returns:
        The pairs, and a line for every image without a partner or with two.

    Raises:
        InputError: A folder is missing or no two files pair up.
    """
    ir, vis = Path(ir), Path(vis)
    problems: list[str] = []
    ir_files, vis_files = _by_stem(ir, problems), _by_stem(vis, problems)
    problems += [
        f"{ir_files[stem]}: no visible image named {stem!r} in {vis}" for stem in ir_files.keys() - vis_files.keys()
    ]
    problems += [
        f"{vis_files[stem]}: no infrared image named {stem!r} in {ir}" for stem in vis_files.keys() - ir_files.keys()
    ]
    shared = sorted(ir_files.keys() & vis_files.keys(), key=_natural)
    if not shared:
        raise InputError(f"no image in {ir} has a partner of the same name in {vis}")
    return Pairing(tuple(PathPair(stem, ir_files[stem], vis_files[stem]) for stem in shared), tuple(sorted(problems)))


def _by_stem(folder: Path, problems: list[str]) -> dict[str, Path]:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in IMAGE_SUFFIXES or path.name.startswith(".") or not path.is_file():
            continue
        if path.stem in files:
            problems.append(f"{path}: {files[path.stem].name} has the same name; the first is used")
            continue
        files[path.stem] = path
    return files


def _natural(stem: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key that puts frame 2 before frame 10."""
    parts: list[tuple[int, int, str]] = []
    digits = ""
    for char in stem + "\0":
        if char.isdecimal() and char.isascii():
            digits += char
            continue
        if digits:
            parts.append((0, int(digits), digits))
            digits = ""
        parts.append((1, 0, char))
    return tuple(parts)
