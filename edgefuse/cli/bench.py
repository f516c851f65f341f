"""``edgefuse bench``: what models cost on this machine."""

from __future__ import annotations

import importlib.util
import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgefuse.cli._console import emit_json, log, out, progress
from edgefuse.cli._sizes import SizesCommand
from edgefuse.cli._values import ValuesGroup
from edgefuse.cli.bench_kernels import kernels_command
from edgefuse.cli.bench_stream import stream_command
from edgefuse.cli.bench_train import train_command
from edgefuse.errors import UsageError
from edgefuse.zoo import DEFAULT_MODEL

if TYPE_CHECKING:
    from edgefuse.bench.record import Record, Row
    from edgefuse.bench.spec import RowSpec, Subject

__all__ = ["bench_app"]

_DEFAULT_COMMAND = "run"
_DEFAULT_SIZE = "480 640"


class _BenchGroup(ValuesGroup):
    """Takes ``edgefuse bench lite`` as ``edgefuse bench run lite``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the default command before arguments that name no other."""
        named = bool(args) and args[0] in self.commands
        rest: list[str] = super().parse_args(ctx, args if named else [_DEFAULT_COMMAND, *args])
        return rest


bench_app = typer.Typer(
    cls=_BenchGroup,
    help="Measure what models cost: load time, parameters, operations, latency, memory, energy.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@bench_app.callback()
def _bench() -> None:
    """Keep a group even where it holds one command."""


bench_app.command("kernels")(kernels_command)
bench_app.command("stream", cls=SizesCommand)(stream_command)
bench_app.command("train")(train_command)


@bench_app.command(_DEFAULT_COMMAND, cls=SizesCommand)
def run_command(
    models: Annotated[
        list[str] | None, typer.Argument(metavar="MODEL|all", help="Names of models (edgefuse models).")
    ] = None,
    runtime: Annotated[
        str | None,
        typer.Option(help="Of torch, torch-compile, ort, ort-cuda, tensorrt, tensorrt-rtx; separate with commas."),
    ] = None,
    imgsz: Annotated[
        str, typer.Option(metavar="H W [H W]...", help="Heights and widths of the images in pixels.")
    ] = _DEFAULT_SIZE,
    precision: Annotated[str, typer.Option(help="Of fp32, fp16, bf16, int8; separate with commas.")] = "fp32",
    batch: Annotated[str, typer.Option(help="Image pairs an inference; separate with commas.")] = "1",
    device: Annotated[
        str | None, typer.Option(help="Of cpu, cuda, cuda:N; separate with commas. Each runtime has its default.")
    ] = None,
    onnx: Annotated[list[Path] | None, typer.Option(help="An ONNX file of any origin; repeat for more.")] = None,
    engine: Annotated[list[Path] | None, typer.Option(help="A built .plan or .rtx engine; repeat for more.")] = None,
    trust_engine: Annotated[
        bool, typer.Option("--trust-engine", help="Run engines without a matching manifest; they are code.")
    ] = False,
    model: Annotated[
        list[str] | None, typer.Option(help="A network of your own as module:Class; repeat for more.")
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="Weights of the one model that is measured.")] = None,
    config: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="A setting of the one model that is measured.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads; by default one a physical core.")] = None,
    seconds: Annotated[float, typer.Option(help="Time for the timed runs of each series.")] = 3.0,
    warmup: Annotated[float, typer.Option(help="Time for the runs before them.")] = 0.5,
    timeout: Annotated[float, typer.Option(help="Longest time of one row in seconds.")] = 900.0,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Also save the JSON record here.")] = None,
    view: Annotated[str, typer.Option("--format", help="Table on stdout: markdown, csv or latex.")] = "markdown",
    compare: Annotated[Path | None, typer.Option(help="A saved record to compare with.")] = None,
    with_published: Annotated[
        bool, typer.Option("--with-published", help="Add the papers' own cost tables, marked as published.")
    ] = False,
    plot: Annotated[Path | None, typer.Option(metavar="DIR", help="Draw a roofline picture into this folder.")] = None,
    quality: Annotated[
        Path | None, typer.Option(help="study.json of edgefuse eval: --plot also draws latency against quality.")
    ] = None,
    metric: Annotated[str, typer.Option(help="The score that --quality draws.")] = "VIF",
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Export graphs anew.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the record as JSON, raw times included.")] = False,
) -> None:
    """Measure models: load time, parameters, MACs and FLOPs, size, latency, frames a second, memory, energy.

    Every list sweeps. Each row runs in a fresh process and is checked against a reference output before it is timed; a
    row that fails says why and stops no other. Ctrl-C ends with the rows that are done. See also: edgefuse bench
    kernels, edgefuse bench stream, edgefuse bench train.
    """
    from edgefuse.bench.record import Record, check_savable
    from edgefuse.bench.views import FORMATS

    if view not in FORMATS:
        raise UsageError(f"--format must be one of {', '.join(FORMATS)}, not {view!r}")
    old = Record.load(compare) if compare is not None else None
    if output is not None:
        check_savable(output)
    scores = _scores(plot, quality, metric)
    given = (models or [], onnx or [], engine or [], model or [])
    subjects = _subjects(*given, weights=weights, config=config or [], trust_engine=trust_engine)
    specs = _specs(
        subjects, runtime=runtime, imgsz=imgsz, precision=precision, batch=batch, device=device, threads=threads
    )
    budget = {"seconds": seconds, "warmup": warmup, "timeout": timeout}
    record = _measure(specs, **budget, use_cache=not no_cache, with_roofs=plot is not None)
    if output is not None:
        record.save(output)
    if plot is not None:
        _draw(record, plot, scores, metric)
    _print(record, old, view=view, with_published=with_published, as_json=json)
    if not record.settings["complete"]:
        log(f"interrupted: {len(record.rows)} of {len(specs)} rows are measured", style="yellow")
        raise typer.Exit(130)
    if any(row.failed is not None for row in record.rows):
        raise typer.Exit(1)


