"""What runs in the process of one camera: read, orient, hand over; it may be killed at any point."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait

from edgefuse.arrays import Image
from edgefuse.errors import EdgeFuseError, InputError
from edgefuse.stream.config import CameraConfig
from edgefuse.stream.readers import RawFrame, read_frames
from edgefuse.stream.ring import Layout, Ring
from edgefuse.stream.uri import redact

__all__ = ["Ended", "Failed", "FrameReady", "NewLayout", "UseRing", "Worked", "run_worker"]


@dataclass(frozen=True)
class NewLayout:
    """Worker to parent: frames from here on have this layout; the worker waits for a ring."""

    layout: Layout


@dataclass(frozen=True)
class UseRing:
    """Parent to worker: write into this block, all slots are yours; None refuses the layout."""

    name: str | None


@dataclass(frozen=True)
class FrameReady:
    """Worker to parent: a slot is yours.

    Of the frames since the one before, ``dropped`` found no free slot and ``lost`` never left the device.
    """

    slot: int
    sequence: int
    pts_seconds: float | None
    captured_seconds: float
    dropped: int
    lost: int


@dataclass(frozen=True)
class Ended:
    """Worker to parent: the source has no more frames."""


@dataclass(frozen=True)
class Failed:
    """Worker to parent: the source cannot be read; ``exit_code`` is that of the error's class."""

    message: str
    exit_code: int


Worked = NewLayout | FrameReady | Ended | Failed


class _Handover:
    """The worker's end of the ring."""

    def __init__(self, connection: Connection, *, wait_for_slot: bool) -> None:
        self._connection = connection
        self._wait = wait_for_slot
        self._ring: Ring | None = None
        self._free: list[int] = []
        self._sequence = 0
        self._dropped = self._lost = 0

    def give(self, image: Image, raw: RawFrame, captured_seconds: float) -> bool:
        """Hand a frame over; False where the parent refuses its layout."""
        layout = Layout.of(image)
        ring = self._ring
        if ring is None or ring.layout != layout:
            ring = self._renegotiate(layout)
        if ring is None:
            return False
        while self._connection.poll(None if self._wait and not self._free else 0):
            self._free.append(self._connection.recv())
        sequence, self._sequence = self._sequence, self._sequence + 1
        self._lost += raw.lost
        if not self._free:
            self._dropped += 1
            return True
        slot = self._free.pop()
        ring.write(slot, image)
        lacking = self._dropped, self._lost
        self._dropped = self._lost = 0
        self._connection.send(FrameReady(slot, sequence, raw.pts_seconds, captured_seconds, *lacking))
        return True

    def _renegotiate(self, layout: Layout) -> Ring | None:
        self.close()
        self._connection.send(NewLayout(layout))
        while not isinstance(answer := self._connection.recv(), UseRing):
            pass  # slots of the old ring that came back too late
        if answer.name is None:
            return None
        self._ring, self._free = Ring(layout, name=answer.name), list(range(layout.slots))
        return self._ring

    def close(self) -> None:
        if self._ring is not None:
            self._ring.close()
            self._ring = None


def run_worker(config: CameraConfig, connection: Connection, *, every: bool, start_seconds: float) -> None:
    """Read a camera until its source ends, fails or the parent is gone.

    Args:
        config: The camera.
        connection: Pipe to the parent.
        every: Wait for the parent instead of dropping frames, and do not keep a recorded source to its own pace.
        start_seconds: Time on the monotonic clock at which the first frame of a recorded source is due.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C goes to the whole group; the parent decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    recorded = not config.uri.live
    handover = _Handover(connection, wait_for_slot=every and recorded)
    try:
        raw = None
        for raw in _paced(config, every=every, start_seconds=start_seconds):
            captured = raw.captured_seconds
            if captured is None:
                captured = start_seconds + (raw.pts_seconds or 0.0) if recorded else time.monotonic()
            if not handover.give(config.picture(raw.image), raw, captured):
                return
        if raw is None and recorded:
            raise InputError(f"{config.uri.shown}: no frame of it can be decoded")
        connection.send(Ended())
    except EdgeFuseError as error:
        connection.send(Failed(redact(str(error)), error.exit_code))
    except (BrokenPipeError, EOFError):
        pass
    finally:
        handover.close()


def _paced(config: CameraConfig, *, every: bool, start_seconds: float) -> Iterator[RawFrame]:
    """Keep a recorded source to the times of its frames, as a camera would."""
    for raw in read_frames(config):
        if not config.uri.live and not every and raw.pts_seconds is not None:
            time.sleep(max(0.0, start_seconds + raw.pts_seconds - time.monotonic()))
        yield raw


def _leave_with_parent() -> None:
    """End at once when the parent dies, whatever a library hangs in."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
