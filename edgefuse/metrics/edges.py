"""Metrics of how the edges of the sources survive: Qabf and Qg (Xydeas, Petrovic 2000), Nabf (Kumar 2013)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from edgefuse.metrics.scene import SOURCES, ImageName, Real, Scene, UndefinedError, sum_of_products

__all__ = ["edge_artifacts", "edge_preservation", "edge_preservation_mean"]


@dataclass(frozen=True)
class _Edges:
    """Sobel strength and orientation of one image."""

    strength: Real
    angle: Real


def edge_preservation(scene: Scene, *, unit_range: bool = False) -> float:
    """Qabf: preserved edge strength and orientation, weighted by the edge strength of each source.

    The formula is that of the common code, which differs from the paper in two points: where source and fused have the
    same strength, that strength is taken for their ratio in place of 1, and the difference of orientations does not
    wrap around. Identical images give 0.9753.

    Args:
        scene: The images.
        unit_range: Images in [0, 1] in place of 0..255, a bug of ``linfeng2022``: the rule for equal strengths is
            harmless for integers, where it saturates the sigmoid, and wrong on [0, 1]. Which strengths are equal then
            depends on the order of floating-point sums; here it is MATLAB's.

    Returns:
        0 to 0.9874.

    Raises:
        UndefinedError: Both sources are constant, so that there is no edge to preserve.
    """
    _require_edges(scene)
    fused = _sobel(scene, "fused", unit_range)
    kept = weight = 0.0
    for source in SOURCES:
        edges = _sobel(scene, source, unit_range)
        ratio = _strength_ratio(edges.strength, fused.strength, where_equal=fused.strength)
        agreement = 1.0 - np.abs(edges.angle - fused.angle) * (2.0 / math.pi)
        quality = 0.9994 * 0.9879 / (_sigmoid_base(ratio, 15.0, 0.5) * _sigmoid_base(agreement, 22.0, 0.8))
        kept += sum_of_products(quality, edges.strength)
        weight += float(edges.strength.sum())
    return kept / weight


def _strength_ratio(source: Real, fused: Real, *, where_equal: Real) -> Real:
    """Smaller strength over larger one."""
    ratio = where_equal.copy()
    smaller, larger = np.minimum(source, fused), np.maximum(source, fused)
    np.divide(smaller, larger, out=ratio, where=smaller != larger)
    return ratio


def _sigmoid_base(values: Real, slope: float, centre: float) -> Real:
    """What a sigmoid divides by: ``1 + exp(-slope (x - centre))``."""
    base = np.exp(-slope * (values - centre))
    base += 1.0
    return base


def _sobel(scene: Scene, name: ImageName, unit_range: bool) -> _Edges:
    """Edges with zero padding; the angle is ``atan(gy / gx)`` of ``conv2``, pi/2 where gx is 0."""
    gx, gy = _matlab_sobel(scene.real(name) / 255.0) if unit_range else _sobel_rows_up(scene, name)
    with np.errstate(divide="ignore", invalid="ignore"):
        angle = np.arctan(gy / gx)
    angle[gx == 0] = math.pi / 2
    return _Edges(np.sqrt(gx * gx + gy * gy), angle)


def _sobel_rows_up(scene: Scene, name: ImageName) -> tuple[Real, Real]:
    """Exact derivatives to the right and up the rows, with zero padding."""
    image = scene.plane(name)
    gx = cv2.Sobel(image, cv2.CV_64F, 1, 0, borderType=cv2.BORDER_CONSTANT)
    gy = cv2.Sobel(image, cv2.CV_64F, 0, 1, scale=-1, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(gx), np.asarray(gy)


def _matlab_sobel(image: Real) -> tuple[Real, Real]:
    """Derivatives left and down, as ``conv2`` has them, summed as it does: columns outer, rows inner, both from the
    last, since convolution flips its kernel."""
    padded = np.pad(image, 1)
    height, width = image.shape
    gx, gy = np.zeros_like(image), np.zeros_like(image)
    smooth, slope = (1.0, 2.0, 1.0), (1.0, 0.0, -1.0)
    for column in (2, 1, 0):
        for row in (2, 1, 0):
            part = padded[row : row + height, column : column + width]
            if slope[column]:
                gx += smooth[row] * slope[column] * part
            if slope[row]:
                gy -= smooth[column] * slope[row] * part
    return gx, gy


def edge_preservation_mean(scene: Scene) -> float:
    """Qg: the measure of Xydeas and Petrovic as in ``metricXydeas.m``; not comparable with Qabf.

    Other sigmoid constants, orientations that wrap around, no rule for equal strengths (zeros become 1e-5), and the
    mean over pixels of the weighted quality in place of a ratio of sums.

    Args:
        scene: The images.

    Returns:
        0 to 1.

    Raises:
        UndefinedError: Both sources are constant, so that there is no edge to preserve.
    """
    _require_edges(scene)
    fused_strength, fused_angle = _xydeas_edges(scene, "fused")
    above: Real = np.zeros(())
    below: Real = np.zeros(())
    for source in SOURCES:
        strength, angle = _xydeas_edges(scene, source)
        stronger = strength > fused_strength
        strength = np.where(strength == 0, 1e-5, strength)
        kept = fused_strength / strength
        # As in the original the zeros of the fused strength are replaced here: after its first use, before its second.
        fused_strength = np.where(fused_strength == 0, 1e-5, fused_strength)
        ratio = np.where(stronger, kept, strength / fused_strength)
        agreement = np.abs(np.abs(angle - fused_angle) - math.pi / 2) * (2.0 / math.pi)
        above = above + strength / (_sigmoid_base(ratio, 10.0, 0.5) * _sigmoid_base(agreement, 20.0, 0.75))
        below = below + strength
    return float((above / below).mean())


def _xydeas_edges(scene: Scene, name: ImageName) -> tuple[Real, Real]:
    gx, up = _sobel_rows_up(scene, name)
    return np.sqrt(gx * gx + up * up), np.arctan(-up / np.where(gx == 0, 1e-5, gx))


def edge_artifacts(
    scene: Scene,
    *,
    unit_range: bool = False,
    weak_weight: float = 0.001,
    judged: Literal["fused", "ir"] = "fused",
) -> float:
    """Nabf: edges of the fused image that no source has, after Petrovic, modified by Kumar (2013); lower is better.

    Args:
        scene: The images.
        unit_range: Images in [0, 1] in place of 0..255, a bug of ``linfeng2022``: no edge reaches the threshold of 2,
            so that every pixel weighs the same.
        weak_weight: Weight of a source edge under that threshold; ``ivifzoo`` has 0.
        judged: ``"ir"`` reproduces a bug of ``linfeng2023``, which passes (ir, vis, fused) where (fused, ir, vis) is
            expected: the infrared image is judged as the fusion of the other two.

    Returns:
        From 0.

    Raises:
        UndefinedError: No source edge has any weight, or a side under 2 pixels.
    """
    if min(scene.height, scene.width) < 2:
        raise UndefinedError("Nabf needs 2 pixels a side")
    names: tuple[ImageName, ImageName, ImageName] = (
        ("fused", "ir", "vis") if judged == "fused" else ("ir", "vis", "fused")
    )
    fused, *sources = (_kumar_edges(scene, name, unit_range) for name in names)
    added = (fused.strength > sources[0].strength) & (fused.strength > sources[1].strength)
    artifacts = weight_sum = 0.0
    for edges in sources:
        weight = np.where(edges.strength >= 2.0, edges.strength**1.5, weak_weight)
        weight_sum += float(weight.sum())
        artifacts += float(((1.0 - _kumar_quality(edges, fused)) * weight)[added].sum())
    if weight_sum == 0:
        raise UndefinedError("no source has an edge above the threshold")
    return artifacts / weight_sum


def _kumar_quality(source: _Edges, fused: _Edges) -> Real:
    nothing = np.where(source.strength > 0, 1.0, 0.0)
    ratio = _strength_ratio(source.strength, fused.strength, where_equal=nothing)
    agreement = np.abs(np.abs(source.angle - fused.angle) - math.pi / 2) * (2.0 / math.pi)
    quality: Real = np.sqrt(0.9999 * 0.9995 / (_sigmoid_base(ratio, 19.0, 0.5) * _sigmoid_base(agreement, 22.0, 0.5)))
    return quality


def _kumar_edges(scene: Scene, name: ImageName, unit_range: bool) -> _Edges:
    """Sobel over 8 with mirrored borders; the angle is ``atan(gv / gh)``, 0 where both are 0.

    On [0, 1] the order of the sums decides which strengths are equal: down each column of the window, then across.
    """
    image = scene.real(name) / 255.0 if unit_range else scene.real(name)
    padded = np.pad(image, 1, mode="reflect")
    above, middle, below = padded[:-2], padded[1:-1], padded[2:]  # each [H, W + 2]
    column_sum, column_step = above + 2.0 * middle + below, below - above
    gv = (column_sum[:, 2:] - column_sum[:, :-2]) / 8.0
    gh = (column_step[:, :-2] + 2.0 * column_step[:, 1:-1] + column_step[:, 2:]) / 8.0
    with np.errstate(divide="ignore", invalid="ignore"):
        angle = np.arctan(gv / gh)
    angle[(gv == 0) & (gh == 0)] = 0.0
    return _Edges(np.sqrt(gh * gh + gv * gv), angle)


def _require_edges(scene: Scene) -> None:
    if all(scene.is_constant(source) for source in SOURCES):
        raise UndefinedError("both sources are constant: there is no edge to preserve")