def _subjects(
    names: list[str],
    graphs: list[Path],
    engines: list[Path],
    foreign: list[str],
    *,
    weights: Path | None,
    config: list[str],
    trust_engine: bool,
) -> list[Subject]:
    """The networks that the options name."""
    from edgefuse import models
    from edgefuse.bench.spec import engine_subject, model_subject, onnx_subject

    if not (names or graphs or engines or foreign):
        names = [DEFAULT_MODEL]
    if names == ["all"]:
        names = list(models.names())
    for name in names:
        if name not in models.names():
            raise UsageError(
                f"unknown model {name!r}: known are {', '.join(models.names())} and all; "
                "a file goes to --onnx or --engine, a class of your own to --model module:Class"
            )
    for name in foreign:
        if ":" not in name:
            raise UsageError(f"--model {name}: write it as module:Class; models of EdgeFuse are given without --model")
    sources = [*names, *foreign]
    if (weights is not None or config) and len(sources) != 1:
        raise UsageError(f"--weights and --config are for one model, and {len(sources)} are given")
    settings = dict(_setting(item) for item in config)
    file = None if weights is None else str(weights.resolve())
    subjects = [model_subject(source, config=settings, weights=file) for source in sources]
    if trust_engine and not engines:
        raise UsageError("--trust-engine is for files that --engine names: leave it out, or add --engine FILE")
    built = [engine_subject(path, trusted=trust_engine) for path in engines]
    return [*subjects, *map(onnx_subject, graphs), *built]


def _setting(item: str) -> tuple[str, Any]:
    """A KEY=VALUE pair; numbers, true and false are read as such."""
    key, equals, text = item.partition("=")
    if not equals or not key:
        raise UsageError(f"--config {item}: write it as KEY=VALUE")
    try:
        return key, json_module.loads(text)
    except ValueError:
        return key, text


