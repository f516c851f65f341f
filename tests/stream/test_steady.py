"""No flicker: where the scene is still, the fused picture is still."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgefuse.fuser import load
from edgefuse.images import read_ir, read_vis
from edgefuse.stream.agc import FixedRange, ThermalAgc
from edgefuse.stream.frame import Frame
from edgefuse.stream.fusing import PairFuser
from edgefuse.stream.pairing import Pair
from edgefuse.stream.registration import Registration

FRAMES = 60
CLIPS = ("0111_1716", "0111_1803", "0115_1834")


def fused_means(agc: ThermalAgc, pairs: Iterable[tuple[Any, Any]]) -> np.ndarray[Any, Any]:
    """The mean of each fused picture of a clip at 30 frames a second, by lite."""
    means = []
    with load("lite") as fuser:
        fuse = PairFuser(fuser, agc=agc, registration=Registration())
        for number, (ir, vis) in enumerate(pairs):
            at = number / 30
            pair = Pair(Frame("ir", ir, number, at, at, at), Frame("vis", vis, number, at, at, at), 0.0, False, 0.0)
            means.append(fuse(pair, rate_hz=30.0).fused.mean())
    return np.array(means)


def largest_step(means: Any) -> float:
    """The largest change from one frame to the next, as a part of the mean."""
    return float(np.abs(np.diff(means)).max() / np.mean(means))


@pytest.mark.parametrize("mode", ["percentile", "clahe", "fixed", "none"])
def test_a_still_scene_with_sensor_noise_is_fused_without_flicker(shared: Path, mode: Any) -> None:
    """60 frames of one moment of a real clip with fresh noise in both cameras: the mean moves by less than 1 %."""
    folder = shared / "data" / "m3svd_video" / "0111_1716"
    ir, vis = read_ir(folder / "ir" / "0000.png")[::2, ::2], read_vis(folder / "vis" / "0000.png")[::2, ::2]
    rng = np.random.default_rng(0)

    def noisy(picture: Any, sigma: float, kind: Any) -> Any:
        values = picture + rng.normal(0.0, sigma, picture.shape)
        return np.clip(np.rint(values), 0, np.iinfo(kind).max).astype(kind)

    counts = 7000.0 + 4.0 * ir  # a range that a 14-bit camera gives for a street
    pairs = ((noisy(counts, 4.0, np.uint16), noisy(vis, 3.0, np.uint8)) for _ in range(FRAMES))
    agc = ThermalAgc(mode, fixed=FixedRange(6900.0, 8100.0) if mode == "fixed" else None)
    assert largest_step(fused_means(agc, pairs)) < 0.01


@pytest.mark.parametrize("clip", CLIPS)
def test_a_real_clip_moves_no_more_than_its_scene(shared: Path, clip: str) -> None:
    """Less than 1 % from frame to frame, or less than the input itself moves, where the camera does."""
    folder = shared / "data" / "m3svd_video" / clip
    irs, viss = (
        [read(path) for path in sorted((folder / role).iterdir())]
        for role, read in (("ir", read_ir), ("vis", read_vis))
    )
    moved = max(largest_step([picture.mean() for picture in pictures]) for pictures in (irs, viss))
    assert largest_step(fused_means(ThermalAgc(), zip(irs, viss, strict=True))) < max(0.01, moved)
