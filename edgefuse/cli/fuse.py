"""``edgefuse fuse``: image pairs, folders and video files."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgefuse.cli._console import emit_json, log, progress
from edgefuse.errors import InputError, UsageError
from edgefuse.pairs import VIDEO_SUFFIXES, PathPair, pair_folders
from edgefuse.wording import counted
from edgefuse.zoo import DEFAULT_MODEL

if TYPE_CHECKING:
    from edgefuse.folder import PairResult
    from edgefuse.fuser import Fuser

__all__ = ["fuse_command"]

DEFAULT_OUTPUT = Path("fused")


def fuse_command(
    ir: Annotated[Path, typer.Option(help="Infrared image, video, or folder of images.")],
    vis: Annotated[Path, typer.Option(help="Visible image, video, or folder of images, paired by file name.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File for one pair or video, folder for a folder.")
    ] = DEFAULT_OUTPUT,
    model: Annotated[
        str, typer.Option(help="Bundled model (edgefuse models) or path of a model file.")
    ] = DEFAULT_MODEL,
    device: Annotated[str, typer.Option(help="cpu or cuda; engines run on cuda.")] = "cpu",
    trust_engine: Annotated[
        bool, typer.Option("--trust-engine", help="Run an engine without a matching manifest; it is code.")
    ] = False,
    temporal_filter: Annotated[
        bool, typer.Option(help="Let a video stand still where neither source changes; off: each frame by itself.")
    ] = True,
    sheet: Annotated[
        bool, typer.Option("--sheet", help="Also write infrared, visible and fused side by side, for images.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace outputs that are there.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Fuse registered infrared and visible images or videos.

    A folder run can be interrupted and started again: finished pairs are skipped. A bad pair is listed at the end and
    does not stop the others.
    """
    pairs, problems = _find_pairs(ir, vis)
    is_video = len(pairs) == 1 and not ir.is_dir() and ir.suffix.lower() in VIDEO_SUFFIXES
    if is_video and sheet:
        raise UsageError("--sheet is for images; fuse the videos without it")
    to_folder = ir.is_dir() or _is_folder(output)
    suffix = ".mp4" if is_video else ".png"
    folder = output if to_folder else output.parent

    from edgefuse.folder import check_writable
    from edgefuse.fuser import load

    def target(pair: PathPair) -> Path:
        return folder / f"{pair.name}{suffix}" if to_folder else output

    check_writable(folder)
    _refuse_sources(pairs, target)
    if not ir.is_dir() and not overwrite:
        _refuse_existing(target(pairs[0]))

    with load(model, device=device, trust_engine=trust_engine) as fuser:  # type: ignore[arg-type]  # load names them
        if fuser.advice:
            log(fuser.advice, style="yellow")
        _warn_of_swapped([pair for pair in pairs if overwrite or not target(pair).exists()], is_video=is_video)
        if is_video:
            results = [_fuse_video(fuser, pairs[0], target(pairs[0]), temporal_filter=temporal_filter)]
        else:
            results = _fuse_images(fuser, pairs, target, overwrite=overwrite, sheet=sheet)
    _report(
        results, problems, model=model, where=folder if to_folder and ir.is_dir() else target(pairs[0]), as_json=json
    )


def _find_pairs(ir: Path, vis: Path) -> tuple[tuple[PathPair, ...], tuple[str, ...]]:
    for option, path in (("--ir", ir), ("--vis", vis)):
        if not path.exists():
            raise InputError(f"{option} {path}: no such file or folder")
    if ir.is_dir() != vis.is_dir():
        raise UsageError(f"{ir} and {vis}: give two folders or two files")
    if ir.is_dir():
        found = pair_folders(ir, vis)
        return found.pairs, found.problems
    if (ir.suffix.lower() in VIDEO_SUFFIXES) != (vis.suffix.lower() in VIDEO_SUFFIXES):
        raise UsageError(f"{ir} and {vis}: give two images or two videos")
    return (PathPair(vis.stem, ir, vis),), ()


