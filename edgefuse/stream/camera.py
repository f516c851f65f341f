"""A camera in its own process, watched: restarted when it hangs or dies, its shutter told from its death."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Literal

import numpy as np

from edgefuse.errors import InputError
from edgefuse.stream.config import CameraConfig
from edgefuse.stream.frame import Frame
from edgefuse.stream.ring import Layout, Ring
from edgefuse.stream.worker import Ended, Failed, FrameReady, NewLayout, UseRing, run_worker

__all__ = ["STALL_SECONDS", "Camera", "CameraState", "CameraStatus"]

CameraState = Literal["starting", "running", "held", "restarting", "ended", "failed"]

STALL_SECONDS = 2.0
"""A camera that has been silent this long is restarted."""

_HELD_SECONDS = 0.3
"""Silence or a repeated picture this long is a closed shutter: the shortest that cameras are known for."""

_START_SECONDS = 10.0
_DRAWING_SECONDS = 60.0
_BACKOFF_SECONDS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
_HEALTHY_SECONDS = 10.0
_POLL_SECONDS = 0.05
_RATE_FRAMES = 31


@dataclass
class CameraStatus:
    """What is known of a camera.

    Args:
        state: ``held`` is a shutter: silent or repeating a picture, not dead.
        frames: Frames received since the start.
        dropped: Frames that came faster than they were taken.
        lost: Frames that the device captured and did not deliver whole.
        restarts: Restarts by cause: stalled, died, ended, failed, refused.
        layout: Size and type of its frames.
        error: What went wrong last.
        exit_code: Exit code of the class of that error.
        last_seconds: Monotonic time at which the last frame came.
        changed_seconds: Capture time of the last picture that differed from the one before.
        rate_hz: Frames a second, over the last thirty.
    """

    state: CameraState = "starting"
    frames: int = 0
    dropped: int = 0
    lost: int = 0
    restarts: Counter[str] = field(default_factory=Counter)
    layout: Layout | None = None
    error: str | None = None
    exit_code: int = InputError.exit_code
    last_seconds: float | None = None
    changed_seconds: float | None = None
    rate_hz: float | None = None


class Camera:
    """Captures one source in a process of its own and calls back with every frame.

    Args:
        config: The camera.
        on_frame: Called in the camera's thread with each frame.
        on_state: Called in the camera's thread when the state changes.
        every: Take every frame of a recorded source, at any speed.
        start_seconds: Monotonic time at which recorded sources begin, common to both cameras.
        fixed_layout: Refuse frames of another size or type than the first; otherwise a change is followed.
        stall_seconds: Silence after which the process is killed and started again.
    """

    def __init__(
        self,
        config: CameraConfig,
        on_frame: Callable[[Frame], None],
        *,
        on_state: Callable[[CameraConfig, CameraState], None] = lambda *_: None,
        every: bool = False,
        start_seconds: float | None = None,
        fixed_layout: bool = False,
        stall_seconds: float = STALL_SECONDS,
    ) -> None:
        self.config = config
        self._on_frame, self._on_state = on_frame, on_state
        self._every = every
        self._start_seconds = time.monotonic() if start_seconds is None else start_seconds
        self._fixed_layout = fixed_layout
        profile = config.profile
        # A shutter may silence a thermal camera longer than a dead one is waited for.
        self._stall_seconds = max(stall_seconds, profile.shutter_seconds + 0.5) if profile else stall_seconds
        drawing = _DRAWING_SECONDS if config.uri.kind == "synthetic" else 0.0
        self._first_frame_seconds = max(_START_SECONDS, drawing, profile.start_seconds if profile else 0.0)
        self._status = CameraStatus()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._process: SpawnProcess | None = None
        self._connection: Connection | None = None
        self._ring: Ring | None = None
        self._sequence = 0
        self._last: Frame | None = None
        self._times: deque[float] = deque(maxlen=_RATE_FRAMES)
        self._thread = threading.Thread(target=self._run, name=f"camera-{config.role}", daemon=True)

    def start(self) -> None:
        """Begin to capture."""
        self._thread.start()

    def status(self) -> CameraStatus:
        """A copy of what is known now."""
        with self._lock:
            return replace(self._status, restarts=Counter(self._status.restarts))

    @property
    def process_id(self) -> int | None:
        """Process that captures now, or None."""
        process = self._process
        with suppress(ValueError):  # it ended, and was closed, just now
            return None if process is None else process.pid
        return None

    def close(self) -> None:
        """Kill the process and free everything. Closing twice does nothing."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=3.0)
        self._end_process()

    def _run(self) -> None:
        try:
            self._supervise()
        except Exception as error:
            self._note_error(f"cannot capture ({type(error).__name__}: {error})")
            self._set_state("failed")
            raise

    def _supervise(self) -> None:
        failures = 0
        while not self._stop.is_set():
            self._set_state("restarting" if failures else "starting")
            began = time.monotonic()
            cause = self._run_once()
            self._end_process()
            if self._stop.is_set() or cause is None:
                return
            with self._lock:
                self._status.restarts[cause] += 1
            healthy = self._status.last_seconds is not None and self._status.last_seconds - began > _HEALTHY_SECONDS
            failures = 1 if healthy else failures + 1
            self._set_state("restarting")
            self._stop.wait(_BACKOFF_SECONDS[min(failures, len(_BACKOFF_SECONDS)) - 1])

    def _run_once(self) -> str | None:
        """Run one process to its end; returns why to start another, or None for the end of all."""
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        self._connection = ours
        process = context.Process(
            target=run_worker,
            args=(self.config, theirs),
            kwargs={"every": self._every, "start_seconds": self._start_seconds},
            daemon=True,
            name=f"edgefuse-{self.config.role}",
        )
        with _interrupts_blocked():
            process.start()
        self._process = process
        theirs.close()
        patience = self._first_frame_seconds
        deadline = time.monotonic() + patience
        while not self._stop.is_set():
            try:
                if not ours.poll(_POLL_SECONDS):
                    self._note_silence()
                    if time.monotonic() > deadline:
                        self._note_error(f"no frame for {patience:g} s")
                        return "stalled"
                    continue
                message = ours.recv()
            except (EOFError, OSError):
                self._note_error("its process died")
                return "died"
            if isinstance(message, FrameReady):
                self._take(ours, message)
                patience = self._stall_seconds
                deadline = time.monotonic() + patience
            elif isinstance(message, NewLayout):
                if not self._agree(ours, message.layout):
                    return "refused"
            elif isinstance(message, Ended):
                return self._after_end("ended", "its source ended")
            elif isinstance(message, Failed):
                return self._after_end("failed", message.message, exit_code=message.exit_code)
        return None

    def _after_end(self, cause: Literal["ended", "failed"], message: str, *, exit_code: int = 1) -> str | None:
        permanent = exit_code != InputError.exit_code
        with self._lock:
            self._status.exit_code = exit_code
        if cause == "failed" or self.config.uri.live:
            self._note_error(message)
        if self.config.uri.live and not permanent:
            return cause
        self._set_state(cause)
        return None

    def _agree(self, connection: Connection, layout: Layout) -> bool:
        """Make a ring for frames of a layout, or refuse it by name."""
        with self._lock:
            before = self._status.layout
        accepted = before in (None, layout) or not self._fixed_layout
        if not accepted:
            self._note_error(
                f"its frames are {layout} now, but the stream was set up for {before}: restart it for the new size"
            )
            _answer(connection, UseRing(None))
            return False
        if self._ring is not None:
            self._ring.close()
        self._ring = Ring(layout)
        self._last = None
        self._times.clear()
        with self._lock:
            self._status.layout = layout
        _answer(connection, UseRing(self._ring.name))
        return True

    def _take(self, connection: Connection, message: FrameReady) -> None:
        if self._ring is None:
            return
        image = self._ring.read(message.slot)
        _answer(connection, message.slot)
        offset = self.config.offset_seconds
        captured = message.captured_seconds - offset
        last = self._last
        same = last is not None and self.config.uri.live and np.array_equal(last.image, image)
        changed = last.changed_seconds if same and last is not None else captured
        frame = Frame(self.config.role, image, self._sequence, message.pts_seconds, captured, changed, offset)
        self._sequence += 1
        self._last = frame
        with self._lock:
            status, now = self._status, time.monotonic()
            # Network streams begin with a burst: a mean over many frames soon forgets it.
            self._times.append(captured)
            if (span := captured - self._times[0]) > 0.0:
                status.rate_hz = (len(self._times) - 1) / span
            status.frames += 1
            status.dropped += message.dropped
            status.lost += message.lost
            status.last_seconds, status.changed_seconds = now, changed
        self._set_state("held" if self.config.role == "ir" and captured - changed > _HELD_SECONDS else "running")
        self._on_frame(frame)

    def _note_silence(self) -> None:
        with self._lock:
            last, state = self._status.last_seconds, self._status.state
        if state == "running" and last is not None and time.monotonic() - last > max(_HELD_SECONDS, self._period() * 3):
            self._set_state("held")

    def _period(self) -> float:
        return 1.0 / self._status.rate_hz if self._status.rate_hz else 0.0

    def _note_error(self, message: str) -> None:
        shown = self.config.uri.shown
        with self._lock:
            self._status.error = f"{self.config.role} {shown}: {message.removeprefix(f'{shown}: ')}"

    def _set_state(self, state: CameraState) -> None:
        with self._lock:
            changed = self._status.state != state
            self._status.state = state
        if changed:
            self._on_state(self.config, state)

    def _end_process(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.join(1.0)
            if not process.is_alive():
                process.close()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        ring, self._ring = self._ring, None
        if ring is not None:
            ring.close()


def _answer(connection: Connection, message: UseRing | int) -> None:
    """Answer a process that may be gone already; what it sent before is still to be read, and then its end."""
    with suppress(OSError):
        connection.send(message)


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """A Ctrl-C goes to the whole group: a process too young to ignore it would answer with a traceback."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # started with the first process otherwise, and it unblocks the signals again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
