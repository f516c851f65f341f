"""From a pair of frames to the fused picture: geometry, gain and stages."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgefuse.calibrate import Calibration
from edgefuse.errors import InputError
from edgefuse.fuser import Fuser, load, luminance
from edgefuse.stream.agc import GainRange, ThermalAgc
from edgefuse.stream.frame import Frame
from edgefuse.stream.fusing import STAGES, PairFuser, Registration
from edgefuse.stream.pairing import Pair

SHIFT = np.array([[1.0, 0.0, 5.0], [0.0, 1.0, -3.0], [0.0, 0.0, 1.0]])
GEOMETRY = Calibration.of(SHIFT, ir_size=(40, 52), vis_size=(45, 61))


@pytest.fixture
def fuser(average_model: Path) -> Fuser:
    """The mean of both inputs, whose sides are multiples of 4."""
    return load(average_model)


def _frames(ir_size: tuple[int, int] = (40, 52), vis_size: tuple[int, int] = (45, 61)) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    smooth = cv2.GaussianBlur(random.random(ir_size), (0, 0), 3)
    ir = (20000 + 4000 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.uint16)
    return ir, random.integers(0, 256, (*vis_size, 3)).astype(np.uint8)


def _pair(ir: np.ndarray, vis: np.ndarray, at_seconds: float = 1.0) -> Pair:
    frames = (Frame(role, image, 0, None, at_seconds, at_seconds) for role, image in (("ir", ir), ("vis", vis)))
    return Pair(*frames, skew_seconds=0.0, held=False, ir_age_seconds=0.0)


def test_a_calibration_moves_the_infrared_picture() -> None:
    """Infrared pixel (x, y) appears at (x + 5, y - 3); what lies outside is the visible luminance."""
    ir, vis = _frames()
    unit = ThermalAgc()(ir, 0.0)
    registered = Registration(GEOMETRY)(unit, vis)
    np.testing.assert_allclose(registered[:37, 5:57], unit[3:40], atol=1e-6)
    outside = np.ones(registered.shape, bool)
    outside[:37, 5:57] = False
    np.testing.assert_array_equal(registered[outside], luminance(vis)[outside])


def test_inputs_are_gain_and_registration_in_one_pass() -> None:
    """Raw counts with their range give what a finished gain control gives, and the margin mirrors the frame."""
    ir, vis = _frames()
    registration, gain = Registration(GEOMETRY), GainRange(21000.0, 23000.0)
    ir_input, vis_input = registration.inputs(ir, vis, gain=gain, size=(48, 64))
    unit = np.clip((ir.astype(np.float32) - 21000) / 2000, 0, 1).astype(np.float32)
    expected = np.pad(registration(unit, vis), ((0, 3), (0, 3)), mode="reflect")
    np.testing.assert_allclose(ir_input[0, 0], expected, atol=1e-6)
    np.testing.assert_array_equal(vis_input[0, 0], np.pad(luminance(vis), ((0, 3), (0, 3)), mode="reflect"))


def test_sizes_that_the_geometry_is_not_for_are_refused() -> None:
    """A warp of another size would be wrong without a sign of it, in the middle of a stream too."""
    ir, vis = _frames()
    with pytest.raises(InputError, match=r"is for frames of 52x40 and 61x45 .*, these are 52x40 and 60x45"):
        Registration(GEOMETRY).inputs(ir, vis[:, :-1], gain=GainRange(0.0, 1.0), size=None)
    registration = Registration(GEOMETRY)
    registration.inputs(ir, vis, gain=GainRange(0.0, 1.0), size=None)
    with pytest.raises(InputError, match="these are 51x40 and 61x45"):
        registration.inputs(ir[:, :-1], vis, gain=GainRange(0.0, 1.0), size=None)
    with pytest.raises(InputError, match="--resize-ir to stretch it"):
        Registration().inputs(ir, vis, gain=GainRange(0.0, 1.0), size=None)
    assert Registration(resize=True)(ThermalAgc()(ir, 0.0), vis).shape == (45, 61)


@pytest.mark.parametrize("mode", ["percentile", "clahe", "none"])
def test_a_pair_becomes_the_picture_that_its_parts_make(fuser: Fuser, mode: str) -> None:
    """Gain, registration, network and colour in the stream give what the same steps give one by one."""
    ir, vis = _frames()
    fuse = PairFuser(fuser, agc=ThermalAgc(mode), registration=Registration(GEOMETRY))  # type: ignore[arg-type]
    frame = fuse(_pair(ir, vis), rate_hz=30.0)
    registered = Registration(GEOMETRY)(ThermalAgc(mode)(ir, 1.0), vis)  # type: ignore[arg-type]
    np.testing.assert_allclose(frame.ir_unit, registered, atol=1e-6)
    assert np.abs(frame.fused.astype(int) - fuser(registered, vis)).max() <= 1
    assert set(frame.stage_ms) == set(STAGES)
    assert all(duration >= 0 for name, duration in frame.stage_ms.items() if name not in ("pair", "total"))
    assert (frame.number, fuse(_pair(ir, vis), rate_hz=30.0).number) == (0, 1)


def test_a_picture_is_not_overwritten_by_the_next(fuser: Fuser) -> None:
    """Outputs may still show a frame while the next one is made."""
    ir, vis = _frames()
    fuse = PairFuser(fuser, agc=ThermalAgc(), registration=Registration(GEOMETRY))
    first = fuse(_pair(ir, vis), rate_hz=30.0)
    kept = first.fused.copy(), first.ir_unit.copy()
    fuse(_pair(ir[::-1].copy(), 255 - vis), rate_hz=30.0)
    np.testing.assert_array_equal(first.fused, kept[0])
    np.testing.assert_array_equal(first.ir_unit, kept[1])


def test_frames_too_small_for_any_network_are_refused(fuser: Fuser) -> None:
    """As pairs of pictures are: a camera that sends thumbnails is a camera that is set up wrongly."""
    fuse = PairFuser(fuser, agc=ThermalAgc(), registration=Registration(resize=True))
    with pytest.raises(InputError, match="6x45 pixels: each side needs at least 8"):
        fuse(_pair(*_frames(vis_size=(45, 6))), rate_hz=30.0)
