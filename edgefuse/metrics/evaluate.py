"""Scores of one fused image."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from edgefuse.errors import InputError
from edgefuse.metrics.conventions import Convention, ConventionName, Formula, find_convention
from edgefuse.metrics.gray import Gray, check_image, to_gray
from edgefuse.metrics.scene import Scene, UndefinedError

__all__ = ["Scores", "evaluate"]


class Scores(dict[str, float]):
    """Metric values by name, with what is needed to read them.

    Attributes:
        convention: Name of the convention.
        reasons: Why a value is NaN, by metric.
    """

    def __init__(self, values: Mapping[str, float], *, convention: str, reasons: Mapping[str, str]) -> None:
        super().__init__(values)
        self.convention = convention
        self.reasons = dict(reasons)


def evaluate(
    fused: NDArray[np.uint8],
    ir: NDArray[np.uint8],
    vis: NDArray[np.uint8],
    *,
    metrics: Iterable[str] | None = None,
    convention: ConventionName = "default",
) -> Scores:
    """Score a fused image against its sources.

    Colour is turned into gray by the rule of the convention, in all three images; ``vifb_rgb`` alone scores each
    channel. A value that is not defined for these images (constant images, fused equal to a source, images smaller
    than a window) is NaN, and :attr:`Scores.reasons` says why.

    Args:
        fused: Fused image, ``(H, W)`` or ``(H, W, 3)`` BGR uint8.
        ir: Infrared image, likewise.
        vis: Visible image, likewise.
        metrics: Names, or None for all of the convention.
        convention: Which formulas; see :data:`edgefuse.metrics.CONVENTIONS`.

    Returns:
        A dict of the values, with the reasons of the undefined ones.

    Raises:
        InputError: An image that is not 8-bit, or sizes that differ.
        UsageError: An unknown convention, or a metric that it does not define.

    Example:
        >>> import numpy as np
        >>> from edgefuse.metrics import evaluate
        >>> image = np.arange(4096, dtype=np.uint8).reshape(64, 64)
        >>> evaluate(image, image, image, metrics=["EN", "SCD"])["EN"]
        8.0
        >>> evaluate(image, image, image, metrics=["SCD"]).reasons["SCD"]
        'fused minus vis is constant'
    """
    rules = find_convention(convention)
    formulas = rules.choose(metrics)
    _check(fused, ir, vis)
    scenes, wide = _scenes(fused, ir, vis, rules)
    values, reasons = {}, {}
    for name, formula in formulas.items():
        try:
            values[name] = _value(formula, [wide] if formula.side_by_side else scenes)
        except UndefinedError as error:
            values[name] = math.nan
            reasons[name] = str(error)
    return Scores(values, convention=rules.name, reasons=reasons)


def _value(formula: Formula, scenes: list[Scene]) -> float:
    return sum(formula.compute(scene) for scene in scenes) / len(scenes)


def _check(fused: NDArray[np.uint8], ir: NDArray[np.uint8], vis: NDArray[np.uint8]) -> None:
    images = {"fused": fused, "ir": ir, "vis": vis}
    for name, image in images.items():
        check_image(image, name)
    height, width = fused.shape[:2]
    for name, image in images.items():
        if image.shape[:2] != (height, width):
            raise InputError(
                f"fused is {width}x{height}, {name} is {image.shape[1]}x{image.shape[0]}: sizes must be equal"
            )


def _scenes(
    fused: NDArray[np.uint8], ir: NDArray[np.uint8], vis: NDArray[np.uint8], rules: Convention
) -> tuple[list[Scene], Scene]:
    """The scenes to average over, and the one for formulas that want the channels side by side."""
    gray = Scene(*(to_gray(image, rules.gray) for image in (fused, ir, vis)))
    if not rules.per_channel or fused.ndim == 2:
        return [gray], gray
    ir_plane = gray.plane("ir")
    planes = [(_channel(fused, index), ir_plane, _channel(vis, index)) for index in (2, 1, 0)]  # red first
    fused_wide, ir_wide, vis_wide = (np.hstack(images) for images in zip(*planes, strict=True))
    return [Scene(*plane) for plane in planes], Scene(fused_wide, ir_wide, vis_wide)


def _channel(image: NDArray[np.uint8], index: int) -> Gray:
    return image if image.ndim == 2 else np.ascontiguousarray(image[..., index])
