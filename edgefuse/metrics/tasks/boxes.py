"""Labelled boxes: COCO JSON and YOLO text files."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgefuse.errors import InputError

__all__ = ["GroundTruth", "LabelledBox", "read_coco", "read_ground_truth", "read_yolo"]


@dataclass(frozen=True)
class LabelledBox:
    """A box of one class.

    Attributes:
        label: Index of the class.
        left, top, width, height: In pixels, or in shares of the image where ``is_relative``.
        is_crowd: Covers a group; finding it counts neither for nor against a detector.
    """

    label: int
    left: float
    top: float
    width: float
    height: float
    is_crowd: bool = False


@dataclass(frozen=True)
class GroundTruth:
    """Labelled boxes of every image.

    Attributes:
        boxes: By image name without suffix; an image without objects has an empty list.
        names: Class names by index, where the labels have them.
        is_relative: Boxes are shares of the image's width and height, not pixels.
    """

    boxes: Mapping[str, Sequence[LabelledBox]]
    names: Mapping[int, str]
    is_relative: bool


def read_ground_truth(path: Path) -> GroundTruth:
    """Read labels: a COCO JSON file, or a folder of YOLO text files.

    Args:
        path: The file or the folder.

    Returns:
        The boxes.

    Raises:
        InputError: Neither, or damaged.
    """
    if path.is_dir():
        return read_yolo(path)
    if path.is_file() and path.suffix == ".json":
        return read_coco(path)
    raise InputError(f"{path}: give a COCO .json file or a folder of YOLO .txt files")


def read_coco(path: Path) -> GroundTruth:
    """Read a COCO annotation file; its categories, in order of their ids, become classes 0, 1, ...

    Args:
        path: The ``.json`` file.

    Returns:
        The boxes in pixels.

    Raises:
        InputError: The file is damaged or lacks images, annotations or categories.
    """
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        categories = sorted(data["categories"], key=lambda item: int(item["id"]))
        index = {int(item["id"]): place for place, item in enumerate(categories)}
        stems = {item["id"]: Path(item["file_name"]).stem for item in data["images"]}
        boxes: dict[str, list[LabelledBox]] = {stem: [] for stem in stems.values()}
        for item in data["annotations"]:
            left, top, width, height = (float(number) for number in item["bbox"])
            box = LabelledBox(index[int(item["category_id"])], left, top, width, height, bool(item.get("iscrowd", 0)))
            boxes[stems[item["image_id"]]].append(box)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: no COCO annotation file ({type(error).__name__}: {error})") from error
    return GroundTruth(boxes, {place: str(item["name"]) for place, item in enumerate(categories)}, is_relative=False)


def read_yolo(folder: Path) -> GroundTruth:
    """Read YOLO labels: one text file an image, lines of ``class x_centre y_centre width height`` in [0, 1].

    Args:
        folder: Folder of ``.txt`` files, named like the images.

    Returns:
        The boxes in shares of the image.

    Raises:
        InputError: No file, or a line that is none of these.
    """
    files = sorted(path for path in folder.glob("*.txt") if path.name != "classes.txt")
    if not files:
        raise InputError(f"{folder}: no YOLO .txt file")
    classes = folder / "classes.txt"
    names = dict(enumerate(classes.read_text(encoding="utf-8").split("\n"))) if classes.is_file() else {}
    names = {index: name.strip() for index, name in names.items() if name.strip()}
    return GroundTruth({path.stem: _yolo_boxes(path) for path in files}, names, is_relative=True)


def _yolo_boxes(path: Path) -> list[LabelledBox]:
    boxes = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        fields = line.split()
        if not fields:
            continue
        try:
            label, (x, y, width, height) = int(fields[0]), (float(field) for field in fields[1:5])
        except ValueError as error:
            raise InputError(f"{path}, line {number}: needs 'class x y width height', has {line!r}") from error
        if label < 0 or not all(math.isfinite(value) and 0 <= value <= 1 for value in (x, y, width, height)):
            raise InputError(f"{path}, line {number}: class must be at least 0 and numbers in [0, 1], has {line!r}")
        boxes.append(LabelledBox(label, x - width / 2, y - height / 2, width, height))
    return boxes
