"""``python -m edgefuse.bench quality``: scores and cost beside other methods', disturbed inputs, video, sheets."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgefuse.bench.quality import measure_peers, measure_robustness
from edgefuse.bench.record import save_document
from edgefuse.errors import UsageError

__all__ = ["add_quality", "measure_quality"]

_PARTS = ("peers", "robustness", "video", "cost", "sheet")


def add_quality(commands: Any) -> None:
    """Add the command to a parser's subcommands."""
    quality = commands.add_parser("quality", help="score models beside other methods, disturbed, on video; draw sheets")
    quality.add_argument("part", choices=_PARTS, help="what to measure, or sheet: twelve scenes to look at")
    quality.add_argument("--model", action="append", default=[], help="name, or path of a model file; repeatable")
    quality.add_argument("--data", type=Path, help="folder with tno/test, roadscene/test, msrs/test; cost needs none")
    quality.add_argument("--peers", type=Path, help="JSON of other methods' values, for peers")
    quality.add_argument("--every", type=int, default=4, help="of robustness and video: score every n-th scene")
    quality.add_argument(
        "--output", type=Path, default=Path("bench/results"), help="folder of the records, or of the sheets"
    )


def measure_quality(options: argparse.Namespace) -> int:
    """Measure one part and write its record, ``quality-PART.json``, or the sheets.

    Args:
        options: As ``add_quality`` reads them.

    Returns:
        Exit code.

    Raises:
        UsageError: A number is out of range, the folder of the test sets is not given, or that of the records does not
            exist.
    """
    models = options.model or ["lite"]
    if options.every < 1:
        raise UsageError(f"--every must be at least 1, not {options.every}")
    if options.data is None and options.part != "cost":
        raise UsageError(f"{options.part} needs --data, the folder of the test sets")
    if options.part == "sheet":
        return _draw(models, options)
    if not options.output.is_dir():
        raise UsageError(f"--output {options.output}: no such folder")
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "peers": lambda: measure_peers(models, options.data, options.peers, on_row=_tell),
        "robustness": lambda: measure_robustness(models, options.data, every=options.every, on_row=_tell),
        "video": lambda: _video(models, options),
        "cost": lambda: _cost(models),
    }
    path = options.output / f"quality-{options.part}.json"
    save_document(parts[options.part](), path)
    sys.stdout.write(f"{path}\n")
    return 0


def _video(models: list[str], options: argparse.Namespace) -> dict[str, Any]:
    from edgefuse.bench.quality_video import measure_video

    return measure_video(models, options.data / "m3svd_video", every=options.every, on_row=_tell)


def _cost(models: list[str]) -> dict[str, Any]:
    from edgefuse.bench.quality_cost import measure_cost

    return measure_cost(models, on_row=_tell)


def _draw(models: list[str], options: argparse.Namespace) -> int:
    from edgefuse.bench.quality_sheet import draw_sheets

    for path in draw_sheets(models, options.data, options.output):
        sys.stdout.write(f"{path}\n")
    return 0


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
