"""Detection on fused images: an ONNX detector, and mean average precision by pycocotools."""

from __future__ import annotations

import contextlib
import io
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any, Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from edgefuse.errors import ArtifactError, MissingDependencyError, UsageError
from edgefuse.metrics.tasks.boxes import GroundTruth
from edgefuse.metrics.tasks.graph import ImageGraph

__all__ = ["DetectionScores", "Detections", "Detector", "DetectorLayout", "require_pycocotools", "score_detections"]

DetectorLayout = Literal["auto", "yolov8", "yolov5", "boxes"]
"""What the output holds. ``yolov8``: [1, 4 + C, N] centre boxes and class scores; ``yolov5``: [1, N, 5 + C] centre
boxes, objectness and class scores; ``boxes``: [1, N, 6] corners, score and class, suppressed; ``auto``: by shape."""

Detections = NDArray[np.float32]
"""Corner boxes in pixels of the image, score, class.  # [N, 6]"""

_PADDING_LEVEL = 114  # the gray that YOLO networks are trained to see around an image
_MOST_DETECTIONS = 300


class Detector:
    """An ONNX detector on 8-bit images.

    Args:
        path: The ``.onnx`` file; its input is RGB in [0, 1].
        layout: What its output holds.
        imgsz: Side of the square input where the graph fixes none.
        score_threshold: Weaker detections are dropped; low, since precision is averaged over all recalls.
        overlap_threshold: Of two boxes of one class that overlap more than this, the weaker one is dropped.
        device: ``"cpu"`` or ``"cuda"``.

    Raises:
        ArtifactError: The file is no detector.
        UsageError: Another layout.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        layout: DetectorLayout = "auto",
        imgsz: int = 640,
        score_threshold: float = 0.001,
        overlap_threshold: float = 0.7,
        device: str = "cpu",
    ) -> None:
        if layout not in get_args(DetectorLayout):
            raise UsageError(f"layout must be one of {', '.join(get_args(DetectorLayout))}, not {layout!r}")
        self.graph = ImageGraph(path, device=device)
        self._layout = layout
        self._size = self.graph.imgsz or (imgsz, imgsz)
        self._score_threshold = score_threshold
        self._overlap_threshold = overlap_threshold

    def __call__(self, image: NDArray[np.uint8]) -> Detections:
        """Find objects.

        Args:
            image: ``(H, W)`` or ``(H, W, 3)`` BGR.

        Returns:
            Corner boxes in pixels of the image, score, class; strongest first.  # [N, 6]
        """
        canvas, scale, left, top = _letterbox(image, self._size)
        tensor = np.ascontiguousarray(canvas[..., ::-1].transpose(2, 0, 1)[None], dtype=np.float32) / np.float32(255)
        found, is_suppressed = self._decode(self.graph.infer(tensor)[0])
        found = found[found[:, 4] >= self._score_threshold]
        found = found[np.argsort(-found[:, 4], kind="stable")]
        if not is_suppressed:
            found = _suppress(found, self._overlap_threshold)
        found = found[:_MOST_DETECTIONS].copy()
        found[:, [0, 2]] = ((found[:, [0, 2]] - left) / scale).clip(0, image.shape[1])
        found[:, [1, 3]] = ((found[:, [1, 3]] - top) / scale).clip(0, image.shape[0])
        return found

    @property
    def names(self) -> Mapping[int, str]:
        """Class names that the exporter left in the file."""
        return self.graph.names

    def _decode(self, output: NDArray[np.float32]) -> tuple[Detections, bool]:
        """Corner boxes in pixels of the input, and whether overlaps are gone already."""
        if output.ndim != 3 or output.shape[0] != 1 or min(output.shape) == 0:
            raise ArtifactError(f"{self.graph.path}: a detector's output has shape [1, N, K], this one {output.shape}")
        layout = self._layout
        if layout == "auto":
            layout = "boxes" if output.shape[2] == 6 else "yolov8" if output.shape[1] < output.shape[2] else "yolov5"
        if layout == "boxes":
            if output.shape[2] != 6:
                raise ArtifactError(f"{self.graph.path}: layout boxes needs [1, N, 6], the output is {output.shape}")
            return output[0], True
        rows = output[0].T if layout == "yolov8" else output[0]  # [N, 4 + C] or [N, 5 + C]
        first = 4 if layout == "yolov8" else 5
        if rows.shape[1] <= first:
            raise ArtifactError(f"{self.graph.path}: layout {layout} does not fit an output of shape {output.shape}")
        scores = rows[:, first:] * (rows[:, 4:5] if layout == "yolov5" else np.float32(1))
        label = scores.argmax(axis=1)
        half = rows[:, 2:4] / 2
        parts = (rows[:, :2] - half, rows[:, :2] + half, scores.max(axis=1)[:, None], label[:, None])
        return np.concatenate(parts, axis=1, dtype=np.float32), False


def _letterbox(image: NDArray[np.uint8], size: tuple[int, int]) -> tuple[NDArray[np.uint8], float, float, float]:
    """Scale an image into a size with its aspect kept, gray around it; also the scale and the offsets."""
    height, width = image.shape[:2]
    scale = min(size[0] / height, size[1] / width)
    inner = (max(round(width * scale), 1), max(round(height * scale), 1))
    colour = image if image.ndim == 3 else np.dstack([image] * 3)
    small = cv2.resize(colour, inner, interpolation=cv2.INTER_LINEAR if scale > 1 else cv2.INTER_AREA)
    left, top = (size[1] - inner[0]) // 2, (size[0] - inner[1]) // 2
    canvas = np.full((*size, 3), _PADDING_LEVEL, np.uint8)
    canvas[top : top + inner[1], left : left + inner[0]] = small
    return canvas, scale, float(left), float(top)


def _suppress(found: Detections, overlap_threshold: float) -> Detections:
    """Keep of overlapping boxes of one class the strongest; ``found`` is sorted by score."""
    area = (found[:, 2] - found[:, 0]) * (found[:, 3] - found[:, 1])
    alive = np.ones(len(found), bool)
    kept: list[int] = []
    for index in range(len(found)):
        if not alive[index]:
            continue
        kept.append(index)
        if len(kept) == _MOST_DETECTIONS:
            break
        near = np.maximum(found[index, :2], found[:, :2])
        far = np.minimum(found[index, 2:4], found[:, 2:4])
        shared = np.prod(np.maximum(far - near, 0), axis=1)
        overlap = shared / np.maximum(area[index] + area - shared, 1e-9)
        alive &= (overlap <= overlap_threshold) | (found[:, 5] != found[index, 5])
    return found[kept]


@dataclass(frozen=True)
class DetectionScores:
    """Average precisions in [0, 1].

    Attributes:
        map50: Mean over the classes at an overlap of 0.5.
        map50_95: Mean over the classes and overlaps 0.5, 0.55, ..., 0.95.
        ap50: By class index at an overlap of 0.5; NaN for a class without labelled boxes.
    """

    map50: float
    map50_95: float
    ap50: Mapping[int, float]


def score_detections(
    detections: Mapping[str, Detections],
    sizes: Mapping[str, tuple[int, int]],
    truth: GroundTruth,
    *,
    classes: Sequence[int] | None = None,
) -> DetectionScores:
    """Hold detections against labels with pycocotools.

    Args:
        detections: By image name.
        sizes: Height and width by image name.
        truth: Labels; images that are not in ``detections`` are left out.
        classes: Class indices; None takes every class that has a labelled box.

    Returns:
        The scores, at most 100 detections an image as COCO counts.

    Raises:
        MissingDependencyError: pycocotools is not installed.
    """
    labels = {box.label for name in detections for box in truth.boxes.get(name, ())}
    chosen = sorted(labels) if classes is None else list(classes)
    coco, evaluator = require_pycocotools()
    # pycocotools reports on stdout, which belongs to the results.
    with contextlib.redirect_stdout(io.StringIO()):
        reference = coco.COCO()
        reference.dataset = _coco_dataset(detections, sizes, truth, chosen)
        reference.createIndex()
        results = _coco_results(detections, chosen)
        if not results:
            nothing = {label: 0.0 if label in labels else math.nan for label in chosen}
            mean = _mean(np.array(list(nothing.values())))
            return DetectionScores(mean, mean, nothing)
        evaluation = evaluator.COCOeval(reference, reference.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    precision = np.asarray(evaluation.eval["precision"])[:, :, :, 0, -1]  # [overlaps, recalls, classes]
    defined = np.where(precision > -1, precision, np.nan)
    ap50 = {label: _mean(defined[0, :, place]) for place, label in enumerate(chosen)}
    return DetectionScores(_mean(defined[0]), _mean(defined), ap50)


def _mean(values: NDArray[np.float64]) -> float:
    held = values[~np.isnan(values)]
    return float(held.mean()) if held.size else math.nan


def _coco_dataset(
    detections: Mapping[str, Detections],
    sizes: Mapping[str, tuple[int, int]],
    truth: GroundTruth,
    classes: Sequence[int],
) -> dict[str, Any]:
    annotations: list[dict[str, Any]] = []
    for image_id, name in enumerate(detections, 1):
        height, width = sizes[name] if truth.is_relative else (1, 1)
        for box in truth.boxes.get(name, ()):
            if box.label not in classes:
                continue
            corner = [box.left * width, box.top * height, box.width * width, box.height * height]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": box.label,
                    "bbox": corner,
                    "area": corner[2] * corner[3],
                    "iscrowd": int(box.is_crowd),
                }
            )
    return {
        "info": {},
        "images": [{"id": image_id} for image_id, _ in enumerate(detections, 1)],
        "annotations": annotations,
        "categories": [{"id": label} for label in classes],
    }


def _coco_results(detections: Mapping[str, Detections], classes: Sequence[int]) -> list[dict[str, Any]]:
    return [
        {
            "image_id": image_id,
            "category_id": int(label),
            "bbox": [float(left), float(top), float(right - left), float(bottom - top)],
            "score": float(score),
        }
        for image_id, found in enumerate(detections.values(), 1)
        for left, top, right, bottom, score, label in found
        if int(label) in classes
    ]


def require_pycocotools() -> tuple[ModuleType, ModuleType]:
    """Import pycocotools.

    Returns:
        Its modules ``coco`` and ``cocoeval``.

    Raises:
        MissingDependencyError: It is not installed.
    """
    try:
        return import_module("pycocotools.coco"), import_module("pycocotools.cocoeval")
    except ImportError as error:
        raise MissingDependencyError.for_package(
            "pycocotools", extra="eval", purpose="compute mean average precision"
        ) from error
