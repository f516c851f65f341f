"""Infrared frames in the geometry of the visible ones."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edgefuse.calibrate import Calibration
from edgefuse.errors import InputError
from edgefuse.fuser import luminance
from edgefuse.stream.agc import GainRange, ThermalAgc
from edgefuse.stream.registration import Registration

SHIFT = np.array([[1.0, 0.0, 5.0], [0.0, 1.0, -3.0], [0.0, 0.0, 1.0]])
GEOMETRY = Calibration.of(SHIFT, ir_size=(40, 52), vis_size=(45, 61))


def _frames(ir_size: tuple[int, int] = (40, 52), vis_size: tuple[int, int] = (45, 61)) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    smooth = cv2.GaussianBlur(random.random(ir_size), (0, 0), 3)
    ir = (20000 + 4000 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.uint16)
    return ir, random.integers(0, 256, (*vis_size, 3)).astype(np.uint8)


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
