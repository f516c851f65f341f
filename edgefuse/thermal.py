"""From thermal sensor values to the [0, 1] image that a network sees."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgefuse.arrays import Image
from edgefuse.errors import InputError

__all__ = ["HIGH_PERCENTILE", "LOW_PERCENTILE", "SMALLEST_SPAN_COUNTS", "stretch", "to_unit"]

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
    if ir.ndim != 2:
        raise InputError(f"infrared must have shape (H, W), not {ir.shape}")
    if ir.dtype == np.uint8:
        return ir.astype(np.float32) * np.float32(1 / 255)
    if ir.dtype == np.uint16:
        return stretch(ir, smallest_span=SMALLEST_SPAN_COUNTS)
    if not np.issubdtype(ir.dtype, np.floating):
        raise InputError(f"infrared must be uint8, uint16 or float, not {ir.dtype}")
    if not np.isfinite(ir).all():
        raise InputError("infrared holds values that are not finite")
    if ir.min() >= 0.0 and ir.max() <= 1.0:
        return ir.astype(np.float32)
    return stretch(ir, smallest_span=1.0)


def stretch(ir: Image, *, smallest_span: float) -> NDArray[np.float32]:
    """Map the percentiles of an image to 0 and 1 linearly, clipping what lies outside.

    Args:
        ir: ``(H, W)`` of any numeric dtype.
        smallest_span: The range that is mapped is never narrower than this, in the units of ``ir``.

    Returns:
        ``(H, W)`` float32 in [0, 1]; a constant image becomes 0.5.
    """
    low, high = (float(value) for value in np.percentile(ir, (LOW_PERCENTILE, HIGH_PERCENTILE)))
    middle, span = (low + high) / 2, max(high - low, smallest_span)
    scaled = (ir.astype(np.float32) - np.float32(middle - span / 2)) * np.float32(1 / span)
    return np.clip(scaled, 0.0, 1.0, out=scaled)
