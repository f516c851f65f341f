"""Segmentation of fused images: an ONNX segmenter against label maps, intersection over union by class."""

from __future__ import annotations

import math
import os
from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from edgefuse.errors import ArtifactError, InputError, UsageError
from edgefuse.metrics.tasks.graph import ImageGraph

__all__ = ["Confusion", "Normalisation", "Segmenter"]

Normalisation = Literal["unit", "imagenet"]
"""What the network was trained on: RGB in [0, 1], or that with ImageNet's mean taken off and over its deviation."""

_IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_IMAGENET_DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)


class Segmenter:
    """An ONNX segmenter on 8-bit images.

    Args:
        path: The ``.onnx`` file. Its first output is [1, C, H, W] scores, or labels of shape [1, H, W] or [1, 1, H, W].
        normalisation: What the network expects.
        device: ``"cpu"`` or ``"cuda"``.

    Raises:
        ArtifactError: The file is no segmenter.
        UsageError: Another normalisation.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, normalisation: Normalisation = "imagenet", device: str = "cpu"
    ) -> None:
        if normalisation not in get_args(Normalisation):
            raise UsageError(
                f"normalisation must be one of {', '.join(get_args(Normalisation))}, not {normalisation!r}"
            )
        self.graph = ImageGraph(path, device=device)
        self._normalisation = normalisation

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Label every pixel.

        Args:
            image: ``(H, W)`` or ``(H, W, 3)`` BGR.

        Returns:
            Class indices.  # [H, W]
        """
        height, width = image.shape[:2]
        colour = image if image.ndim == 3 else np.dstack([image] * 3)
        if self.graph.imgsz is not None:
            colour = np.asarray(cv2.resize(colour, self.graph.imgsz[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)
        rgb = colour[..., ::-1].astype(np.float32) / np.float32(255)
        if self._normalisation == "imagenet":
            rgb = (rgb - _IMAGENET_MEAN) / _IMAGENET_DEVIATION
        output = self.graph.infer(np.ascontiguousarray(rgb.transpose(2, 0, 1)[None]))[0]
        return self._labels(output, (width, height))

    def _labels(self, output: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.int64]:
        if output.ndim == 4 and output.shape[1] > 1:
            # Scores are brought to the size of the image before they are compared: edges come out finer.
            planes = [cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR) for plane in output[0].astype(np.float32)]
            return np.asarray(np.argmax(np.stack(planes), axis=0), np.int64)
        if output.ndim == 3 or (output.ndim == 4 and output.shape[1] == 1):
            labels = output.reshape(output.shape[-2:]).astype(np.int32)
            return np.asarray(cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST), np.int64)
        raise ArtifactError(
            f"{self.graph.path}: a segmenter's output has shape [1, C, H, W] or [1, H, W], this one {output.shape}"
        )


class Confusion:
    """Counts of labelled against found classes, over any number of images.

    Args:
        classes: Number of classes.
        ignore: Label of pixels that do not count.
    """

    def __init__(self, classes: int, *, ignore: int = 255) -> None:
        if classes < 1:
            raise UsageError(f"a segmentation needs at least one class, not {classes}")
        self.counts = np.zeros((classes, classes), np.int64)
        self._outside = np.zeros(classes, np.int64)
        self._ignore = ignore

    def add(self, labels: NDArray[np.integer], found: NDArray[np.integer]) -> None:
        """Count one image.

        Args:
            labels: True classes.  # [H, W]
            found: Found classes; those outside of the known ones count as wrong.  # [H, W]

        Raises:
            InputError: Sizes differ, or a label is neither a class nor ignored.
        """
        if labels.shape != found.shape:
            raise InputError(f"labels have shape {labels.shape}, found classes {found.shape}: they must be equal")
        classes = len(self.counts)
        counted = labels != self._ignore
        true, guess = labels[counted].astype(np.int64), found[counted].astype(np.int64)
        if true.size and (true.min() < 0 or true.max() >= classes):
            raise InputError(f"label {int(true.max())} is none of the {classes} classes; raise the number or ignore it")
        # One more column takes the guesses that are no class, so that they stay errors of the true class.
        guess = np.where((guess >= 0) & (guess < classes), guess, classes)
        cells = np.bincount(true * (classes + 1) + guess, minlength=classes * (classes + 1))
        table = cells.reshape(classes, classes + 1)
        self.counts += table[:, :classes]
        self._outside += table[:, classes]

    def intersection_over_union(self) -> list[float]:
        """IoU by class; NaN for a class that is neither labelled nor found."""
        hit = np.diag(self.counts)
        union = self.counts.sum(axis=0) + self.counts.sum(axis=1) + self._outside - hit
        return [float(h / u) if u else math.nan for h, u in zip(hit, union, strict=True)]

    def mean(self) -> float:
        """Mean IoU over the classes that are labelled or found; NaN where there is none."""
        defined = [value for value in self.intersection_over_union() if not math.isnan(value)]
        return sum(defined) / len(defined) if defined else math.nan
