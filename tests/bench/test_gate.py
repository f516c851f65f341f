"""The check that comes before any timing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgefuse.bench.gate import TOLERANCES, GateError, check_output
from edgefuse.bench.images import sample_pair

SHAPE = (1, 1, 4, 6)


def check(fused: np.ndarray[Any, Any], reference: np.ndarray[Any, Any] | None, precision: str = "fp32") -> object:
    """Hold an output of the usual shape against a reference."""
    return check_output(fused, SHAPE, reference=reference, reference_name="torch", precision=precision)


def test_an_equal_output_passes_with_its_deviation() -> None:
    """The difference is recorded even where it is zero."""
    reference = np.full(SHAPE, 0.5, np.float32)
    deviation = check_output(reference, SHAPE, reference=reference, reference_name="torch", precision="fp32")
    assert deviation is not None
    assert (deviation.max_abs, deviation.mean_abs, deviation.reference) == (0.0, 0.0, "torch")


@pytest.mark.parametrize("precision", TOLERANCES)
def test_one_wrong_pixel_fails(precision: str) -> None:
    """The largest difference decides, not the mean; each precision has its tolerance."""
    reference = np.full(SHAPE, 0.5, np.float32)
    fused = reference.copy()
    fused[0, 0, 1, 2] += 0.9 * TOLERANCES[precision]
    check(fused, reference, precision)
    fused[0, 0, 1, 2] += 0.2 * TOLERANCES[precision]
    with pytest.raises(GateError, match=f"more than the .* allowed for {precision}"):
        check(fused, reference, precision)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_output_that_is_not_finite_fails_even_without_a_reference(value: float) -> None:
    """NaN compares false with everything, so it is looked for by itself."""
    fused = np.zeros(SHAPE, np.float32)
    fused[0, 0, 0, 0] = value
    with pytest.raises(GateError, match="1 of 24 output values are not finite"):
        check(fused, None)


def test_another_shape_fails() -> None:
    """A broadcastable shape is still wrong."""
    with pytest.raises(GateError, match=r"shape \[1, 1, 1, 1\], not \[1, 1, 4, 6\]"):
        check(np.zeros((1, 1, 1, 1), np.float32), np.zeros(SHAPE, np.float32))


def test_sample_pairs_are_the_same_everywhere_and_structured() -> None:
    """Equal seeds give equal bytes, batches differ inside, and every plane has contrast."""
    ir, vis = sample_pair(2, (33, 47))
    again_ir, again_vis = sample_pair(2, (33, 47))
    assert (ir.shape, vis.shape) == ((2, 33, 47), (2, 33, 47, 3))
    assert ir.dtype == vis.dtype == np.uint8
    assert np.array_equal(ir, again_ir)
    assert np.array_equal(vis, again_vis)
    assert not np.array_equal(ir[0], ir[1])
    assert min(plane.std() for plane in (*ir, *vis[..., 0])) > 20
