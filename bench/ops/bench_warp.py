"""A frame's way into the network and back to colour: one native pass each way against a chain of OpenCV calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgefuse.bench.ops.contest import Contest, Contestant, parse_size
from edgefuse.kernels import luminance_bgr, replace_luminance_bgr
from edgefuse.kernels.cost import Cost
from edgefuse.kernels.warp import PairWarp
from edgefuse.kernels.warp.reference import STEPS, reference_pair

__all__ = ["SIZES", "contests"]

SIZES = ("480x640", "1080x1920")
"""Visible frames; the infrared camera has 512×640 pixels."""

_IR_SIZE = (512, 640)
_LOW, _HIGH = 7700.0, 8300.0  # counts: two standard deviations on either side, so that some pixels saturate

# Largest errors: OpenCV takes positions in float32 and rounds luminance to 8 bits, and YCrCb to 8 on both ways.
_TOLERANCES = (2 / 255, 1 / 255, 3.0)


@dataclass(frozen=True)
class _Frames:
    """A pair, its geometry and what a network made of it.

    Attributes:
        ir: Raw infrared counts.  # [512, 640] uint16
        vis: Visible frame.  # [H, W, 3] uint8
        fused: Fused luminance in [0, 1].  # [H, W] float32
        homography: Infrared to visible; a few pixels on two sides of the visible frame are outside.  # [3, 3]
    """

    ir: NDArray[np.uint16]
    vis: NDArray[np.uint8]
    fused: NDArray[np.float32]
    homography: NDArray[np.float64]

    @classmethod
    def of(cls, height: int, width: int) -> _Frames:
        """Smooth noise of a size."""
        random = np.random.default_rng(0)
        counts = cv2.GaussianBlur(random.normal(8000.0, 2000.0, _IR_SIZE), (0, 0), 4)
        vis = cv2.GaussianBlur(random.integers(0, 256, (height, width, 3)).astype(np.uint8), (0, 0), 1.5)
        turn = np.array([[1.02, 0.01, -8.0], [-0.008, 1.01, -3.0], [1e-6, 2e-6, 1.0]])
        stretch = np.diag([width / _IR_SIZE[1], height / _IR_SIZE[0], 1.0])
        fused = random.random((height, width), np.float32)
        return cls(counts.astype(np.uint16), np.asarray(vis, np.uint8), fused, stretch @ turn)


def contests(*, size: str, dtype: str, device: torch.device, compiled: bool) -> Iterator[Contest]:
    """Yield the one contest of a size; its forward pass makes the network inputs, its step the coloured frame too.

    Args:
        size: Height and width of the visible frame, as in ``480x640``.
        dtype: Type of the network inputs, fp32 alone.
        device: The CPU; nothing is yielded for another.
        compiled: Ignored: there is nothing to compile.

    Yields:
        The contest.
    """
    del compiled
    if device.type != "cpu" or dtype != "fp32":
        return
    height, width = parse_size(size, dimensions=2)
    frames = _Frames.of(height, width)
    pixels = height * width
    # Each frame read once, both inputs written; then the fused luminance and the frame read, and a frame written.
    inputs_bytes = 2 * frames.ir.size + 3 * pixels + 2 * 4 * pixels
    yield Contest(
        op="warp",
        case="inputs; step: and colour",
        shape=(height, width),
        dtype=dtype,
        contestants=(_native(frames), _opencv(frames)),
        exact=_exact(frames),
        forward_cost=Cost(inputs_bytes, flops=26 * pixels),
        step_cost=Cost(inputs_bytes + (4 + 3 + 3) * pixels, flops=41 * pixels),
        tolerances=_TOLERANCES,
    )


def _contestant(
    name: str,
    make_inputs: Callable[[], Sequence[NDArray[np.float32]]],
    colour: Callable[[], NDArray[np.uint8]],
) -> Contestant:
    def step() -> Sequence[Tensor]:
        return [torch.from_numpy(array) for array in (*make_inputs(), colour())]

    return Contestant(name, make_inputs, step)


def _native(frames: _Frames) -> Contestant:
    height, width = frames.vis.shape[:2]
    warp = PairWarp(frames.homography, ir_size=_IR_SIZE, vis_size=(height, width))

    def make_inputs() -> Sequence[NDArray[np.float32]]:
        return [plane[0, 0] for plane in warp(frames.ir, frames.vis, low=_LOW, high=_HIGH)]

    return _contestant("native", make_inputs, lambda: replace_luminance_bgr(frames.vis, frames.fused))


def _opencv(frames: _Frames) -> Contestant:
    """The same by OpenCV, with fixed-point maps made once."""
    size = frames.vis.shape[1], frames.vis.shape[0]
    x, y = np.meshgrid(np.arange(size[0], dtype=np.float64), np.arange(size[1], dtype=np.float64))
    at = np.linalg.inv(frames.homography) @ np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    at_x, at_y = (np.asarray(axis / at[2], np.float32).reshape(x.shape) for axis in at[:2])
    maps = cv2.convertMaps(at_x, at_y, cv2.CV_16SC2)
    last_x, last_y = _IR_SIZE[1] - 1, _IR_SIZE[0] - 1
    near_x, near_y = (np.rint(axis * STEPS) / STEPS for axis in (at_x, at_y))
    outside = ((near_x < 0) | (near_x > last_x) | (near_y < 0) | (near_y > last_y)).astype(np.uint8)

    def make_inputs() -> Sequence[NDArray[np.float32]]:
        unit = frames.ir.astype(np.float32)
        unit -= np.float32(_LOW)
        unit *= np.float32(1 / (_HIGH - _LOW))
        np.clip(unit, 0.0, 1.0, out=unit)
        registered = cv2.remap(unit, *maps, cv2.INTER_LINEAR)
        gray = np.asarray(cv2.cvtColor(frames.vis, cv2.COLOR_BGR2GRAY), np.uint8)
        luminance = gray * np.float32(1 / 255)
        cv2.copyTo(luminance, outside, registered)
        return [np.asarray(registered, np.float32), np.asarray(luminance, np.float32)]

    def colour() -> NDArray[np.uint8]:
        picture = cv2.cvtColor(frames.vis, cv2.COLOR_BGR2YCrCb)
        cv2.insertChannel(cv2.convertScaleAbs(frames.fused, alpha=255.0), picture, 0)
        return np.asarray(cv2.cvtColor(picture, cv2.COLOR_YCrCb2BGR), np.uint8)

    return _contestant("OpenCV chain", make_inputs, colour)


def _exact(frames: _Frames) -> Callable[[], Sequence[Tensor]]:
    inverse: NDArray[np.float64] = np.linalg.inv(frames.homography).astype(np.float64)
    size = frames.vis.shape[0], frames.vis.shape[1]

    def compute() -> Sequence[Tensor]:
        planes = reference_pair(frames.ir, frames.vis, inverse, stretch=False, low=_LOW, high=_HIGH, size=size)
        change = 255.0 * (frames.fused - luminance_bgr(frames.vis).astype(np.float64))
        coloured = np.clip(frames.vis + change[..., None], 0, 255)
        return [torch.from_numpy(array) for array in (*planes, coloured)]

    return compute
