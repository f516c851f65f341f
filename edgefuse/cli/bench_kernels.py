"""``edgefuse bench kernels``: the fused kernels beside what they replace."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgefuse.cli._console import emit_json, log, out, progress
from edgefuse.errors import UsageError

__all__ = ["kernels_command"]


def kernels_command(
    ops: Annotated[
        str | None, typer.Option(help="Of gradient_loss, ssim, spectral_conv, rpfnet, warp; separate with commas.")
    ] = None,
    sizes: Annotated[
        str | None,
        typer.Option(help="As 16x128x128, 16x32x128x128 with channels, 480x640 for warp; separate with commas."),
    ] = None,
    dtype: Annotated[str, typer.Option(help="Of fp32, fp16, bf16; separate with commas.")] = "fp32",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    full: Annotated[
        bool, typer.Option("--full", help="Measure torch.compile too, and half precision on a GPU.")
    ] = False,
    seconds: Annotated[float, typer.Option(help="Time for the timed runs of each series.")] = 0.5,
    threads: Annotated[int | None, typer.Option(help="CPU threads; by default one a physical core.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Also save the JSON record here.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the record as JSON, raw times included.")] = False,
) -> None:
    """Measure the fused kernels beside eager PyTorch, its compiler and a copy of as many bytes.

    Each implementation's result is checked against the exact one before it is timed.
    """
    if not seconds > 0:  # NaN is above nothing
        raise UsageError("--seconds must be above 0")

    from edgefuse.bench.kernels import OPS, KernelRow, kernels_markdown, run_kernel_bench
    from edgefuse.bench.record import check_savable, save_document

    if output is not None:
        check_savable(output)
    with progress("Measuring", None) as advance:

        def finish(row: KernelRow) -> None:
            advance(1)
            if row.failed is not None:
                log(f"{row.op} {row.case} {row.implementation} failed: {row.failed}", style="red")

        record = run_kernel_bench(
            device=device,
            ops=_list(ops) or OPS,
            sizes=_list(sizes),
            dtypes=_list(dtype),
            full=full,
            seconds=seconds,
            threads=threads,
            on_row=finish,
        )
    record = {"command": "bench kernels", **record}
    if output is not None:
        save_document(record, output)
    if json:
        emit_json("bench kernels", record)
    else:
        out(kernels_markdown(record).rstrip("\n"))
    if any(row["failed"] is not None for row in record["rows"]):
        raise typer.Exit(1)


def _list(text: str | None) -> list[str]:
    return [item.strip() for item in (text or "").split(",") if item.strip()]
