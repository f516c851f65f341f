"""A running stream: two cameras, pairing, fusion, outputs, and what is counted of them."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

import numpy as np

from edgefuse.calibrate import Calibration
from edgefuse.errors import EdgeFuseError, InputError, MissingDependencyError, UsageError
from edgefuse.fuser import Fuser
from edgefuse.stream.agc import ThermalAgc
from edgefuse.stream.camera import Camera, CameraState
from edgefuse.stream.config import CameraConfig, PairConfig
from edgefuse.stream.frame import Frame
from edgefuse.stream.fusing import STAGES, FusedFrame, PairFuser
from edgefuse.stream.histogram import LatencyHistogram
from edgefuse.stream.outputs import Output, OutputThread, RawRecorder
from edgefuse.stream.pairing import Mode, Pair, Pairer
from edgefuse.stream.palettes import box_celsius
from edgefuse.stream.registration import Registration
from edgefuse.temporal import TemporalFilter

__all__ = ["Session", "StreamOptions"]

_START_SECONDS = 1.5
"""Recorded sources begin this long after the start: both processes are up by then."""

_WARMUP_SECONDS = 2.0
_DEFAULT_RATE_HZ = 30.0


@dataclass(frozen=True)
class StreamOptions:
    """How a stream runs.

    Args:
        mode: ``"freshest"`` for watching, ``"every"`` for recording.
        latency_budget_seconds: Older frames are dropped; None for no limit.
        resize_ir: Stretch an infrared picture of another size where there is no calibration.
        frames: End after this many pictures; None for no limit.
        duration_seconds: End after this time; None for no limit.
        spot: Box (x, y, width, height) of the infrared picture whose temperature is reported.
        temporal_filter: Let the picture stand still where neither camera sees a change; see ``TemporalFilter``.
    """

    mode: Mode = "freshest"
    latency_budget_seconds: float | None = None
    resize_ir: bool = False
    frames: int | None = None
    duration_seconds: float | None = None
    spot: tuple[int, int, int, int] | None = None
    temporal_filter: bool = True


class Session:
    """Runs a stream.

    Args:
        pair: The cameras.
        fuser: The model; closed with the session.
        agc: Gain control; the default one where None.
        outputs: Where pictures go; closed with the session.
        recorder: Takes both raw streams; closed with the session.
        options: How it runs.

    Raises:
        InputError: The calibration cannot be read.
        UsageError: A spot without a radiometric profile.
    """

    def __init__(
        self,
        pair: PairConfig,
        fuser: Fuser,
        *,
        agc: ThermalAgc | None = None,
        outputs: Iterable[Output] = (),
        recorder: RawRecorder | None = None,
        options: StreamOptions | None = None,
    ) -> None:
        self.pair, self.fuser, self.options = pair, fuser, options or StreamOptions()
        self.recorder = recorder
        if self.options.spot is not None and (pair.ir.profile is None or pair.ir.profile.kelvin_per_count is None):
            raise UsageError("a spot temperature needs a radiometric profile: tlinear or infiray-split")
        self.latest: FusedFrame | None = None
        self.frames = 0
        self.held = 0
        self.error: str | None = None
        self._refused = 0
        calibration = None if pair.calibration is None else Calibration.load(pair.calibration)
        if calibration is not None:
            pair = replace(pair, ir=_with_time_offset(pair.ir, calibration))
        self._recorded = recorded = not pair.ir.uri.live and not pair.vis.uri.live
        every = self.options.mode == "every"
        self._pair_fuser = PairFuser(
            fuser,
            agc=agc or ThermalAgc(profile=pair.ir.profile),
            registration=Registration(calibration, resize=self.options.resize_ir),
            temporal=TemporalFilter() if self.options.temporal_filter else None,
            live=pair.vis.uri.kind != "recording",
        )
        self._pairer = Pairer(
            max_skew_seconds=pair.max_skew_seconds,
            mode=self.options.mode,
            live=not (recorded and every),
            latency_budget_seconds=self.options.latency_budget_seconds,
        )
        start = time.monotonic() + _START_SECONDS
        self._cameras = {
            config.role: Camera(
                config,
                self._take,
                on_state=self._on_state,
                every=every and recorded,
                start_seconds=start,
                fixed_layout=calibration is not None,
            )
            for config in (pair.ir, pair.vis)
        }
        self._stop = threading.Event()
        wait_until = self._stop if every and recorded else None
        self._outputs = [OutputThread(output, every=every, wait_until=wait_until) for output in outputs]
        self._stages = {name: LatencyHistogram() for name in (*STAGES, "skew")}
        self._failure: Exception | None = None
        self._began = time.monotonic()
        self._first: float | None = None
        self._drops_at_warm: Counter[str] | None = None
        self._closed = False

    def _take(self, frame: Frame) -> None:
        if self.recorder is not None:
            self.recorder.offer(frame)
        self._pairer.offer(frame)

    def _on_state(self, config: CameraConfig, state: CameraState) -> None:
        if state not in ("ended", "failed"):
            return
        if state == "failed":
            status = self._cameras[config.role].status()
            kind = MissingDependencyError if status.exit_code == MissingDependencyError.exit_code else InputError
            self._failure = kind(status.error or f"{config.role}: it failed")
        self._pairer.end(config.role)

    def stop(self) -> None:
        """Ask the stream to end; safe in a signal handler."""
        self._stop.set()

    def exchange(self, fuser: Fuser) -> None:
        """Go on with another model, from the next picture on.

        Raises:
            EdgeFuseError: It cannot fuse pictures of this size; it is closed, and the stream goes on with the old one.
        """
        latest = self.latest
        try:
            if latest is not None:
                blank = np.zeros((1, 1, *fuser.input_size(*latest.fused.shape[:2])), np.float32)
                fuser.runner.infer(blank, blank)
        except EdgeFuseError:
            fuser.close()
            raise
        old, self.fuser = self._pair_fuser.exchange(fuser), fuser
        old.close()

    def recalibrate(self, calibration: Calibration) -> None:
        """Go on with another geometry, from the next picture on."""
        self._pair_fuser.registration = Registration(calibration)

    def clear_stages(self) -> None:
        """Count the stages from now on, as after a warm-up."""
        self._stages = {name: LatencyHistogram() for name in self._stages}

    def run(self, on_second: Callable[[dict[str, Any]], None] = lambda _: None) -> dict[str, Any]:
        """Run until the sources end, a limit is reached or ``stop`` is called.

        Args:
            on_second: Called about once a second with :meth:`status`.

        Returns:
            The summary: :meth:`status` at the end.

        Raises:
            InputError: A source failed for good, or the first frames do not fit each other. Later ones of live
                cameras that do not are passed over and counted as ``refused``.
            MissingDependencyError: A source needs something that is not installed.
        """
        self._began = time.monotonic()
        reported = self._began
        for camera in self._cameras.values():
            camera.start()
        while not self._done():
            pair = self._pairer.next(0.1)
            if pair is not None:
                self._fuse(pair)
            now = time.monotonic()
            if now - reported >= 1.0:
                reported = now
                on_second(self.status())
        if self._failure is not None and not self._stop.is_set():
            raise self._failure
        self.close()
        return self.status()

    def _fuse(self, pair: Pair) -> None:
        rate = self._cameras["vis"].status().rate_hz or _DEFAULT_RATE_HZ
        try:
            frame = self._pair_fuser(pair, rate_hz=rate)
        except InputError as error:
            # A live camera that came back with another size may come back with the right one.
            if self.frames == 0 or self._recorded:
                raise
            self._refused, self.error = self._refused + 1, str(error)
            return
        self.error = None
        self._count(frame)

    def _done(self) -> bool:
        options, now = self.options, time.monotonic()
        if self._stop.is_set() or self._failure is not None or self._pairer.finished:
            return True
        if options.frames is not None and self.frames >= options.frames:
            return True
        return options.duration_seconds is not None and now - self._began >= options.duration_seconds

    def _count(self, frame: FusedFrame) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first = now
        if self._drops_at_warm is None and now - self._first > _WARMUP_SECONDS:
            self._drops_at_warm = self._drops()
        for name, duration_ms in frame.stage_ms.items():
            self._stages[name].add(duration_ms)
        self._stages["skew"].add(abs(frame.pair.skew_seconds) * 1e3)
        self.frames += 1
        self.held += frame.pair.held
        self.latest = frame
        for output in self._outputs:
            output.offer(frame)

    def _sinks(self) -> list[OutputThread | RawRecorder]:
        return [*self._outputs, *([] if self.recorder is None else [self.recorder])]

    def _drops(self) -> Counter[str]:
        drops = Counter(self._pairer.drops)
        drops["refused"] = self._refused
        for role, camera in self._cameras.items():
            status = camera.status()
            drops[f"{role}_ring_full"], drops[f"{role}_lost"] = status.dropped, status.lost
        for output in self._outputs:
            drops[f"output {output.name}"] += output.dropped
        if self.recorder is not None:
            drops["recorder"] = self.recorder.dropped
        return +drops

    def status(self) -> dict[str, Any]:
        """What is known now, as JSON takes it; sources and outputs are shown without credentials."""
        now, drops = time.monotonic(), self._drops()
        latest = self.latest
        since = None if self._first is None else now - self._first
        warm = None if self._drops_at_warm is None else dict(drops - self._drops_at_warm)
        return {
            "seconds": now - self._began,
            "frames": self.frames,
            "held_frames": self.held,
            "rate_hz": self.frames / since if since else None,
            "model": self.fuser.model,
            "cameras": {role: self._camera_status(camera, now) for role, camera in self._cameras.items()},
            "queued": self._pairer.queued,
            "skew_ms": None if latest is None else latest.pair.skew_seconds * 1e3,
            "ir_age_ms": None if latest is None else latest.pair.ir_age_seconds * 1e3,
            "ir_held": None if latest is None else latest.pair.held,
            "spot_celsius": self._spot(latest),
            "latency_ms": None if latest is None else latest.stage_ms.get("total"),
            "stages": {name: histogram.summary() for name, histogram in self._stages.items()},
            "drops": dict(drops),
            "drops_after_warmup": warm,
            "error": self.error,
            "outputs": [
                {"name": output.name, "written": output.written, "dropped": output.dropped, "error": output.error}
                for output in self._sinks()
            ],
        }

    def _spot(self, latest: FusedFrame | None) -> dict[str, float] | None:
        profile, box = self.pair.ir.profile, self.options.spot
        if latest is None or profile is None or box is None:
            return None
        low, mean, high = box_celsius(latest.pair.ir.image, profile, box)
        return {"min": low, "mean": mean, "max": high}

    def _camera_status(self, camera: Camera, now: float) -> dict[str, Any]:
        status = camera.status()
        return {
            "source": camera.config.uri.shown,
            "state": status.state,
            "frames": status.frames,
            "rate_hz": status.rate_hz,
            "size": None if status.layout is None else str(status.layout),
            "silent_seconds": None if status.last_seconds is None else now - status.last_seconds,
            "restarts": dict(status.restarts),
            "error": status.error,
        }

    @property
    def healthy(self) -> bool:
        """Whether pictures come and every camera and output works; a closed shutter is no illness."""
        cameras = all(camera.status().state in ("running", "held", "ended") for camera in self._cameras.values())
        fused = self.latest is not None and self.error is None
        return cameras and fused and all(output.error is None for output in self._outputs)

    def close(self) -> None:
        """Stop the cameras, finish the outputs, free the model. Closing twice does nothing."""
        if self._closed:
            return
        self._closed = True
        self._pairer.close()
        cameras = [camera.close for camera in self._cameras.values()]
        closing = [threading.Thread(target=close) for close in (*cameras, *(sink.close for sink in self._sinks()))]
        for thread in closing:
            thread.start()
        for thread in closing:
            thread.join()
        self.fuser.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _with_time_offset(ir: CameraConfig, calibration: Calibration) -> CameraConfig:
    """The infrared camera with the offset of a calibration; it stands in for the one that a recording was made with."""
    uri = replace(ir.uri, options={"times": "stamped"}) if ir.uri.kind == "recording" else ir.uri
    return replace(ir, uri=uri, offset_seconds=ir.offset_seconds + calibration.time_offset_seconds)
