"""Methods against each other on a down-stream task."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgefuse.errors import InputError
from edgefuse.images import read_vis
from edgefuse.metrics.study.files import Method, images_by_stem
from edgefuse.metrics.study.tables import Table
from edgefuse.metrics.tasks.boxes import GroundTruth
from edgefuse.metrics.tasks.detection import Detections, DetectionScores, Detector, score_detections
from edgefuse.metrics.tasks.segmentation import Confusion, Segmenter

__all__ = ["common_images", "detect", "detection_table", "segment", "segmentation_table"]

_Done = Callable[[], None]


def common_images(methods: Sequence[Method], labelled: set[str] | None = None) -> tuple[list[str], list[str]]:
    """Find the images that every method has, so that all are judged on the same ones.

    Args:
        methods: Methods with folders of fused images.
        labelled: Names of the images with labels; None takes all images.

    Returns:
        Names in order, and one line for each image that is left out.

    Raises:
        InputError: A folder is missing, or no image is left.
    """
    files = {method.name: images_by_stem(_folder(method)) for method in methods}
    everywhere = set.intersection(*(set(found) for found in files.values()))
    chosen = everywhere if labelled is None else everywhere & labelled
    if not chosen:
        what = "no image has labels" if everywhere else "the methods have no image in common"
        raise InputError(f"{what}: labels and images are paired by file name without suffix")
    problems = [
        f"{name}: {image!r} is left out, {'other methods lack it' if image not in everywhere else 'it has no labels'}"
        for name, found in files.items()
        for image in sorted(found.keys() - chosen)
    ]
    return sorted(chosen), problems


def _folder(method: Method) -> Path:
    if method.fused is None or not method.fused.is_dir():
        raise InputError(f"{method.name}: {method.fused}: no such folder of fused images")
    return method.fused


def detect(
    methods: Sequence[Method], images: Sequence[str], detector: Detector, truth: GroundTruth, *, on_image: _Done
) -> dict[str, DetectionScores]:
    """Run a detector over every method's images and score it.

    Where the labels and the graph both name their classes and share a name, classes are matched by name, otherwise by
    index.

    Args:
        methods: Methods with folders.
        images: Names of the images.
        detector: The detector.
        truth: The labels.
        on_image: Called after each image.

    Returns:
        Scores by method.

    Raises:
        InputError: No image is named like a label.
    """
    if not truth.boxes.keys() & set(images):
        raise InputError(f"no label is named like an image, as {images[0]} would be")
    classes = sorted({box.label for image in images for box in truth.boxes.get(image, ())})
    label_of = _label_of(detector.names, truth.names)
    scores = {}
    for method in methods:
        files = images_by_stem(_folder(method))
        detections: dict[str, Detections] = {}
        sizes = {}
        for image in images:
            picture = read_vis(files[image])
            sizes[image] = picture.shape[0], picture.shape[1]
            detections[image] = _relabelled(detector(picture), label_of)
            on_image()
        scores[method.name] = score_detections(detections, sizes, truth, classes=classes)
    return scores


def _label_of(found: Mapping[int, str], labelled: Mapping[int, str]) -> dict[int, int] | None:
    """The label of each class of the detector; None where classes are matched by index."""
    index = {name.lower(): label for label, name in labelled.items()}
    shared = {place: index[name.lower()] for place, name in found.items() if name.lower() in index}
    return shared or None


def _relabelled(found: Detections, label_of: Mapping[int, int] | None) -> Detections:
    if label_of is None:
        return found
    kept = found[[int(label) in label_of for label in found[:, 5]]].copy()
    kept[:, 5] = [label_of[int(label)] for label in kept[:, 5]]
    return kept


def detection_table(scores: Mapping[str, DetectionScores], names: Mapping[int, str], *, remark: str) -> Table:
    """Methods by average precision.

    Args:
        scores: By method, all over the same classes.
        names: Class names by index.
        remark: The line under the table.

    Returns:
        mAP@.5, mAP@.5:.95, and AP@.5 of every class.
    """
    classes = list(next(iter(scores.values())).ap50)
    rows = tuple(
        (method, (score.map50, score.map50_95, *(score.ap50[label] for label in classes)))
        for method, score in scores.items()
    )
    columns = ("mAP@.5", "mAP@.5:.95", *(names.get(label, str(label)) for label in classes))
    return Table("method", columns, rows, (remark,), marked=len(rows) > 1)


def segment(
    methods: Sequence[Method],
    images: Sequence[str],
    segmenter: Segmenter,
    labels: Mapping[str, Path],
    *,
    classes: int,
    ignore: int,
    on_image: _Done,
) -> dict[str, Confusion]:
    """Run a segmenter over every method's images and count its hits.

    Args:
        methods: Methods with folders.
        images: Names of the images.
        segmenter: The segmenter.
        labels: Label maps by image name: gray images whose levels are class indices.
        classes: Number of classes.
        ignore: Level of pixels that do not count.
        on_image: Called after each image.

    Returns:
        Counts by method.

    Raises:
        InputError: A label map is no gray image, or of another size than its image.
    """
    counted = {}
    for method in methods:
        files, confusion = images_by_stem(_folder(method)), Confusion(classes, ignore=ignore)
        for image in images:
            picture, label_map = read_vis(files[image]), _label_map(labels[image])
            if label_map.shape != picture.shape[:2]:
                sizes = [f"{side.shape[1]}x{side.shape[0]}" for side in (picture, label_map)]
                raise InputError(f"{files[image]} is {sizes[0]}, {labels[image]} is {sizes[1]}: sizes must be equal")
            try:
                confusion.add(label_map, segmenter(picture))
            except InputError as error:
                raise InputError(f"{labels[image]}: {error}") from error
            on_image()
        counted[method.name] = confusion
    return counted


def _label_map(path: Path) -> NDArray[np.uint8]:
    labels = read_vis(path)
    if labels.ndim == 3:
        if not (np.array_equal(labels[..., 0], labels[..., 1]) and np.array_equal(labels[..., 0], labels[..., 2])):
            raise InputError(f"{path}: a label map is a gray image of class indices, this one is a colour picture")
        labels = np.ascontiguousarray(labels[..., 0])
    return labels


def segmentation_table(counted: Mapping[str, Confusion], names: Sequence[str], *, remark: str) -> Table:
    """Methods by intersection over union.

    Args:
        counted: Counts by method.
        names: Class names, one a class.
        remark: The line under the table.

    Returns:
        mIoU, and IoU of every class that is labelled or found anywhere.
    """
    values = {method: confusion.intersection_over_union() for method, confusion in counted.items()}
    shown = [index for index in range(len(names)) if any(not math.isnan(row[index]) for row in values.values())]
    rows = tuple((method, (counted[method].mean(), *(row[index] for index in shown))) for method, row in values.items())
    return Table("method", ("mIoU", *(names[index] for index in shown)), rows, (remark,), marked=len(rows) > 1)
