"""From a pair of frames to the fused picture: geometry, gain and stages."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgefuse.calibrate import Calibration
from edgefuse.errors import InputError
from edgefuse.fuser import Fuser, load
from edgefuse.stream.agc import ThermalAgc
from edgefuse.stream.frame import Frame
from edgefuse.stream.fusing import STAGES, PairFuser
from edgefuse.stream.pairing import Pair
from edgefuse.stream.registration import Registration
from edgefuse.temporal import TemporalFilter

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


def test_a_still_scene_stands_still_and_another_model_begins_anew(fuser: Fuser, average_model: Path) -> None:
    """Noise of the cameras reaches single pictures in full and filtered ones in part; an exchange keeps nothing."""
    random = np.random.default_rng(1)
    still = np.full((64, 64), 20000, np.uint16), np.full((64, 64, 3), 90, np.uint8)
    noisy = [
        (still[0] + random.integers(0, 20, (64, 64)).astype(np.uint16), still[1] + random.integers(0, 3, (64, 64, 1)))
        for _ in range(12)
    ]
    single, filtered = (
        PairFuser(fuser, agc=ThermalAgc("none"), registration=Registration(), temporal=temporal)
        for temporal in (None, TemporalFilter())
    )
    pairs = [_pair(ir, vis.astype(np.uint8)) for ir, vis in noisy]
    alone, steady = ([one(pair, rate_hz=30.0).fused.astype(int) for pair in pairs] for one in (single, filtered))
    changes = [np.abs(np.diff(pictures[2:], axis=0)).mean() for pictures in (alone, steady)]
    assert changes[1] < 0.6 * changes[0]
    with load(average_model) as other:
        filtered.exchange(other)
        np.testing.assert_array_equal(filtered(pairs[0], rate_hz=30.0).fused, alone[0])
