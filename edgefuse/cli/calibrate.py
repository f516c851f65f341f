"""``edgefuse calibrate``: where infrared pixels lie in the visible picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgefuse.cli._console import emit_json, log
from edgefuse.errors import InputError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgefuse.arrays import Image
    from edgefuse.calibrate import Calibration

__all__ = ["calibrate_command"]


def calibrate_command(
    ir: Annotated[
        Path | None, typer.Option(help="Infrared picture, or folder of them for --circles and --checkerboard.")
    ] = None,
    vis: Annotated[Path | None, typer.Option(help="Visible picture, or folder of the same names.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="TOML file to write.")] = Path("calibration.toml"),
    auto: Annotated[
        bool, typer.Option("--auto", help="Match the contours of one pair; refuses a doubtful match.")
    ] = False,
    ir_points: Annotated[str | None, typer.Option(help='Four points or more: "x,y x,y x,y x,y".')] = None,
    vis_points: Annotated[str | None, typer.Option(help="The same points in the visible picture.")] = None,
    circles: Annotated[str | None, typer.Option(help="Circle grid: COLUMNSxROWS, as in 7x5.")] = None,
    checkerboard: Annotated[str | None, typer.Option(help="Heated checkerboard: inner corners, COLUMNSxROWS.")] = None,
    distance: Annotated[
        float | None, typer.Option(help="Distance of the scene in metres; it holds only there.")
    ] = None,
    time_offset: Annotated[float, typer.Option(help="How much later infrared frames are stamped, in ms.")] = 0.0,
    time_from: Annotated[
        Path | None,
        typer.Option(help="Find the time offset in a recording of motion (stream --record). Alone: into OUTPUT."),
    ] = None,
    overlay: Annotated[Path | None, typer.Option(help="Picture to judge by eye. [OUTPUT with .png]")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Find the homography between two cameras (--auto, points or boards that both see) and their time offset."""
    chosen = [auto, ir_points is not None or vis_points is not None, circles is not None, checkerboard is not None]
    if time_from is not None and time_offset != 0.0:
        raise UsageError("give --time-offset, or --time-from to find it")
    if time_from is not None and not any(chosen) and ir is None and vis is None:
        _retime(output, time_from, as_json=json)
        return
    if sum(chosen) != 1:
        raise UsageError("choose one: --auto, --ir-points with --vis-points, --circles or --checkerboard")
    if distance is not None and not distance > 0.0:
        raise UsageError(f"--distance must be positive, not {distance:g}")
    picture = overlay or output.with_suffix(".png")
    _check_outputs(output, picture, sources=(ir, vis), overwrite=overwrite)
    if ir is None or vis is None:
        raise UsageError("give both --ir and --vis")
    pairs = _read(ir, vis)
    if len(pairs) > 1 and (auto or ir_points is not None or vis_points is not None):
        raise UsageError("--auto and points take one pair of pictures, not folders")
    evidence: dict[str, float | int] = {}
    if time_from is not None:
        time_offset, evidence = _time_offset_ms(time_from)
    if auto:
        from edgefuse.calibrate import find_homography

        match = find_homography(pairs[0][0], pairs[0][1], distance_metres=distance)
        found = _with_offset(match.calibration, time_offset)
        evidence |= {"blocks": match.blocks, "inliers": match.inliers, "disagreement_px": match.disagreement_px}
    elif circles is not None or checkerboard is not None:
        found = _by_board(pairs, circles, checkerboard, distance, time_offset)
    else:
        found = _by_points(pairs[0], ir_points, vis_points, distance, time_offset)
    found.save(output)
    _write_overlay(found, pairs[0], picture)
    _report(found, output, picture, evidence, as_json=json)


def _check_outputs(output: Path, picture: Path, *, sources: tuple[Path | None, ...], overwrite: bool) -> None:
    if output.suffix != ".toml":
        raise UsageError(f"--output {output}: a calibration is a .toml file")
    if any(picture.resolve() == source.resolve() for source in sources if source is not None):
        raise UsageError(f"the overlay would replace {picture}, a picture to be registered: give another --overlay")
    for path in (output, picture):
        if path.exists() and not overwrite:
            raise InputError(f"{path} is there already: give another --output, or --overwrite to replace it")


def _time_offset_ms(recording: Path) -> tuple[float, dict[str, float | int]]:
    from edgefuse.calibrate import find_time_offset

    found = find_time_offset(recording)
    return found.seconds * 1e3, {
        "time_correlation": found.correlation,
        "time_disagreement_ms": found.disagreement_seconds * 1e3,
    }


