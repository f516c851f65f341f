"""The files of a study: pairs, their masks, and the fused images of each method."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgefuse.errors import InputError, UsageError
from edgefuse.pairs import IMAGE_SUFFIXES, PathPair, pair_folders

__all__ = ["Item", "Method", "find_fused", "find_items", "images_by_stem", "method_from_text"]


@dataclass(frozen=True)
class Item:
    """One scene: its sources and, where there is one, the mask of its targets."""

    name: str
    ir: Path
    vis: Path
    mask: Path | None = None


@dataclass(frozen=True)
class Method:
    """Something that fuses: either files that are there, or a model that makes them.

    Attributes:
        name: What tables call it.
        fused: Folder of fused images, or one file.
        model: Name or path of a model.
    """

    name: str
    fused: Path | None = None
    model: str | None = None

    def __post_init__(self) -> None:
        if (self.fused is None) == (self.model is None):
            raise UsageError(f"method {self.name} needs either fused images or a model")


def method_from_text(text: str) -> Method:
    """Read a method as typed, ``NAME=DIR``.

    Args:
        text: As in ``SeAFusion=results/seafusion``.

    Returns:
        The method.

    Raises:
        UsageError: No name or no folder.
    """
    name, separator, folder = text.partition("=")
    if not (name and separator and folder):
        raise UsageError(f"--method {text!r}: write NAME=DIR, as in SeAFusion=results/seafusion")
    return Method(name, fused=Path(folder))


def find_items(ir: Path, vis: Path, mask: Path | None = None) -> tuple[list[Item], list[str]]:
    """Pair the sources, two folders or two files, and look for masks.

    Args:
        ir: Folder of infrared images, or one image.
        vis: Folder of visible images, or one image.
        mask: Folder of masks named like the images, or one mask.

    Returns:
        The scenes in natural name order, and one line for each file without a partner.

    Raises:
        InputError: A path is missing, or nothing pairs up.
        UsageError: A folder and a file are mixed.
    """
    for option, path in (("--ir", ir), ("--vis", vis), ("--mask", mask)):
        if path is not None and not path.exists():
            raise InputError(f"{option} {path}: no such file or folder")
    if ir.is_dir() != vis.is_dir() or (mask is not None and mask.is_dir() != ir.is_dir()):
        raise UsageError(f"{ir} and {vis}{f' and {mask}' if mask else ''}: give only folders or only files")
    if not ir.is_dir():
        return [Item(vis.stem, ir, vis, mask)], []
    found = pair_folders(ir, vis)
    masks = images_by_stem(mask) if mask is not None else {}
    if mask is not None and not masks.keys() & {pair.name for pair in found.pairs}:
        raise InputError(f"no mask in {mask} is named like an image pair, as {found.pairs[0].name}.png would be")
    return [_item(pair, masks) for pair in found.pairs], list(found.problems)


def _item(pair: PathPair, masks: Mapping[str, Path]) -> Item:
    return Item(pair.name, pair.ir, pair.vis, masks.get(pair.name))


def find_fused(method: Method, items: Sequence[Item]) -> dict[str, Path]:
    """Find the fused image of each scene.

    Args:
        method: A method with files.
        items: The scenes.

    Returns:
        Files by scene name; a scene without one is not in it.

    Raises:
        InputError: The folder is missing, or holds none of the scenes.
    """
    folder = method.fused
    if folder is None or not folder.exists():
        raise InputError(f"{method.name}: {folder}: no such folder of fused images")
    if not folder.is_dir():
        if len(items) != 1:
            raise InputError(f"{method.name}: {folder} is one image, but there are {len(items)} scenes; give a folder")
        return {items[0].name: folder}
    files = images_by_stem(folder)
    found = {item.name: files[item.name] for item in items if item.name in files}
    if not found:
        raise InputError(f"{method.name}: no image in {folder} is named like a scene, as {items[0].name}.png would be")
    return found


def images_by_stem(folder: Path) -> dict[str, Path]:
    """Image files of a folder by stem; of two with one stem the first by name."""
    files: dict[str, Path] = {}
    for path in _images(folder.iterdir()):
        files.setdefault(path.stem, path)
    return files


def _images(paths: Iterable[Path]) -> list[Path]:
    return sorted(
        path
        for path in paths
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
