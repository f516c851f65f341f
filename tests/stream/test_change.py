"""Where the cameras of a stream see a change."""

from __future__ import annotations

import numpy as np
import pytest

from edgefuse.calibrate import Calibration
from edgefuse.errors import InputError
from edgefuse.stream.agc import GainRange
from edgefuse.stream.change import PairChange
from edgefuse.stream.registration import Registration

GAIN = GainRange(20000.0, 22550.0)  # 10 counts a level
VIS = np.full((238, 318, 3), 90, np.uint8)


def _scene(size: tuple[int, int], target: float) -> np.ndarray:
    """A warm box in the middle of the picture, whatever the resolution."""
    frame = np.full(size, 20500, np.float32)
    rows, columns = (slice(round(0.4 * side), round(0.6 * side)) for side in size)
    frame[rows, columns] += target
    return frame.astype(np.uint16)


@pytest.mark.parametrize("ir_size", [(24, 32), (120, 160), (240, 320), (480, 640), (512, 640)])
@pytest.mark.parametrize("moved_px", [0.0, 40.0])
def test_infrared_changes_lie_where_they_are_seen(ir_size: tuple[int, int], moved_px: float) -> None:
    """In levels of the gain, on cells of the visible picture, with a geometry as without, at any resolution."""
    if moved_px:
        matrix = np.array([[1.0, 0.0, moved_px], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
        matrix = matrix @ np.diag([318 / ir_size[1], 238 / ir_size[0], 1.0])
        registration = Registration(Calibration.of(matrix, ir_size=ir_size, vis_size=(238, 318)))
    else:
        registration = Registration(resize=True)
    change = PairChange()
    assert (change(registration, _scene(ir_size, 0), VIS, gain=GAIN) == 1).all()
    levels = change(registration, _scene(ir_size, 120), VIS, gain=GAIN) * 255
    assert levels.shape == (60, 80)
    start = round((0.4 * 318 + moved_px) / 4)
    inside, margin = slice(start + 3, start + 13), 3
    np.testing.assert_allclose(levels[28:32, inside], 12, atol=0.5)
    outside = np.ones(levels.shape, bool)
    outside[24 - margin : 36 + margin, start - margin : start + 16 + margin] = False
    assert levels[outside].max() < 0.1
    assert (change(registration, _scene(ir_size, 120), VIS, gain=GAIN) == 0).all()


def test_visible_changes_count_where_infrared_stands_still() -> None:
    """And where the infrared camera does not look; a frame of another size has nothing to compare with."""
    shift = np.array([[1.0, 0.0, 100.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    registration = Registration(Calibration.of(shift, ir_size=(238, 318), vis_size=(238, 318)))
    change, ir = PairChange(), _scene((238, 318), 0)
    change(registration, ir, VIS, gain=GAIN)
    np.testing.assert_allclose(change(registration, ir, VIS + 5, gain=GAIN) * 255, 5, atol=0.01)
    assert (change(Registration(resize=True), ir[:100], VIS, gain=GAIN) == 1).all()
    assert (change(Registration(resize=True), ir[:100], VIS[:100], gain=GAIN) == 1).all()


def test_frames_that_do_not_fit_are_refused() -> None:
    """As whole pictures are."""
    with pytest.raises(InputError, match="--resize-ir to stretch it"):
        PairChange()(Registration(), _scene((120, 160), 0), VIS, gain=GAIN)
