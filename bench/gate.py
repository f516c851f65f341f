"""The check before any timing: a number of something that computes the wrong picture is worth nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgefuse.errors import EdgeFuseError

__all__ = ["TOLERANCES", "Deviation", "GateError", "check_output", "sample_pair"]

TOLERANCES: dict[str, float] = {"fp32": 1e-3, "fp16": 2e-2, "bf16": 1e-1, "int8": 1e-1}
"""Largest difference from the reference that passes, on images in [0, 1], by precision."""


class GateError(EdgeFuseError):
    """An output that is not the model's."""


@dataclass(frozen=True)
class Deviation:
    """How far an output is from its reference.

    Attributes:
        reference: What computed the reference, as in ``"torch, cpu, fp32"``.
        max_abs: Largest absolute difference.
        mean_abs: Mean absolute difference.
        tolerance: What ``max_abs`` may be.
    """

    reference: str
    max_abs: float
    mean_abs: float
    tolerance: float


def sample_pair(batch: int, imgsz: tuple[int, int], *, seed: int = 0) -> tuple[NDArray[Any], NDArray[Any]]:
    """A pair of structured 8-bit images, the same for every runtime and process.

    Args:
        batch: Number of pairs.
        imgsz: Height and width in pixels.
        seed: Another seed gives other images.

    Returns:
        Infrared luminance and visible BGR, uint8.  # [B, H, W] and [B, H, W, 3]
    """
    height, width = imgsz
    random = np.random.default_rng(seed)
    rows = np.linspace(0.0, 1.0, height)[:, None]
    columns = np.linspace(0.0, 1.0, width)[None, :]
    planes = []
    for _ in range(4 * batch):
        waves = np.zeros((height, width))
        for frequency in (3.0, 11.0, 37.0):
            angle, phase = random.uniform(0.0, np.pi), random.uniform(0.0, 2 * np.pi)
            waves += np.sin(2 * np.pi * frequency * (np.cos(angle) * rows + np.sin(angle) * columns) + phase)
        noisy = 0.5 + waves / 8.0 + random.normal(0.0, 0.03, size=waves.shape)
        planes.append((np.clip(noisy, 0.0, 1.0) * 255.0).astype(np.uint8))
    stack = np.stack(planes).reshape(batch, 4, height, width)
    return stack[:, 0], np.ascontiguousarray(stack[:, 1:].transpose(0, 2, 3, 1))


def check_output(
    fused: NDArray[Any],
    shape: tuple[int, ...],
    *,
    reference: NDArray[np.float32] | None,
    reference_name: str,
    precision: str,
) -> Deviation | None:
    """Hold an output against its reference.

    Args:
        fused: What the runtime returned.
        shape: Shape that it must have.
        reference: What it should be, or None where nothing can tell.
        reference_name: What computed the reference.
        precision: Precision of the measured model, which sets the tolerance.

    Returns:
        The difference, or None without a reference.

    Raises:
        GateError: It has another shape, holds NaN or infinity, or differs by more than the tolerance.
    """
    if fused.shape != shape:
        raise GateError(f"output has shape {list(fused.shape)}, not {list(shape)}")
    broken = int(np.size(fused) - np.count_nonzero(np.isfinite(fused)))
    if broken:
        raise GateError(f"{broken} of {fused.size} output values are not finite")
    if reference is None:
        return None
    difference = np.abs(fused.astype(np.float64) - reference.astype(np.float64))
    deviation = Deviation(
        reference=reference_name,
        max_abs=float(difference.max()),
        mean_abs=float(difference.mean()),
        tolerance=TOLERANCES[precision],
    )
    if deviation.max_abs > deviation.tolerance:
        raise GateError(
            f"output differs from {reference_name} by up to {deviation.max_abs:.2g} "
            f"(mean {deviation.mean_abs:.2g}), more than the {deviation.tolerance:g} allowed for {precision}"
        )
    return deviation
