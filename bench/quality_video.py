"""How steady fused video is, and what a frozen infrared camera does to it.

Fused video may not flicker more than what it is made of: the change of the mean from frame to frame, and the change in
flat regions, are held against those of the sources, for each frame by itself and for video as ``edgefuse stream`` and
``edgefuse fuse`` make it, with the temporal filter. Writes ``quality-video.json``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgefuse.arrays import Image
from edgefuse.bench.quality import CONVENTION, METRICS, OnRow, head, ignore, label, scenes
from edgefuse.errors import InputError
from edgefuse.fuser import load
from edgefuse.images import read_ir, read_vis
from edgefuse.metrics import evaluate
from edgefuse.metrics.gray import to_gray
from edgefuse.temporal import FrameChange, TemporalFilter

__all__ = ["flat_change", "mean_change", "measure_video"]

Plane = NDArray[np.float32]  # [H, W], levels of 0..255

_WINDOW = (9, 9)
_FLAT_LEVELS = 3.0
"""Standard deviation in a window up to which a region is flat: sensor noise, no texture."""


def measure_video(models: Sequence[str], data: Path, *, every: int = 4, on_row: OnRow = ignore) -> dict[str, Any]:
    """Fuse clips frame by frame and measure their changes.

    Args:
        models: Names, or paths of model files.
        data: Folder with a folder of frames, ``ir`` and ``vis``, for each clip.
        every: Score every n-th frame with infrared that goes on, and with the first frame's.
        on_row: Called with a line for each model and clip.

    Returns:
        The record: a row for each model and clip.

    Raises:
        InputError: There are no clips.
    """
    clips = sorted(path.parent for path in data.glob("*/ir"))
    if not clips:
        raise InputError(f"{data}: no clips; each is a folder with ir and vis in it")
    rows = []
    for model in models:
        for clip in clips:
            rows.append({"name": label(model), "clip": clip.name, **_clip(model, clip, every)})
            on_row(f"{label(model)} on {clip.name}: {rows[-1]['frames']} frames")
    return {**head("bench quality video"), "convention": CONVENTION, "every": every, "rows": rows}


def mean_change(planes: Sequence[Plane]) -> float:
    """Mean over frames of the absolute change of the picture's mean, in levels."""
    means = np.array([plane.mean(dtype=np.float64) for plane in planes])
    return float(np.abs(np.diff(means)).mean())


def flat_change(planes: Sequence[Plane], flat: Sequence[NDArray[np.bool_]]) -> float:
    """Mean absolute change of the local mean, in levels, where both sources are flat in both frames.

    Args:
        planes: Frames.  # N × [H, W]
        flat: Where the frame's sources are flat.  # N × [H, W]

    Returns:
        The change; 0 where nothing is flat.
    """
    smooth = [cv2.blur(plane, _WINDOW) for plane in planes]
    changes = [
        np.abs(smooth[index] - smooth[index - 1])[flat[index] & flat[index - 1]] for index in range(1, len(planes))
    ]
    together = np.concatenate(changes)
    return float(together.mean()) if together.size else 0.0


def _clip(model: str, folder: Path, every: int) -> dict[str, Any]:
    items = scenes(folder)
    pairs = [(read_ir(item.ir), read_vis(item.vis)) for item in items]
    with load(model) as fuser:
        fused = [fuser(ir, vis) for ir, vis in pairs]
        frozen = [fuser(pairs[0][0], vis) for _, vis in pairs[every::every]]
    planes = {
        "ir": [_plane(ir) for ir, _ in pairs],
        "vis": [_plane(vis) for _, vis in pairs],
        "fused": [_plane(image) for image in fused],
        "filtered": [_plane(image) for image in _filtered(pairs, fused)],
    }
    flat = [_is_flat(ir) & _is_flat(vis) for ir, vis in zip(planes["ir"], planes["vis"], strict=True)]
    return {
        "frames": len(pairs),
        "flat_share": round(float(np.mean(flat)), 4),
        "mean": {name: round(mean_change(frames), 4) for name, frames in planes.items()},
        "flat": {name: round(flat_change(frames, flat), 4) for name, frames in planes.items()},
        "live": _scores(fused[every::every], pairs[every::every]),
        "frozen": _scores(frozen, pairs[every::every]),
    }


def _filtered(
    pairs: Sequence[tuple[Image, NDArray[np.uint8]]], fused: Sequence[NDArray[np.uint8]]
) -> list[NDArray[np.uint8]]:
    temporal, ir_change, vis_change = TemporalFilter(), FrameChange(), FrameChange()
    return [
        temporal(np.maximum(ir_change(np.asarray(ir, np.uint8)), vis_change(vis)), image.copy())
        for (ir, vis), image in zip(pairs, fused, strict=True)
    ]


def _scores(fused: Sequence[NDArray[np.uint8]], pairs: Sequence[tuple[Any, NDArray[np.uint8]]]) -> Mapping[str, float]:
    """Means of the metrics against the sources of the moment."""
    scores = [
        evaluate(image, ir, vis, metrics=METRICS, convention=CONVENTION)
        for image, (ir, vis) in zip(fused, pairs, strict=True)
    ]
    return {metric: round(float(np.mean([score[metric] for score in scores])), 4) for metric in METRICS}


def _plane(image: NDArray[Any]) -> Plane:
    return np.asarray(to_gray(image, "opencv"), np.float32)


def _is_flat(plane: Plane) -> NDArray[np.bool_]:
    mean = cv2.blur(plane, _WINDOW)
    variance = cv2.blur(plane * plane, _WINDOW) - mean * mean
    return np.asarray(variance <= _FLAT_LEVELS**2, np.bool_)
