"""Metrics on histograms: entropy, mutual information, cross entropy."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgefuse.metrics.scene import SOURCES, Scene, SourceName, UndefinedError, sum_of_products

__all__ = ["cross_entropy", "entropy", "mutual_information"]


def entropy(scene: Scene, *, epsilon: float = 0.0) -> float:
    """EN: entropy of the fused image in bits, ``-sum p log2 p`` over 256 levels.

    Args:
        scene: The images.
        epsilon: Added inside the logarithm. ``ivifzoo`` has 1e-7 there, which makes its values 1e-5 too low.

    Returns:
        Bits per pixel, 0 to 8.
    """
    p = scene.counts("fused") / scene.pixels
    p = p[p > 0]
    return -float(p @ np.log2(p + epsilon)) + 0.0


def mutual_information(
    scene: Scene, *, unit: Literal["bits", "nats"] = "bits", merge_top_levels: bool = False
) -> float:
    """MI: mutual information of the fused image with each source, summed (Qu et al. 2002).

    Args:
        scene: The images.
        unit: Logarithm to base 2 or natural.
        merge_top_levels: Reproduce the saturation bug of the ``linfeng2022`` and ``linfeng2023`` code: its joint
            histogram is indexed by a uint8 ``level + 1``, so that levels 254 and 255 share a cell there, but not in
            the marginal histograms. The values come out slightly too large.

    Returns:
        Sum over the two sources.
    """
    total = sum(_shared_nats(scene, source, merge_top_levels) for source in SOURCES)
    return total / math.log(2.0) if unit == "bits" else total


def _shared_nats(scene: Scene, source: SourceName, merge_top_levels: bool) -> float:
    joint = scene.joint_counts(source)
    if merge_top_levels:
        joint = joint.copy()
        joint[254] += joint[255]
        joint[:, 254] += joint[:, 255]
        joint = joint[:255, :255]
    marginals = _sum_c_log_c(scene.counts(source)) + _sum_c_log_c(scene.counts("fused"))
    return math.log(scene.pixels) + (_sum_c_log_c(joint) - marginals) / scene.pixels


def _sum_c_log_c(counts: NDArray[np.int64]) -> float:
    seen = counts[counts > 0].astype(np.float64)
    return sum_of_products(seen, np.log(seen))


def cross_entropy(scene: Scene) -> float:
    """CE: mean over the sources of ``sum p_X log2(p_X / p_F)`` over levels that both images have (VIFB).

    Args:
        scene: The images.

    Returns:
        Bits; lower is better. Levels that only one image has are left out, as in the original.

    Raises:
        UndefinedError: The fused image shares no level with a source.
    """
    p_fused = scene.counts("fused") / scene.pixels
    values = []
    for source in SOURCES:
        p = scene.counts(source) / scene.pixels
        both = (p > 0) & (p_fused > 0)
        if not both.any():
            raise UndefinedError(f"fused and {source} have no gray level in common")
        values.append(float(p[both] @ np.log2(p[both] / p_fused[both])))
    return sum(values) / 2
