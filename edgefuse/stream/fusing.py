"""From a pair of frames to the fused picture, with the time of every stage."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgefuse.arrays import Image
from edgefuse.fuser import Fuser, check_size
from edgefuse.kernels.warp import PairWarp
from edgefuse.runtime import DevicePairs
from edgefuse.stream.agc import GainRange, ThermalAgc
from edgefuse.stream.change import PairChange
from edgefuse.stream.pairing import Pair
from edgefuse.stream.registration import Registration
from edgefuse.temporal import TemporalFilter

__all__ = ["STAGES", "FusedFrame", "HostPairs", "PairFuser"]

STAGES = ("pair", "gain", "register", "infer", "finish", "total")
"""``pair`` is from capture to the pair, ``register`` makes both network inputs in one pass, ``finish`` puts the fused
luminance into the picture and filters it over time, ``total`` is from capture to the finished picture. Where the GPU
makes inputs and picture, that is part of ``infer``; ``register`` and ``finish`` then are copies to and from pinned
memory, and the filter."""


@dataclass(frozen=True)
class FusedFrame:
    """A fused picture and what it was made of.

    Args:
        pair: The frames.
        fused: Shape and type of the visible frame.
        registered: Infrared in [0, 1], in the geometry of the visible frame, or what makes it: where the GPU registered
            the frames it is there alone.  # [H, W]
        number: Number of the fused picture, from 0.
        stage_ms: Duration of each stage of ``STAGES`` that it has.
        rate_hz: Frames a second of the visible camera, as far as known.
    """

    pair: Pair
    fused: NDArray[np.uint8]
    registered: NDArray[np.float32] | Callable[[], NDArray[np.float32]]
    number: int
    stage_ms: dict[str, float]
    rate_hz: float

    @property
    def ir_unit(self) -> NDArray[np.float32]:
        """Infrared in [0, 1], in the geometry of the visible frame; it may be made now.  # [H, W]"""
        return self.registered() if callable(self.registered) else self.registered


class HostPairs:
    """Frames around a network that takes its inputs from the CPU: :class:`DevicePairs`' three steps.

    Args:
        fuser: The model.
    """

    def __init__(self, fuser: Fuser) -> None:
        self._fuser = fuser
        # One frame's memory, given back with its end: the next one then finds it warm, not yet unmapped.
        self._inputs: list[NDArray[np.float32]] = []
        self._planes: list[NDArray[np.float32]] = []

    def register(
        self,
        warp: PairWarp,
        ir: Image,
        vis: NDArray[np.uint8],
        *,
        low: float,
        high: float,
        size: tuple[int, int],
    ) -> None:
        """Make the network inputs of a pair; see :meth:`DevicePairs.register`."""
        self._vis = vis
        self._inputs = list(warp(ir, vis, low=low, high=high, size=size))

    @property
    def registered(self) -> NDArray[np.float32]:
        """Infrared in [0, 1], in the geometry of the visible frame, until ``finish``.  # [H, W]"""
        return self._inputs[0][0, 0, : self._vis.shape[0], : self._vis.shape[1]]

    def infer(self) -> None:
        """Run the network."""
        ir, vis = self._inputs
        self._planes = [self._fuser.runner.infer(ir, vis)]

    def finish(self) -> NDArray[np.uint8]:
        """Return the fused frame, in the shape of the visible one."""
        fused = self._fuser.finish(self._planes[0], self._vis)
        self._inputs, self._planes = [], []
        return fused


class PairFuser:
    """Gain control, registration and fusion of one pair after the other; the model may be exchanged meanwhile.

    Args:
        fuser: The model.
        agc: Gain control.
        registration: Geometry.
        temporal: What filters the pictures over time; None to leave each as it is.
        live: Frames are fused soon after their capture; those of a recording have no stages ``pair`` and ``total``.
    """

    def __init__(
        self,
        fuser: Fuser,
        *,
        agc: ThermalAgc,
        registration: Registration,
        temporal: TemporalFilter | None = None,
        live: bool = True,
    ) -> None:
        self._agc, self.registration, self._live = agc, registration, live
        self._temporal, self._change = temporal, PairChange()
        self._fuser, self._pairs = fuser, _pairs_of(fuser)
        self._lock = threading.Lock()
        self._number = 0
        self._warm_shape: tuple[int, ...] | None = None

    def exchange(self, fuser: Fuser) -> Fuser:
        """Use another model from the next pair on.

        Args:
            fuser: The new one.

        Returns:
            The old one, which the caller closes.
        """
        with self._lock:
            old, self._fuser = self._fuser, fuser
            self._pairs = _pairs_of(fuser)
            self._warm_shape = None
            if self._temporal is not None:
                self._temporal.reset()
            return old

    def __call__(self, pair: Pair, *, rate_hz: float) -> FusedFrame:
        """Fuse one pair.

        Args:
            pair: The frames.
            rate_hz: Of the visible camera.

        Returns:
            The picture.

        Raises:
            InputError: The frames do not fit each other, the calibration or the model.
        """
        vis = np.asarray(pair.vis.image, np.uint8)
        marks = [time.monotonic()]
        picture, gain = self._agc.picture(pair.ir.image, pair.ir.captured_seconds)
        marks.append(time.monotonic())
        with self._lock:
            is_cold = self._warm_shape != vis.shape
            if is_cold:
                check_size(*vis.shape[:2])
            size = self._fuser.input_size(*vis.shape[:2])
            warp = self.registration.warp(picture, vis)
            self._pairs.register(warp, picture, vis, low=gain.low, high=gain.high, size=size)
            if is_cold:  # the first run of a shape allocates; it must not count as a stage
                self._pairs.infer()
                self._warm_shape = vis.shape
                marks = [time.monotonic()] * 2
            marks.append(time.monotonic())
            self._pairs.infer()
            marks.append(time.monotonic())
            registered = self._registered(warp, picture, vis, gain)
            fused = self._pairs.finish()
            if self._temporal is not None:
                fused = self._temporal(self._change(self.registration, picture, vis, gain=gain), fused)
        marks.append(time.monotonic())
        stages = {
            name: (after - before) * 1e3 for name, before, after in zip(STAGES[1:], marks, marks[1:], strict=False)
        }
        if self._live:
            stages["pair"] = (marks[0] - pair.vis.captured_seconds) * 1e3
            stages["total"] = (marks[-1] - pair.vis.captured_seconds) * 1e3
        number, self._number = self._number, self._number + 1
        return FusedFrame(pair, fused, registered, number, stages, rate_hz)

    def _registered(
        self, warp: PairWarp, picture: Image, vis: NDArray[np.uint8], gain: GainRange
    ) -> NDArray[np.float32] | Callable[[], NDArray[np.float32]]:
        if isinstance(self._pairs, HostPairs):
            return self._pairs.registered

        @functools.cache  # the preview shows it in two pictures
        def register() -> NDArray[np.float32]:
            plane: NDArray[np.float32] = warp(picture, vis, low=gain.low, high=gain.high)[0][0, 0]
            return plane

        return register


def _pairs_of(fuser: Fuser) -> DevicePairs | HostPairs:
    return fuser.runner.pairs or HostPairs(fuser)