def _specs(
    subjects: list[Subject],
    *,
    runtime: str | None,
    imgsz: str,
    precision: str,
    batch: str,
    device: str | None,
    threads: int | None,
) -> list[RowSpec]:
    """The rows that the options ask for."""
    from edgefuse.bench.machine import threads_for
    from edgefuse.bench.spec import expand

    default = "torch,ort" if importlib.util.find_spec("torch") is not None else "ort"
    return expand(
        subjects,
        runtimes=_list(runtime or default),
        sizes=_sizes(imgsz),
        devices=_list(device or ""),
        precisions=_list(precision),
        batches=_numbers("--batch", _list(batch)),
        threads=threads_for(threads),
    )


def _list(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _numbers(option: str, items: list[str]) -> list[int]:
    if not items or not all(item.isdigit() for item in items):
        raise UsageError(f"{option} takes whole numbers, not {', '.join(items) or 'nothing'}")
    return [int(item) for item in items]


def _sizes(text: str) -> list[tuple[int, int]]:
    sides = _numbers("--imgsz", text.replace(",", " ").split())
    if len(sides) % 2:
        raise UsageError(f"--imgsz takes pairs of height and width, and {len(sides)} numbers are given")
    return list(zip(sides[::2], sides[1::2], strict=True))


def _scores(plot: Path | None, quality: Path | None, metric: str) -> dict[str, float] | None:
    """The scores to draw, read before anything is measured."""
    if quality is None:
        return None
    from edgefuse.bench.plot import read_scores

    if plot is None:
        raise UsageError("--quality needs a folder to draw into: add --plot DIR")
    return read_scores(quality, metric)


def _draw(record: Record, folder: Path, scores: dict[str, float] | None, metric: str) -> None:
    """Draw the pictures; a record without a row to draw is said and ends nothing."""
    from edgefuse.bench.plot import plot_quality, plot_roofline
    from edgefuse.errors import InputError

    folder.mkdir(parents=True, exist_ok=True)
    try:
        plot_roofline(record, folder / "roofline.png")
        if scores is not None:
            plot_quality(record, scores, folder / "latency-quality.png", metric=metric)
    except InputError as error:
        log(str(error), style="yellow")
    else:
        log(f"pictures in {folder}")


def _measure(
    specs: list[RowSpec], *, seconds: float, warmup: float, timeout: float, use_cache: bool, with_roofs: bool
) -> Record:
    """Measure the rows behind a progress bar."""
    from edgefuse.bench.measure import Budget
    from edgefuse.bench.sweep import Settings, cache_folder, measure_rows

    if not (seconds > 0 and warmup >= 0 and timeout > 0):  # NaN is above nothing
        raise UsageError("--seconds and --timeout must be above 0, --warmup at least 0")
    settings = Settings(
        budget=Budget(seconds=seconds, warmup_seconds=warmup, max_seconds=max(10.0, 3 * seconds)),
        threads=specs[0].threads,
        timeout_seconds=timeout,
        cache=cache_folder() if use_cache else None,
        with_roofs=with_roofs,
    )
    with progress("Measuring", len(specs)) as advance:

        def finish(row: Row) -> None:
            advance(1)
            if row.failed is not None:
                log(f"{row.model} {row.runtime} {row.imgsz[1]}x{row.imgsz[0]} failed: {row.failed}", style="red")

        return measure_rows(specs, settings, on_start=lambda title: advance(0, title), on_row=finish)


def _print(record: Record, old: Record | None, *, view: str, with_published: bool, as_json: bool) -> None:
    """Print the record, and the comparison under it."""
    from edgefuse.bench.comparison import comparison_dict, comparison_markdown
    from edgefuse.bench.published import published_rows
    from edgefuse.bench.views import render

    published = published_rows() if with_published else []
    if as_json:
        document = record.to_dict()
        if old is not None:
            document["comparison"] = comparison_dict(old, record)
        if published:
            document["published"] = [vars(row) for row in published]
        emit_json("bench", document)
        return
    out(render(record, view, published=published).rstrip("\n"))  # type: ignore[arg-type]  # checked by the caller
    if old is not None:
        out("")
        out(comparison_markdown(old, record).rstrip("\n"))