def _warn_of_swapped(pairs: list[PathPair], *, is_video: bool) -> None:
    """One line for a run whose infrared is a scene in colour and whose visible picture is gray."""
    from edgefuse.swapped import find_swapped, videos_look_swapped

    if is_video:
        found = pairs[0] if pairs and videos_look_swapped(pairs[0].ir, pairs[0].vis) else None
    else:
        found = find_swapped(pairs)
    if found is not None:
        log(
            f"--ir {found.ir} is in colour and --vis {found.vis} is gray: the two look swapped; "
            "if so, exchange them and fuse again with --overwrite",
            style="yellow",
        )


def _is_folder(output: Path) -> bool:
    """Whether an output names a folder: one that is there, or a name without a suffix."""
    return output.is_dir() or not output.suffix


def _refuse_sources(pairs: tuple[PathPair, ...], target: Any) -> None:
    for pair in pairs:
        path = target(pair)
        if path.exists() and any(path.samefile(source) for source in (pair.ir, pair.vis)):
            raise UsageError(f"{path} is a picture to be fused: give another --output")


def _refuse_existing(path: Path) -> None:
    if path.exists():
        raise InputError(f"{path} is there already: give another --output, or --overwrite to replace it")


def _fuse_images(
    fuser: Fuser, pairs: tuple[PathPair, ...], target: Any, *, overwrite: bool, sheet: bool
) -> list[PairResult]:
    from edgefuse.folder import fuse_pairs

    with progress("Fusing", len(pairs)) as advance:
        return fuse_pairs(fuser, pairs, target, overwrite=overwrite, sheet=sheet, on_result=lambda _: advance(1))


def _fuse_video(fuser: Fuser, pair: PathPair, output: Path, *, temporal_filter: bool) -> PairResult:
    import time

    from edgefuse.folder import PairResult
    from edgefuse.video import fuse_videos, probe

    lengths = probe(pair.ir).frames, probe(pair.vis).frames
    with progress("Fusing", min(lengths) or None) as advance:
        started = time.perf_counter()
        frames = fuse_videos(
            fuser, pair.ir, pair.vis, output, temporal_filter=temporal_filter, on_frame=lambda *_: advance(1)
        )
        elapsed_ms = (time.perf_counter() - started) * 1e3
    if lengths[0] != lengths[1]:
        held = counted(lengths[0], "frame")
        log(f"{pair.ir} has {held}, {pair.vis} has {lengths[1]}: fused the first {frames}", style="yellow")
    return PairResult(pair.name, output, latency_ms=elapsed_ms / frames, frames=frames)


def _report(results: list[PairResult], problems: tuple[str, ...], *, model: str, where: Path, as_json: bool) -> None:
    failures = [result.error for result in results if result.error] + list(problems)
    fused = [result for result in results if result.latency_ms is not None]
    skipped = sum(result.skipped for result in results)
    median_ms = statistics.median(result.latency_ms or 0.0 for result in fused) if fused else None
    for line in failures:
        log(line, style="red")
    if as_json:
        outputs = [
            {
                "name": item.name,
                "output": item.output,
                "latency_ms": item.latency_ms,
                "skipped": item.skipped,
                "error": item.error,
            }
            for item in results
        ]
        summary = {"fused": len(fused), "skipped": skipped, "failed": len(failures), "latency_ms_median": median_ms}
        emit_json("fuse", {"model": model, **summary, "results": outputs, "problems": problems})
    else:
        _print_summary(fused, skipped, failures, median_ms, where)
    if failures:
        raise typer.Exit(1)


def _print_summary(
    fused: list[PairResult], skipped: int, failures: list[str], median_ms: float | None, where: Path
) -> None:
    if fused and fused[0].frames is not None:
        frames = counted(fused[0].frames, "frame")
        typer.echo(f"{frames} fused into {where}, {median_ms:.1f} ms a frame with decoding and encoding")
        return
    latency = f", median {median_ms:.1f} ms a pair" if median_ms is not None else ""
    skips = f", {skipped} there already (--overwrite fuses them again)" if skipped else ""
    failed = f", {len(failures)} failed" if failures else ""
    typer.echo(f"{len(fused)} fused into {where}{latency}{skips}{failed}")
