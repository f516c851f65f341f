"""``edgefuse bench stream``: the live pipeline on simulated cameras."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgefuse.cli._console import emit_json, out, progress
from edgefuse.errors import UsageError
from edgefuse.zoo import DEFAULT_MODEL

__all__ = ["stream_command"]


def stream_command(
    model: Annotated[str, typer.Argument(help="A bundled model or the path of a model file.")] = DEFAULT_MODEL,
    imgsz: Annotated[str, typer.Option(metavar="H W", help="Height and width of both cameras.")] = "480 640",
    rate: Annotated[float, typer.Option(help="Frames a second of both cameras.")] = 30.0,
    seconds: Annotated[float, typer.Option(help="How long to run after warm-up.")] = 60.0,
    cores: Annotated[int, typer.Option(help="CPU cores for everything, the cameras included.")] = 2,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Also save the JSON record here.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the record as JSON.")] = False,
) -> None:
    """Measure the live pipeline on two simulated cameras: milliseconds of every stage, drops, memory.

    Exit code 1 says that a frame was dropped after warm-up, or that a queue or the memory grew.
    """
    if not (seconds > 0 and rate > 0) or cores < 1:  # NaN is above nothing
        raise UsageError("--seconds and --rate must be above 0, --cores at least 1")
    sides = imgsz.replace(",", " ").split()
    if len(sides) != 2 or not all(side.isdigit() and int(side) for side in sides):
        raise UsageError(f"--imgsz takes one height and width here, as in 480 640, not {imgsz!r}")

    from edgefuse.bench.bench_stream import STREAM_COMMAND, stream_markdown, stream_record
    from edgefuse.bench.record import check_savable, save_document

    if output is not None:
        check_savable(output)
    size = (int(sides[0]), int(sides[1]))
    with progress("Streaming", None):
        record = stream_record(model, seconds=seconds, size=size, rate_hz=rate, cores=cores)
    if output is not None:
        save_document(record, output)
    if json:
        emit_json(STREAM_COMMAND, record)
    else:
        out(stream_markdown(record).rstrip("\n"))
    if not all(record["checks"].values()):
        raise typer.Exit(1)
