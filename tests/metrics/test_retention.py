"""Target retention: its meaning, its limits, and the published values of simple methods."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgefuse.errors import InputError
from edgefuse.metrics.retention import target_retention
from edgefuse.metrics.scene import UndefinedError

MASK = np.zeros((80, 90), np.uint8)
MASK[30:40, 40:50] = 255
IR = np.where(MASK, 200, 40).astype(np.uint8)


def test_the_infrared_image_itself_keeps_all_and_its_negative_inverts() -> None:
    """1 for the source, -1 for its negative, 0 where the target is gone, a half for half of the contrast."""
    assert target_retention(IR, IR, MASK) == 1.0
    assert target_retention(255 - IR, IR, MASK) == -1.0
    assert target_retention(np.full_like(IR, 90), IR, MASK) == 0.0
    assert target_retention(np.where(MASK, 120, 40).astype(np.uint8), IR, MASK) == 0.5


def test_only_the_target_and_the_ring_of_15_pixels_count() -> None:
    """What is farther away may be anything; what is 15 pixels away may not."""
    far, near = IR.copy(), IR.copy()
    far[:, :24] = far[:14] = 255  # 16 pixels from the target
    near[:, 25] = 255  # 15 pixels
    assert target_retention(far, IR, MASK) == 1.0
    assert target_retention(near, IR, MASK) < 1.0


def test_undefined_where_there_is_nothing_to_compare() -> None:
    """An empty mask, a full one, and a target without contrast each have their reason."""
    with pytest.raises(UndefinedError, match="mask is empty"):
        target_retention(IR, IR, np.zeros_like(MASK))
    with pytest.raises(UndefinedError, match="no background"):
        target_retention(IR, IR, np.ones_like(MASK))
    with pytest.raises(UndefinedError, match="no contrast"):
        target_retention(IR, np.full_like(IR, 7), MASK)


def test_sizes_that_differ_are_named() -> None:
    """All three sizes are in the message."""
    with pytest.raises(InputError, match="fused is 90x80, ir is 90x80, mask is 50x80"):
        target_retention(IR, IR, MASK[:, :50])


@pytest.mark.parametrize(("key", "method"), [("c_average", "average"), ("c_max", "maximum")])
def test_published_values_of_classical_methods_on_tno(shared: Path, key: str, method: str) -> None:
    """The mean and the worst of 15 scenes are those recorded for the same methods elsewhere, to their 3 digits."""

    def read(part: str, name: str) -> NDArray[np.uint8]:
        return np.asarray(cv2.imread(str(shared / "data/tno/test" / part / name), cv2.IMREAD_GRAYSCALE), np.uint8)

    values = []
    for path in sorted((shared / "data/tno/test/mask").glob("*.png")):
        ir, vis = read("ir", path.name), read("vis", path.name)
        average = np.rint((ir.astype(np.float64) + vis) / 2).astype(np.uint8)
        fused = average if method == "average" else np.maximum(ir, vis)
        values.append(target_retention(fused, ir, read("mask", path.name)))
    recorded = json.loads((shared / "peers/peers.json").read_text())[key]["target_retention_tno"]
    assert len(values) == recorded["scenes"]
    assert np.mean(values) == pytest.approx(recorded["mean"], abs=6e-4)
    assert min(values) == pytest.approx(recorded["worst"], abs=6e-4)
