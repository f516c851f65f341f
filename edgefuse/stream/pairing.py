"""Which infrared frame belongs to which visible frame, by capture time on the monotonic clock."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Literal, get_args

from edgefuse.errors import UsageError
from edgefuse.stream.frame import Frame, Role

__all__ = ["MODES", "Mode", "Pair", "Pairer"]

Mode = Literal["freshest", "every"]
MODES: tuple[Mode, ...] = get_args(Mode)

_QUEUE_FRAMES = 8
_HISTORY_FRAMES = 64
_HOLD_SECONDS = 10.0
_PERIOD_FRAMES = 16

# Frames come in bursts (a network, a busy core). Whoever mostly fuses in at most this share of the time between two
# frames soon has fused all of a burst; no frame of it is passed over unless it is this old.
_CATCH_UP_SHARE = 0.75
_CATCH_UP_SECONDS = 0.25


@dataclass(frozen=True)
class Pair:
    """Two frames of one moment.

    Args:
        ir: Infrared frame.
        vis: Visible frame.
        skew_seconds: How much later the infrared frame was captured; negative where it is older.
        held: The infrared camera gives nothing new (its shutter is closed); this is its last frame.
        ir_age_seconds: Age of the infrared picture when the visible one was captured.
    """

    ir: Frame
    vis: Frame
    skew_seconds: float
    held: bool
    ir_age_seconds: float


class Pairer:
    """Takes the frames of both cameras and gives pairs, one for each visible frame that has a partner.

    ``freshest`` is for watching: the newest visible frame that has a partner, at once; older ones are dropped and
    counted. Whoever takes pairs faster than the camera gives them gets the frames of a burst in order instead, up to a
    quarter of a second old: nothing is lost to jitter, and the delay is gone after a few frames.
    ``every`` is for recording: each visible frame in order, with the nearest infrared frame, which is waited for. With
    recorded sources the answer then depends on the frames alone, not on when they came.

    The rates may differ. The visible camera leads: a faster infrared camera loses frames, the frames of a slower one
    serve several visible ones as long as they are within ``max_skew_seconds``.

    Args:
        max_skew_seconds: Frames further apart are no pair.
        mode: ``"freshest"`` or ``"every"``.
        live: The sources run by themselves. A late infrared frame is then waited for only as long as it
            could still be in time.
        latency_budget_seconds: A visible frame older than this is dropped; None for no limit.
        hold_seconds: The last infrared frame serves at most this long when its camera is silent.
        clock: Monotonic seconds.

    Raises:
        UsageError: An unknown mode, or a budget that is not positive.
    """

    def __init__(
        self,
        *,
        max_skew_seconds: float,
        mode: Mode = "freshest",
        live: bool = True,
        latency_budget_seconds: float | None = None,
        hold_seconds: float = _HOLD_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if mode not in MODES:
            raise UsageError(f"mode must be one of {', '.join(MODES)}, not {mode!r}")
        if latency_budget_seconds is not None and not latency_budget_seconds > 0.0:
            raise UsageError(f"the latency budget must be positive, not {latency_budget_seconds * 1e3:g} ms")
        self._max_skew, self._mode, self._live = max_skew_seconds, mode, live
        self._budget, self._hold, self._clock = latency_budget_seconds, hold_seconds, clock
        self._vis: deque[Frame] = deque()
        self._ir: deque[Frame] = deque()
        self._ir_ended = self._vis_ended = self._closed = self._exhausted = False
        self._captured: dict[Role, deque[float]] = {role: deque(maxlen=_PERIOD_FRAMES) for role in get_args(Role)}
        self._given_seconds: float | None = None
        self._busy_seconds: deque[float] = deque(maxlen=_PERIOD_FRAMES)
        self._changed = threading.Condition()
        self._last_ir_sequence = -1
        self.drops: Counter[str] = Counter()

    def offer(self, frame: Frame) -> None:
        """Take a frame in. With recorded sources in mode ``every`` this waits while the queue is full.

        Args:
            frame: A frame; those of one camera come in order.
        """
        with self._changed:
            if not self._live:
                self._changed.wait_for(lambda: self._has_room(frame.role))
            self._captured[frame.role].append(frame.captured_seconds)
            if frame.role == "ir":
                self._ir.append(frame)
                self._trim_ir()
            else:
                self._vis.append(frame)
                if self._live and len(self._vis) > _QUEUE_FRAMES:
                    self._drop("queue_full")
            self._changed.notify_all()

    def _has_room(self, role: Role) -> bool:
        if role == "vis":
            return self._closed or len(self._vis) < _QUEUE_FRAMES
        self._trim_ir()
        return self._closed or len(self._ir) < _HISTORY_FRAMES or (self._vis_ended and not self._vis)

    def _period(self, role: Role) -> float | None:
        """Median time between the last frames of a camera: bursts and pauses are the few, whenever they come."""
        steps = [after - before for before, after in pairwise(self._captured[role])]
        return median(steps) if steps else None

    def close(self) -> None:
        """Let every waiting thread go; frames offered from here on are of no use to anyone."""
        with self._changed:
            self._closed = self._ir_ended = self._vis_ended = True
            self._changed.notify_all()

    def end(self, role: Role) -> None:
        """Say that a camera gives no more frames."""
        with self._changed:
            if role == "ir":
                self._ir_ended = True
            else:
                self._vis_ended = True
            self._changed.notify_all()

    @property
    def finished(self) -> bool:
        """Whether no pair can come any more."""
        with self._changed:
            return self._exhausted or (self._vis_ended and not self._vis)

    @property
    def queued(self) -> dict[str, int]:
        """Frames that wait, by camera."""
        with self._changed:
            return {"ir": len(self._ir), "vis": len(self._vis)}

    def next(self, timeout_seconds: float) -> Pair | None:
        """Wait for the next pair.

        Args:
            timeout_seconds: How long at most.

        Returns:
            The pair, or None where none came in time.
        """
        deadline = time.monotonic() + timeout_seconds
        with self._changed:
            self._measure_busy()
            while True:
                pair = self._freshest() if self._mode == "freshest" else self._take_oldest()
                remaining = deadline - time.monotonic()
                if pair is not None or remaining <= 0.0:
                    self._given_seconds = None if pair is None else self._clock()
                    self._changed.notify_all()
                    return pair
                # A live partner may come too late without any event: look again soon.
                self._changed.wait(min(remaining, 0.005 if self._vis and self._live else remaining))

    def _freshest(self) -> Pair | None:
        newest: Pair | None = None
        while (pair := self._take_oldest()) is not None:
            if newest is not None:
                self.drops["superseded"] += 1
            newest = pair
            if self._catches_up(pair):
                break
        return newest

    def _measure_busy(self) -> None:
        """Take note of how long the last pair kept its taker."""
        if self._given_seconds is not None:
            self._busy_seconds.append(self._clock() - self._given_seconds)

    def _catches_up(self, pair: Pair) -> bool:
        """Whether a pair may be given although newer ones wait, since they will not wait long."""
        period = self._period("vis")
        # The median, again: a taker that was held up once, by a busy core, is as fast as before.
        if not self._busy_seconds or period is None or median(self._busy_seconds) > _CATCH_UP_SHARE * period:
            return False
        return self._clock() - pair.vis.captured_seconds <= _CATCH_UP_SECONDS

    def _take_oldest(self) -> Pair | None:
        """The pair of the oldest visible frame; frames that can have none are dropped on the way."""
        while self._vis:
            vis = self._vis[0]
            if self._budget is not None and self._clock() - vis.captured_seconds > self._budget:
                self._drop("latency_budget")
                continue
            found = self._partner(vis)
            if found == "wait":
                return None
            self._vis.popleft()
            self._changed.notify_all()
            if isinstance(found, Pair):
                self._last_ir_sequence = max(self._last_ir_sequence, found.ir.sequence)
                return found
            self.drops[found] += 1
        return None

    def _drop(self, cause: str) -> None:
        self._vis.popleft()
        self.drops[cause] += 1

    def _partner(self, vis: Frame) -> Pair | Literal["wait", "no_ir", "skew"]:
        nearest = min(self._ir, key=lambda frame: abs(frame.captured_seconds - vis.captured_seconds), default=None)
        skew = math.inf if nearest is None else abs(nearest.captured_seconds - vis.captured_seconds)
        # Once the infrared stream is past this moment nothing nearer will come.
        past = bool(self._ir) and self._ir[-1].captured_seconds >= vis.captured_seconds
        # A long skew at a high rate would fill the queue before its time is over, and drop every frame.
        waited = self._clock() - vis.captured_seconds > self._max_skew or len(self._vis) >= _QUEUE_FRAMES
        late = self._live and waited
        near = self._live and self._mode == "freshest" and skew <= self._max_skew / 2
        if not (past or late or near or self._ir_ended):
            return "wait"
        if nearest is not None and skew <= self._max_skew:
            return self._pair(nearest, vis)
        if self._ir_ended and not past:
            self._exhausted = True
            return "no_ir"
        return self._held(vis) or ("skew" if self._ir else "no_ir")

    def _held(self, vis: Frame) -> Pair | None:
        """The last infrared frame before a visible one, where the camera then missed frames, but not for too long."""
        before = [frame for frame in self._ir if frame.captured_seconds <= vis.captured_seconds]
        period = self._period("ir")
        if not self._live or not before or period is None:
            return None
        silent = vis.captured_seconds - before[-1].captured_seconds
        return self._pair(before[-1], vis, held=True) if 1.5 * period < silent <= self._hold else None

    def _pair(self, ir: Frame, vis: Frame, *, held: bool = False) -> Pair:
        age = max(0.0, vis.captured_seconds - ir.changed_seconds)
        repeated = ir.captured_seconds - ir.changed_seconds > self._max_skew
        return Pair(ir, vis, ir.captured_seconds - vis.captured_seconds, held or repeated, age)

    def _trim_ir(self) -> None:
        """Forget infrared frames that can be no partner any more: all but one before the oldest visible frame."""
        if self._vis:
            while len(self._ir) > 1 and self._ir[1].captured_seconds <= self._vis[0].captured_seconds:
                self._forget()
        while self._live and len(self._ir) > _HISTORY_FRAMES:
            self._forget()

    def _forget(self) -> None:
        if self._ir.popleft().sequence > self._last_ir_sequence:
            self.drops["ir_unused"] += 1
