"""``edgefuse stream`` and ``edgefuse replay``: two cameras, or a recording of them, fused."""

from __future__ import annotations

import json as json_module
import math
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgefuse.cli._console import SCHEMA_VERSION, log
from edgefuse.errors import InputError, UsageError
from edgefuse.wording import counted
from edgefuse.zoo import DEFAULT_MODEL

if TYPE_CHECKING:
    from edgefuse.stream.agc import ThermalAgc
    from edgefuse.stream.config import PairConfig
    from edgefuse.stream.profiles import ThermalProfile
    from edgefuse.stream.session import Session

__all__ = ["replay_command", "stream_command"]


def stream_command(
    ir: Annotated[
        str | None, typer.Option(help="Infrared source: v4l2:///dev/video0?format=y16, rtsp://, file, synthetic:, …")
    ] = None,
    vis: Annotated[str | None, typer.Option(help="Visible source, of the same kinds.")] = None,
    source: Annotated[Path | None, typer.Option(help="pair.toml that describes both cameras.")] = None,
    ir_profile: Annotated[
        str | None, typer.Option(help="Thermal camera: boson, lepton, infiray-split, tlinear, generic16.")
    ] = None,
    calibration: Annotated[Path | None, typer.Option(help="TOML file of edgefuse calibrate.")] = None,
    resize_ir: Annotated[bool, typer.Option("--resize-ir", help="Stretch infrared of another size.")] = False,
    model: Annotated[str, typer.Option(help="Bundled model or path of a model file.")] = DEFAULT_MODEL,
    device: Annotated[str, typer.Option(help="cpu or cuda; engines run on cuda.")] = "cpu",
    trust_engine: Annotated[
        bool, typer.Option("--trust-engine", help="Run an engine without a matching manifest; it is code.")
    ] = False,
    max_skew: Annotated[
        float | None, typer.Option(help="Largest time between the frames of a pair, in ms. [50]")
    ] = None,
    mode: Annotated[str, typer.Option(help="freshest (watching) or every (recording).")] = "freshest",
    latency_budget: Annotated[float | None, typer.Option(help="Drop frames older than this, in ms.")] = None,
    agc: Annotated[
        str, typer.Option(help="percentile, clahe, fixed (for outdoors: a cold sky pales the others) or none.")
    ] = "percentile",
    agc_range: Annotated[
        str | None, typer.Option(help="For --agc fixed: LOW:HIGH with K, C or no unit, as in 0C:60C.")
    ] = None,
    temporal_filter: Annotated[
        bool, typer.Option(help="Let the picture stand still where neither camera sees a change.")
    ] = True,
    spot: Annotated[
        str | None, typer.Option(help="X,Y or X,Y,WIDTH,HEIGHT in the infrared picture: report its temperature.")
    ] = None,
    palette: Annotated[
        str, typer.Option(help="Infrared in the preview: white-hot, black-hot, inferno, ironbow, rainbow.")
    ] = "white-hot",
    output: Annotated[
        list[str] | None,
        typer.Option(
            "--output",
            "-o",
            help="Repeatable: video, folder, window, rtsp://…, zmq://HOST:PORT, gst:PIPELINE.",
        ),
    ] = None,
    record: Annotated[Path | None, typer.Option(help="Folder for both raw streams; see edgefuse replay.")] = None,
    preview: Annotated[
        str | None, typer.Option(help="Page for a browser: PORT or HOST:PORT; 127.0.0.1 unless another is named.")
    ] = None,
    preview_token: Annotated[
        str | None,
        typer.Option(
            envvar="EDGEFUSE_PREVIEW_TOKEN", help="What visitors must know; made up elsewhere than 127.0.0.1."
        ),
    ] = None,
    preview_host: Annotated[
        list[str] | None, typer.Option(help="Further name under which the page is asked for. Repeatable.")
    ] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="End after this many pictures.")] = None,
    duration: Annotated[float | None, typer.Option(min=0.0, help="End after this many seconds.")] = None,
    json: Annotated[bool, typer.Option("--json", help="A line of JSON a second, and a summary.")] = False,
) -> None:
    """Fuse two live cameras until they end, a limit is reached, or Ctrl-C."""
    from edgefuse.fuser import load
    from edgefuse.stream.outputs import RawRecorder, create_output, dated
    from edgefuse.stream.palettes import check_palette
    from edgefuse.stream.preview import PreviewServer, parse_address
    from edgefuse.stream.session import Session, StreamOptions

    pair = _pair(ir, vis, source, ir_profile, calibration, max_skew)
    options = StreamOptions(
        mode=_mode(mode),
        latency_budget_seconds=None if latency_budget is None else latency_budget / 1e3,
        resize_ir=resize_ir,
        frames=frames,
        duration_seconds=duration,
        spot=None if spot is None else _spot(spot),
        temporal_filter=temporal_filter,
    )
    colours = check_palette(palette)
    gain = _agc(agc, agc_range, pair.ir.profile)
    address = None if preview is None else parse_address(preview)
    fuser = load(model, device=device, trust_engine=trust_engine)  # type: ignore[arg-type]  # load names the devices
    if fuser.advice:
        log(fuser.advice, style="yellow")
    if fuser.runner.frame_path:
        log(fuser.runner.frame_path)
    recorder = None if record is None else RawRecorder(dated(str(record)))
    outputs = [create_output(text) for text in output or ()]
    with Session(pair, fuser, agc=gain, outputs=outputs, recorder=recorder, options=options) as session:
        if address is None:
            _run(session, as_json=json)
            return
        server = PreviewServer(
            session,
            host=address[0],
            port=address[1],
            token=preview_token,
            allowed_hosts=preview_host or (),
            palette=colours,
            device=device,  # type: ignore[arg-type]  # load has checked it
            models_folder=Path(model).parent if Path(model).is_file() else None,
        )
        log(f"preview: {server.url}")
        try:
            _run(session, as_json=json)
        finally:
            server.close()


