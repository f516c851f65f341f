"""Fusing many pairs of files: resumable, and never stopped by a bad one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgefuse.arrays import Image
from edgefuse.errors import EdgeFuseError, InputError
from edgefuse.fuser import Fuser
from edgefuse.images import read_ir, read_vis, write_image
from edgefuse.pairs import PathPair
from edgefuse.sheet import contact_sheet
from edgefuse.thermal import to_unit

__all__ = ["PairResult", "check_writable", "fuse_pairs", "pair_sheet"]


@dataclass(frozen=True)
class PairResult:
    """What became of one pair.

    Attributes:
        name: Stem of the pair.
        output: File that holds the fused image, or None where there is none.
        latency_ms: Time from decoded images to the fused image, or None where nothing was fused; of a video the mean of
            a frame, decoding and encoding included.
        skipped: The output was there already.
        error: What went wrong, or None.
        frames: Of a video, how many were fused.
    """

    name: str
    output: Path | None
    latency_ms: float | None = None
    skipped: bool = False
    error: str | None = None
    frames: int | None = None


def fuse_pairs(
    fuser: Fuser,
    pairs: Iterable[PathPair],
    target: Callable[[PathPair], Path],
    *,
    overwrite: bool = False,
    sheet: bool = False,
    on_result: Callable[[PairResult], None] | None = None,
) -> list[PairResult]:
    """Fuse pairs of files one after the other.

    Each output is written in one step, so what is there after an interruption is whole and the next run goes on
    behind it.

    Args:
        fuser: Fuses each pair.
        pairs: The files.
        target: Where the fused image of a pair goes.
        overwrite: Replace outputs that are there; otherwise they are skipped.
        sheet: Also write ``<stem>_sheet.png`` with infrared, visible and fused side by side.
        on_result: Called after each pair.

    Returns:
        One result a pair, in order.
    """
    results = []
    for pair in pairs:
        output = target(pair)
        if output.exists() and not overwrite:
            result = PairResult(pair.name, output, skipped=True)
        else:
            result = _fuse_one(fuser, pair, output, sheet=sheet)
        results.append(result)
        if on_result is not None:
            on_result(result)
    return results


def _fuse_one(fuser: Fuser, pair: PathPair, output: Path, *, sheet: bool) -> PairResult:
    try:
        ir, vis = read_ir(pair.ir), read_vis(pair.vis)
        started = time.perf_counter()
        try:
            fused = fuser(ir, vis)
        except InputError as error:
            raise InputError(f"{pair.ir} and {pair.vis}: {error}") from error
        latency_ms = (time.perf_counter() - started) * 1e3
        # The sheet goes first: a run that is cut off between the two does this pair again.
        if sheet:
            write_image(output.with_name(f"{output.stem}_sheet.png"), pair_sheet(ir, vis, fused))
        write_image(output, fused)
    except EdgeFuseError as error:
        return PairResult(pair.name, None, error=str(error))
    return PairResult(pair.name, output, latency_ms=latency_ms)


def pair_sheet(ir: Image, vis: NDArray[np.uint8], fused: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Infrared, visible and fused image side by side, labelled.

    Args:
        ir: ``(H, W)`` infrared of any dtype; shown as the network sees it.
        vis: Visible image.
        fused: Fused image.

    Returns:
        BGR uint8 sheet.
    """
    seen = cv2.convertScaleAbs(to_unit(ir), alpha=255.0)
    return contact_sheet([("infrared", seen), ("visible", vis), ("fused", fused)])


def check_writable(folder: Path) -> None:
    """Make a folder for outputs and try that files can be written there, before any work is done.

    Args:
        folder: The folder.

    Raises:
        InputError: It cannot be made or written to.
    """
    probe = folder / ".edgefuse-write-test"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(f"{folder}: cannot write there ({error.strerror}); choose another --output") from error