def _retime(path: Path, recording: Path, *, as_json: bool) -> None:
    """Put the time offset into a calibration that is there."""
    from edgefuse.calibrate import Calibration

    calibration = Calibration.load(path)
    offset_ms, evidence = _time_offset_ms(recording)
    _with_offset(calibration, offset_ms).save(path)
    if as_json:
        emit_json("calibrate", {"output": path, "time_offset_ms": offset_ms} | evidence)
        return
    typer.echo(f"{path}: infrared frames are stamped {offset_ms:.1f} ms later than visible ones")


def _read(ir: Path, vis: Path) -> list[tuple[Image, NDArray[np.uint8]]]:
    from edgefuse.images import read_ir, read_vis
    from edgefuse.pairs import pair_folders

    if ir.is_dir() != vis.is_dir():
        raise UsageError(f"{ir} and {vis}: give two folders or two files")
    if not ir.is_dir():
        return [(read_ir(ir), read_vis(vis))]
    return [(read_ir(pair.ir), read_vis(pair.vis)) for pair in pair_folders(ir, vis).pairs]


def _with_offset(calibration: Calibration, time_offset_ms: float) -> Calibration:
    from dataclasses import replace

    return replace(calibration, time_offset_seconds=time_offset_ms / 1e3)


def _by_board(
    pairs: list[tuple[Image, NDArray[np.uint8]]],
    circles: str | None,
    checkerboard: str | None,
    distance: float | None,
    time_offset_ms: float,
) -> Calibration:
    from edgefuse.calibrate import from_boards

    text = circles or checkerboard or ""
    columns, _, rows = text.partition("x")
    if not (columns.isdecimal() and rows.isdecimal() and min(int(columns), int(rows)) >= 3):
        raise UsageError(f"a board is COLUMNSxROWS with three or more of each, as in 7x5, not {text!r}")
    return from_boards(
        pairs,
        size=(int(columns), int(rows)),
        kind="circles" if circles is not None else "checkerboard",
        distance_metres=distance,
        time_offset_seconds=time_offset_ms / 1e3,
    )


def _by_points(
    pair: tuple[Image, NDArray[np.uint8]],
    ir_points: str | None,
    vis_points: str | None,
    distance: float | None,
    time_offset_ms: float,
) -> Calibration:
    from edgefuse.calibrate import from_points

    if ir_points is None or vis_points is None:
        raise UsageError("--ir-points and --vis-points go together")
    ir, vis = pair
    return from_points(
        _points("--ir-points", ir_points),
        _points("--vis-points", vis_points),
        ir_size=(ir.shape[0], ir.shape[1]),
        vis_size=(vis.shape[0], vis.shape[1]),
        distance_metres=distance,
        time_offset_seconds=time_offset_ms / 1e3,
    )


def _points(option: str, text: str) -> NDArray[np.float64]:
    import numpy as np

    try:
        points = np.array([[float(value) for value in point.split(",")] for point in text.split()], np.float64)
    except ValueError:
        points = np.zeros(0)
    if points.ndim != 2 or points.shape[1] != 2:
        raise UsageError(f'{option} is "x,y x,y x,y x,y", not {text!r}')
    return points


def _write_overlay(found: Calibration, pair: tuple[Image, NDArray[np.uint8]], path: Path) -> None:
    from edgefuse.images import write_image
    from edgefuse.stream.palettes import overlay
    from edgefuse.stream.registration import Registration
    from edgefuse.thermal import to_unit

    ir, vis = pair
    write_image(path, overlay(Registration(found)(to_unit(ir), vis), vis))


def _report(
    found: Calibration, output: Path, picture: Path, evidence: dict[str, float | int], *, as_json: bool
) -> None:
    if as_json:
        payload = {
            "output": output,
            "overlay": picture,
            "method": found.method,
            "homography": found.homography,
            "ir_size": found.ir_size[::-1],
            "vis_size": found.vis_size[::-1],
            "points": found.points,
            "error_px": found.error_px,
            "distance_metres": found.distance_metres,
            "time_offset_ms": found.time_offset_seconds * 1e3,
        }
        emit_json("calibrate", payload | evidence)
        return
    error = "" if found.error_px is None else f", {found.error_px:.2f} px off (root mean square)"
    typer.echo(f"{output}: {found.points} points{error}\n{picture}: look whether contours of both lie on each other")
    if found.distance_metres is None:
        log("no --distance given: note yourself at which distance this holds", style="yellow")
