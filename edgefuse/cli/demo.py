"""``edgefuse demo``: a simulated night street, fused."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgefuse.cli._console import emit_json, progress
from edgefuse.errors import InputError, UsageError
from edgefuse.zoo import DEFAULT_MODEL

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgefuse.arrays import Image

__all__ = ["demo_command"]

_TIMED_RUNS = 20


def demo_command(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the pictures.")] = Path("out/demo"),
    ir: Annotated[Path | None, typer.Option(help="Infrared image of your own, with --vis.")] = None,
    vis: Annotated[Path | None, typer.Option(help="Visible image of your own, with --ir.")] = None,
    model: Annotated[str, typer.Option(help="Bundled model or path of a model file.")] = DEFAULT_MODEL,
    seed: Annotated[int, typer.Option(help="Another seed is another street.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace pictures that are there.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Fuse a simulated night street, or a pair of your own, and show what to try next."""
    from edgefuse.folder import check_writable, pair_sheet
    from edgefuse.fuser import load
    from edgefuse.images import write_image

    check_writable(output)
    files = {name: output / f"{name}.png" for name in ("ir", "vis", "fused", "sheet")}
    there = [path for path in files.values() if path.exists()]
    if there and not overwrite:
        raise InputError(f"{there[0]} is there already: give another --output, or --overwrite to replace it")
    pair = _pair(ir, vis, seed)
    with load(model) as fuser, progress("Timing", _TIMED_RUNS) as advance:
        fused = fuser(*pair)
        latencies_ms = []
        for _ in range(_TIMED_RUNS):
            started = time.perf_counter()
            fuser(*pair)
            latencies_ms.append((time.perf_counter() - started) * 1e3)
            advance(1)
    write_image(files["ir"], pair[0])
    write_image(files["vis"], pair[1])
    write_image(files["fused"], fused)
    write_image(files["sheet"], pair_sheet(*pair, fused))
    _report(model, files, statistics.median(latencies_ms), fused.shape[1::-1], as_json=json)


def _pair(ir: Path | None, vis: Path | None, seed: int) -> tuple[Image, NDArray[np.uint8]]:
    from edgefuse.images import read_ir, read_vis
    from edgefuse.synthetic import StreetScene

    if (ir is None) != (vis is None):
        raise UsageError("--ir and --vis go together: give both or neither")
    if ir is not None and vis is not None:
        return read_ir(ir), read_vis(vis)
    scene = StreetScene(seed=seed).render(0.0)
    return scene.ir, scene.vis


def _report(model: str, files: dict[str, Path], latency_ms: float, size: tuple[int, ...], *, as_json: bool) -> None:
    if as_json:
        emit_json("demo", {"model": model, "latency_ms_median": latency_ms, "files": files})
        return
    folder = files["ir"].parent
    typer.echo(
        f"fused picture      {files['fused']}\n"
        f"ir | vis | fused   {files['sheet']}\n"
        f"latency            {latency_ms:.1f} ms a pair of {size[0]}x{size[1]} ({model}, CPU, median of {_TIMED_RUNS}, "
        "with colour conversion)\n"
        "\n"
        "Next:\n"
        f"  edgefuse fuse --ir {files['ir']} --vis {files['vis']} --output {folder / 'again.png'}\n"
        "                     your own pairs, folders of pairs, videos\n"
        "  edgefuse doctor    what this machine can run\n"
        "  edgefuse bench     what a model costs here\n"
        "  edgefuse export    an engine for an RTX GPU or a Jetson"
    )