def replay_command(
    recording: Annotated[Path, typer.Argument(help="Folder of edgefuse stream --record.")],
    output: Annotated[
        list[str] | None, typer.Option("--output", "-o", help="Repeatable: a video, or a folder for frames.")
    ] = None,
    ir_profile: Annotated[str | None, typer.Option(help="As it was for the stream; for ranges in degrees.")] = None,
    calibration: Annotated[Path | None, typer.Option(help="TOML file of edgefuse calibrate.")] = None,
    resize_ir: Annotated[bool, typer.Option("--resize-ir", help="Stretch infrared of another size.")] = False,
    model: Annotated[str, typer.Option(help="Bundled model or path of a model file.")] = DEFAULT_MODEL,
    device: Annotated[str, typer.Option(help="cpu or cuda; engines run on cuda.")] = "cpu",
    trust_engine: Annotated[
        bool, typer.Option("--trust-engine", help="Run an engine without a matching manifest; it is code.")
    ] = False,
    max_skew: Annotated[float, typer.Option(help="Largest time between the frames of a pair, in ms.")] = 50.0,
    agc: Annotated[str, typer.Option(help="percentile, clahe, fixed or none.")] = "percentile",
    agc_range: Annotated[str | None, typer.Option(help="For --agc fixed: LOW:HIGH, as in 0C:60C.")] = None,
    temporal_filter: Annotated[
        bool, typer.Option(help="Let the picture stand still where neither camera sees a change.")
    ] = True,
    json: Annotated[bool, typer.Option("--json", help="A line of JSON a second, and a summary.")] = False,
) -> None:
    """Fuse a recording: every frame, by its recorded times, with the same result each time."""
    from edgefuse.stream.recording import INDEX

    if not (recording / INDEX).is_file():
        raise InputError(f"{recording}: no recording of edgefuse stream --record ({INDEX} is missing)")
    stream_command(
        ir=f"recording:{recording}",
        vis=f"recording:{recording}",
        ir_profile=ir_profile,
        calibration=calibration,
        resize_ir=resize_ir,
        model=model,
        device=device,
        trust_engine=trust_engine,
        max_skew=max_skew,
        mode="every",
        agc=agc,
        agc_range=agc_range,
        temporal_filter=temporal_filter,
        output=output,
        json=json,
    )


def _run(session: Session, *, as_json: bool) -> None:
    trouble: dict[str, str] = {}
    with _stopped_by_signals(session):
        summary = session.run(lambda status: _emit("status", status) if as_json else _tell_trouble(status, trouble))
    if as_json:
        _emit("summary", summary)
    else:
        _print_summary(summary)


def _tell_trouble(status: dict[str, Any], told: dict[str, str]) -> None:
    """A line for what stops a camera or an output, once, and one for its return."""
    for role, camera in status["cameras"].items():
        if camera["state"] in ("running", "held"):
            _tell_return(f"{role} {camera['source']}", told)
        elif camera["error"]:
            _tell_once(f"{role} {camera['source']}", f"{camera['error']}; trying again", told)
    for item in status["outputs"]:
        if item["error"] is None:
            _tell_return(f"output {item['name']}", told)
        else:
            error = item["error"].removeprefix(f"{item['name']}: ")
            _tell_once(f"output {item['name']}", f"output {item['name']}: {error}", told)


