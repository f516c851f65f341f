"""From thermal sensor values to the [0, 1] image that a network sees."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgefuse.arrays import Image
from edgefuse.errors import InputError

__all__ = ["HIGH_PERCENTILE", "LOW_PERCENTILE", "SMALLEST_SPAN_COUNTS", "to_unit", "unit_span"]

LOW_PERCENTILE = 0.5
HIGH_PERCENTILE = 99.5
"""Percentiles that become 0 and 1. Minimum and maximum would follow single hot or dead pixels."""

SMALLEST_SPAN_COUNTS = 16.0
"""A flat scene is not stretched further than this, or its noise would fill the picture."""


def to_unit(ir: Image) -> NDArray[np.float32]:
    """Bring an infrared image of any kind to [0, 1].

    Args:
        ir: ``(H, W)``: uint8 as displayed; uint16 raw counts; float in [0, 1] as it is, or, with values outside,
            taken as a radiometric image (kelvin, degrees, counts) and stretched like raw counts.

    Returns:
        ``(H, W)`` float32 in [0, 1].

    Raises:
        InputError: Another shape or dtype, or values that are not finite.
    """
    low, span = unit_span(ir)
    scaled = (ir.astype(np.float32) - np.float32(low)) * np.float32(1 / span)
    return np.clip(scaled, 0.0, 1.0, out=scaled)


def unit_span(ir: Image) -> tuple[float, float]:
    """Tell which values of an infrared image become 0 and 1: what lies outside is clipped.

    Args:
        ir: As for :func:`to_unit`.

    Returns:
        The value that becomes 0, and how much above it the one lies that becomes 1, in the units of ``ir``. A constant
        image that is stretched becomes 0.5.

    Raises:
        InputError: As :func:`to_unit` does.
    """
    if ir.ndim != 2:
        raise InputError(f"infrared must have shape (H, W), not {ir.shape}")
    if ir.dtype == np.uint8:
        return 0.0, 255.0
    if ir.dtype == np.uint16:
        return _percentile_span(ir, smallest_span=SMALLEST_SPAN_COUNTS)
    if not np.issubdtype(ir.dtype, np.floating):
        raise InputError(f"infrared must be uint8, uint16 or float, not {ir.dtype}")
    if not np.isfinite(ir).all():
        raise InputError("infrared holds values that are not finite")
    if ir.min() >= 0.0 and ir.max() <= 1.0:
        return 0.0, 1.0
    return _percentile_span(ir, smallest_span=1.0)


def _percentile_span(ir: NDArray[Any], *, smallest_span: float) -> tuple[float, float]:
    low, high = (float(value) for value in np.percentile(ir, (LOW_PERCENTILE, HIGH_PERCENTILE)))
    middle, span = (low + high) / 2, max(high - low, smallest_span)
    return middle - span / 2, span
