"""The check before any timing: a number of something that computes the wrong picture is worth nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgefuse.errors import EdgeFuseError

__all__ = ["TOLERANCES", "Deviation", "GateError", "check_output"]

# Worst seen of the five networks: fp32 2.4e-7 (AngularFuse on ONNX Runtime), to which TF32 products on a GPU add about
# 1e-3 of the largest activation; fp16 1.6e-3 and bf16 1.3e-2 (lite in PyTorch). 8-bit weights and activations may be
# off by some grey levels.
TOLERANCES: dict[str, float] = {"fp32": 2e-3, "fp16": 1e-2, "bf16": 5e-2, "int8": 1e-1}
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