def _tell_once(name: str, line: str, told: dict[str, str]) -> None:
    if told.get(name) != line:
        told[name] = line
        log(line, style="yellow")


def _tell_return(name: str, told: dict[str, str]) -> None:
    if told.pop(name, None):
        log(f"{name}: it is back")


@contextmanager
def _stopped_by_signals(session: Session) -> Iterator[None]:
    """End in good order on SIGINT and SIGTERM; a second signal ends at once."""

    def handle(number: int, _: object) -> None:
        session.stop()
        signal.signal(number, signal.SIG_DFL)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _pair(
    ir: str | None,
    vis: str | None,
    source: Path | None,
    ir_profile: str | None,
    calibration: Path | None,
    max_skew_ms: float | None,
) -> PairConfig:
    from edgefuse.stream.config import CameraConfig, PairConfig, read_pair_file
    from edgefuse.stream.uri import parse_uri

    if source is not None:
        if ir is not None or vis is not None or ir_profile is not None:
            raise UsageError("--source describes both cameras: give it, or --ir, --vis and --ir-profile")
        pair = read_pair_file(source)
    elif ir is None or vis is None:
        raise UsageError("give both --ir and --vis, or --source pair.toml")
    else:
        pair = PairConfig(
            CameraConfig("ir", parse_uri(ir), profile_name=ir_profile), CameraConfig("vis", parse_uri(vis))
        )
    if calibration is not None:
        pair = replace(pair, calibration=calibration)
    return pair if max_skew_ms is None else replace(pair, max_skew_seconds=max_skew_ms / 1e3)


def _mode(name: str) -> Any:
    from edgefuse.stream.pairing import MODES

    if name not in MODES:
        raise UsageError(f"--mode must be one of {', '.join(MODES)}, not {name!r}")
    return name


def _spot(text: str) -> tuple[int, int, int, int]:
    parts = text.split(",")
    if len(parts) not in (2, 4) or not all(part.strip().isdecimal() for part in parts):
        raise UsageError(f"--spot is X,Y or X,Y,WIDTH,HEIGHT, not {text!r}")
    x, y, width, height = (int(part) for part in (*parts, "1", "1")[:4])
    return x, y, width, height


def _agc(mode: str, text: str | None, profile: ThermalProfile | None) -> ThermalAgc:
    from edgefuse.stream.agc import FixedRange, ThermalAgc

    fixed = None
    if (mode == "fixed") != (text is not None):
        raise UsageError("--agc fixed and --agc-range LOW:HIGH go together: give both or neither")
    if text is not None:
        parts = text.split(":")
        units = {part[-1:].upper() for part in parts if part[-1:].isalpha()}
        try:
            low, high = (float(part.rstrip("KCkc")) for part in parts)
        except ValueError:
            low = high = math.nan
        if math.isnan(low) or units not in (set(), {"K"}, {"C"}):
            raise UsageError(f"--agc-range is LOW:HIGH, as in 7000:8000, 0C:60C or 273K:333K, not {text!r}")
        fixed = FixedRange(low, high, "kelvin" if units == {"K"} else "celsius" if units else "counts")
    return ThermalAgc(mode, fixed=fixed, profile=profile)  # type: ignore[arg-type]  # it names the allowed modes


def _emit(event: str, payload: dict[str, Any]) -> None:
    """One line of JSON on stdout."""
    typer.echo(json_module.dumps({"schema_version": SCHEMA_VERSION, "command": "stream", "event": event, **payload}))


def _print_summary(summary: dict[str, Any]) -> None:
    rate = summary["rate_hz"]
    line = f"{counted(summary['frames'], 'frame')} in {summary['seconds']:.1f} s"
    log(line + (f", {rate:.1f} a second" if rate else "") + f", {summary['held_frames']} with held infrared")
    for name, stage in summary["stages"].items():
        if stage["count"]:
            values = "  ".join(f"{key[:-3]} {stage[key]:7.2f} ms" for key in ("p50_ms", "p90_ms", "p99_ms"))
            log(f"  {name:<9} {values}")
    log("dropped: " + (", ".join(f"{count} {cause}" for cause, count in summary["drops"].items()) or "none"))
    for role, camera in summary["cameras"].items():
        if camera["restarts"]:
            restarts = ", ".join(f"{count} {cause}" for cause, count in camera["restarts"].items())
            log(f"{role} was restarted: {restarts}; last: {camera['error']}", style="yellow")
    for item in summary["outputs"]:
        log(
            f"{item['name']}: {counted(item['written'], 'frame')}"
            + (f", stopped: {item['error']}" if item["error"] else "")
        )
