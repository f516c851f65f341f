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
from edgefuse.calibrate import Calibration
from edgefuse.errors import InputError
from edgefuse.fuser import Fuser, check_size
from edgefuse.kernels.warp import PairWarp
from edgefuse.runtime import DevicePairs
from edgefuse.stream.agc import GainRange, ThermalAgc
from edgefuse.stream.pairing import Pair

__all__ = ["STAGES", "FusedFrame", "HostPairs", "PairFuser", "Registration"]

STAGES = ("pair", "gain", "register", "infer", "finish", "total")
"""``pair`` is from capture to the pair, ``register`` makes both network inputs in one pass, ``finish`` puts the fused
luminance into the picture, ``total`` is from capture to the finished picture. Where the GPU does both, they are part of
``infer``, and what is left of them is copying frames to and from pinned memory."""


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


class Registration:
    """Brings infrared pictures into the geometry of the visible ones.

    Where the infrared camera does not look, the visible luminance stands in for it, so that fusion leaves the visible
    picture as it is there.

    Args:
        calibration: The geometry, or None for cameras that see the same.
        resize: Without a calibration, stretch an infrared picture of another size over the visible one.
    """

    def __init__(self, calibration: Calibration | None = None, *, resize: bool = False) -> None:
        self._calibration, self._resize = calibration, resize
        self._warp: PairWarp | None = None

    def __call__(self, ir_unit: NDArray[np.float32], vis: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Register one picture.

        Args:
            ir_unit: Infrared in [0, 1].  # [h, w]
            vis: Visible frame.

        Returns:
            Infrared in [0, 1], of the size of ``vis``.  # [H, W]

        Raises:
            InputError: The sizes are not those of the calibration, or differ without one.
        """
        plane: NDArray[np.float32] = self.inputs(ir_unit, vis, gain=GainRange(0.0, 1.0), size=None)[0][0, 0]
        return plane

    def inputs(
        self, ir: Image, vis: NDArray[np.uint8], *, gain: GainRange, size: tuple[int, int] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Make the network inputs of a pair: gain, registration, luminance and padding in one pass.

        Args:
            ir: Infrared frame: uint8, uint16 or float32.  # [h, w]
            vis: Visible frame.
            gain: The infrared counts that become 0 and 1.
            size: Height and width of the inputs; those of ``vis`` where None.

        Returns:
            Infrared and visible luminance in [0, 1].  # [1, 1, H', W'] each

        Raises:
            InputError: The sizes are not those of the calibration, or differ without one.
        """
        return self.warp(ir, vis)(ir, vis, low=gain.low, high=gain.high, size=size)

    def warp(self, ir: Image, vis: NDArray[np.uint8]) -> PairWarp:
        """The geometry of a pair; the same object as long as the sizes stay.

        Args:
            ir: Infrared frame.  # [h, w]
            vis: Visible frame.

        Returns:
            What registers it.

        Raises:
            InputError: The sizes are not those of the calibration, or differ without one.
        """
        sizes = ir.shape[:2], vis.shape[:2]
        if self._warp is None or (self._warp.ir_size, self._warp.vis_size) != sizes:
            self.check(ir, vis)
            self._warp = self._warp_between(*sizes)
        return self._warp

    def _warp_between(self, ir_size: tuple[int, ...], vis_size: tuple[int, ...]) -> PairWarp:
        sizes = {"ir_size": (ir_size[0], ir_size[1]), "vis_size": (vis_size[0], vis_size[1])}
        if self._calibration is not None:
            return PairWarp(self._calibration.matrix, **sizes)
        if ir_size != vis_size and not self._resize:
            raise InputError(
                f"infrared is {ir_size[1]}x{ir_size[0]}, visible is {vis_size[1]}x{vis_size[0]}: "
                "calibrate the cameras (edgefuse calibrate) and give --calibration, or --resize-ir to stretch it"
            )
        return PairWarp.stretching(**sizes)

    def check(self, ir: Image, vis: NDArray[np.uint8]) -> None:
        """Refuse sizes that the calibration was not made for: it would warp wrongly without a sign of it."""
        calibration = self._calibration
        if calibration is None or (ir.shape[:2], vis.shape[:2]) == (calibration.ir_size, calibration.vis_size):
            return
        made_for, found = (
            " and ".join(f"{width}x{height}" for height, width in sizes)
            for sizes in ((calibration.ir_size, calibration.vis_size), (ir.shape[:2], vis.shape[:2]))
        )
        raise InputError(f"the calibration is for frames of {made_for} (infrared, visible), these are {found}")


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
        live: Frames are fused soon after their capture; those of a recording have no stages ``pair`` and ``total``.
    """

    def __init__(self, fuser: Fuser, *, agc: ThermalAgc, registration: Registration, live: bool = True) -> None:
        self._agc, self.registration, self._live = agc, registration, live
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
