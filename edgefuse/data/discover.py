"""Pairs of images below a folder, whatever its layout."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from edgefuse.errors import InputError, UsageError
from edgefuse.pairs import PathPair, pair_folders

__all__ = ["IR_FOLDERS", "VIS_FOLDERS", "Discovery", "Split", "discover", "require_split"]

Split = Literal["train", "val", "test"]

IR_FOLDERS = ("ir", "infrared", "inf", "thermal", "lwir", "mri")
"""Folder names, in any case, that hold the infrared image of each pair; for medical pairs that is the MRI."""

VIS_FOLDERS = ("vis", "vi", "visible", "rgb", "spect", "pet", "ct")
"""Folder names, in any case, that hold the visible image of each pair, or what a medical pair sets against the MRI."""


@dataclass(frozen=True)
class Discovery:
    """What some folders hold: pairs named ``set/split/stem``, and one line for each file or folder left out."""

    pairs: tuple[PathPair, ...]
    problems: tuple[str, ...]


def discover(
    roots: str | os.PathLike[str] | Iterable[str | os.PathLike[str]], *, split: Split | None = None
) -> Discovery:
    """Find every pair of folders such as ``ir`` and ``vis`` at or below some folders, and pair their files by stem.

    A folder named ``train``, ``val`` or ``test`` between a root and the images is a split. With ``split`` given, the
    others are passed over, so that a whole collection can be given for training without its test images; a root that
    itself lies inside a split is taken as it is.

    Args:
        roots: One folder or several.
        split: The split to keep, or None for all.

    Returns:
        The pairs in natural order, root by root.

    Raises:
        InputError: A root is missing or holds no pair.
    """
    listed = [roots] if isinstance(roots, (str, os.PathLike)) else list(roots)
    pairs: dict[tuple[Path, Path], PathPair] = {}
    problems: list[str] = []
    for root in (Path(item) for item in listed):
        found = _below(root, split, problems)
        if not found:
            wanted = f" in a split named {split!r}" if split else ""
            raise InputError(
                f"{root}: found no image pairs{wanted}; expected folders named ir and vis that share file names"
            )
        for pair in found:
            pairs.setdefault((pair.ir.resolve(), pair.vis.resolve()), pair)
    return Discovery(tuple(pairs.values()), tuple(problems))


def _below(root: Path, split: Split | None, problems: list[str]) -> list[PathPair]:
    """Pair all couples of folders below one root."""
    if not root.is_dir():
        raise InputError(f"{root}: no such folder")
    couples: list[tuple[Path, str, str]] = []
    for folder, subfolders, _ in os.walk(root):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith(".") and _in_split(name, split))
        named = {name.lower(): name for name in subfolders}
        ir = next((named[name] for name in IR_FOLDERS if name in named), None)
        vis = next((named[name] for name in VIS_FOLDERS if name in named), None)
        if ir is None or vis is None:
            if ir is not None or vis is not None:
                problems.append(f"{folder}: has {ir or vis} but no {'visible' if ir else 'infrared'} folder beside it")
            continue
        couples.append((Path(folder), ir, vis))
    # Where some images are in the wanted split, those in no split at all (video clips, say) are not part of it.
    in_split = [couple for couple in couples if _names_split(couple[0].relative_to(root), split)]
    return [pair for couple in in_split or couples for pair in _couple(*couple, problems)]


def _couple(folder: Path, ir: str, vis: str, problems: list[str]) -> list[PathPair]:
    """Pair the files of one couple of folders; none at all is a problem, not the end."""
    try:
        pairing = pair_folders(folder / ir, folder / vis)
    except InputError as error:
        problems.append(str(error))
        return []
    problems += pairing.problems
    return [PathPair(f"{_prefix(folder)}/{pair.name}", pair.ir, pair.vis) for pair in pairing.pairs]


def _prefix(folder: Path) -> str:
    """``set/split`` of a folder: its own name, with its parent's where it is a split."""
    resolved = folder.resolve()
    return f"{resolved.parent.name}/{resolved.name}" if resolved.name.lower() in get_args(Split) else resolved.name


def _in_split(name: str, split: Split | None) -> bool:
    return split is None or name.lower() not in get_args(Split) or name.lower() == split


def _names_split(folder: Path, split: Split | None) -> bool:
    return any(part.lower() == split for part in folder.parts)


def require_split(name: str | None) -> Split | None:
    """Return a split's name if it is one, or say which there are."""
    for split in get_args(Split):
        if name == split:
            chosen: Split = split
            return chosen
    if name is None:
        return None
    raise UsageError(f"--split must be one of {', '.join(get_args(Split))}, not {name!r}")
