"""``edgefuse eval``: score fused images against their sources, compare methods, disturb inputs."""

from __future__ import annotations

import importlib.util
import json as json_module
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgefuse.cli._console import emit_json, log, progress
from edgefuse.cli._values import ValuesGroup
from edgefuse.errors import MissingDependencyError, UsageError
from edgefuse.wording import counted

if TYPE_CHECKING:
    from edgefuse.metrics.study import Item, Job, Method, Request, Row, Study, Table, TableFormat

__all__ = ["eval_app"]

eval_app = typer.Typer(
    name="eval",
    cls=ValuesGroup,
    help="Score fused images against their sources, in the convention of your choice.",
    invoke_without_command=True,
)


@eval_app.callback()
def evaluate_command(
    context: typer.Context,
    fused: Annotated[
        Path | None, typer.Option(help="Fused images, named like the sources: a folder, or one image.")
    ] = None,
    ir: Annotated[Path | None, typer.Option(help="Infrared images: a folder, or one image.")] = None,
    vis: Annotated[Path | None, typer.Option(help="Visible images: a folder, or one image.")] = None,
    method: Annotated[
        list[str] | None, typer.Option(help="Another method to compare, NAME=DIR; repeat for more.")
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="Fuse with this model and score the result; repeat for more.")
    ] = None,
    mask: Annotated[Path | None, typer.Option(help="Masks of targets: adds target retention (TR).")] = None,
    convention: Annotated[
        str | None,
        typer.Option(help="Which code's formulas: default, cddfuse, linfeng2022, vifb, ... (default: default)."),
    ] = None,
    profile: Annotated[
        str | None, typer.Option(help="Metrics and formulas of a paper: angularfuse, rpfnet, sspfusion, dfecf.")
    ] = None,
    metrics: Annotated[
        str | None, typer.Option(help="Only these, as EN,MI,VIF (default: all of the convention).")
    ] = None,
    psd: Annotated[bool, typer.Option("--psd", help="Also power spectra: fidelity to each source, entropy.")] = False,
    corrupt: Annotated[
        list[str] | None,
        typer.Option(
            help="Disturb the inputs of --model and show how each metric falls: stripe:5, gauss:25, poisson-gauss, "
            "smoke, dark, glare, shift:DX,DY; join with + for several at once; repeat for more rows."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of --corrupt.", min=0)] = 0,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for tables (Markdown, CSV, LaTeX, JSON) and pictures.")
    ] = None,
    style: Annotated[str, typer.Option("--format", help="Of the printed table: markdown, csv or latex.")] = "markdown",
    per_image: Annotated[bool, typer.Option("--per-image", help="Also print the table of every image.")] = False,
    plots: Annotated[
        str | None, typer.Option(help="Draw cumulative curves, values per image and spectra: png or svg.")
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes; 0 chooses.", min=0)] = 0,
    device: Annotated[str, typer.Option(help="Where --model runs: cpu or cuda.")] = "cpu",
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Score fused images against their infrared and visible sources.

    Under the table a line says which conventions the numbers follow: the same names mean different formulas in
    different papers. Ctrl-C ends the run with the table of what is done.
    """
    if context.invoked_subcommand is not None:
        _refuse_stray_options(context)
        return
    if ir is None or vis is None:
        raise UsageError("give the sources: --ir DIR --vis DIR")

    from edgefuse.metrics.corruption import parse_corruption
    from edgefuse.metrics.study import Request, find_items, plan

    _check_options(style, plots, output, corrupt=corrupt, model=model)
    names = tuple(name.strip() for name in metrics.split(",")) if metrics is not None else None
    request = Request(_convention(convention, profile), names, psd, seed, device)  # type: ignore[arg-type]  # it checks
    disturbances = [tuple(map(parse_corruption, text.split("+"))) for text in corrupt or ()]
    methods = _methods(fused, method, model)
    _check_models(model or [], device)
    items, problems = find_items(ir, vis, mask)
    jobs = plan(methods, items, disturbances)
    _make(output)
    _warn_of_swapped(items)
    study = _run(jobs, request, problems, workers=workers, output=output)
    if output is not None:
        _write(study, output, plots=plots)
    _report(study, style, per_image=per_image, as_json=json)  # type: ignore[arg-type]  # checked above
    if not study.is_complete:
        raise typer.Exit(130)
    if study.errors:
        raise typer.Exit(1)


def _refuse_stray_options(context: typer.Context) -> None:
    """Options before ``detect`` or ``segment`` would not reach it."""
    for name in context.params:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            option = "--" + name.replace("_", "-")
            raise UsageError(f"{option} stands before {context.invoked_subcommand}: put it behind")


def _warn_of_swapped(items: Sequence[Item]) -> None:
    """One line for sources whose infrared is a scene in colour and whose visible picture is gray."""
    from edgefuse.pairs import PathPair
    from edgefuse.swapped import find_swapped

    found = find_swapped([PathPair(item.name, item.ir, item.vis) for item in items])
    if found is not None:
        log(
            f"--ir {found.ir} is in colour and --vis {found.vis} is gray: the two look swapped; "
            "if so, exchange them, or the scores are of no use",
            style="yellow",
        )


def _check_options(
    style: str, plots: str | None, output: Path | None, *, corrupt: list[str] | None, model: list[str] | None
) -> None:
    from edgefuse.metrics.study import FORMATS

    if style not in FORMATS:
        raise UsageError(f"--format {style}: give one of {', '.join(FORMATS)}")
    if plots is not None and plots not in ("png", "svg"):
        raise UsageError(f"--plots {plots}: give png or svg")
    if plots is not None and output is None:
        raise UsageError("--plots needs a folder to draw into: add --output DIR")
    if corrupt and not model:
        raise UsageError("--corrupt disturbs the inputs of a model: add --model NAME")
    # What is missing is said before the work, not after it.
    if plots is not None and importlib.util.find_spec("matplotlib") is None:
        raise MissingDependencyError.for_package("matplotlib", extra="train", purpose="draw pictures")


def _make(output: Path | None) -> None:
    """Make the folder of the results once it is clear that there will be some."""
    if output is not None:
        from edgefuse.folder import check_writable

        check_writable(output)


def _convention(convention: str | None, profile: str | None) -> str:
    from edgefuse.metrics import PROFILES

    if convention is not None and profile is not None:
        raise UsageError("--convention and --profile both choose formulas: give one of them")
    if profile is not None and profile not in PROFILES:
        raise UsageError(f"--profile {profile}: give one of {', '.join(PROFILES)}")
    return profile or convention or "default"


def _methods(fused: Path | None, method: list[str] | None, model: list[str] | None) -> list[Method]:
    from edgefuse.metrics.study import Method, method_from_text

    found = [Method(fused.stem or "fused", fused=fused)] if fused is not None else []
    found += [method_from_text(text) for text in method or ()]
    found += [Method(Path(name).stem if Path(name).suffix else name, model=name) for name in model or ()]
    if not found:
        raise UsageError("nothing to score: give --fused DIR, --method NAME=DIR or --model NAME")
    names = [item.name for item in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"two methods are called {', '.join(twice)}: name them with --method NAME=DIR")
    return found


def _check_models(names: list[str], device: str) -> None:
    """What cannot be loaded is said once, not for every image."""
    from edgefuse.fuser import load

    for name in names:
        load(name, device=device).close()  # type: ignore[arg-type]  # load names the devices


def _run(jobs: list[Job], request: Request, problems: list[str], *, workers: int, output: Path | None) -> Study:
    """Score the jobs; what is done at a Ctrl-C is kept, and on disk row by row."""
    from edgefuse.metrics.study import Study, default_workers, run

    rows: list[Row] = []
    stream = (output / "rows.jsonl").open("w", encoding="utf-8") if output is not None else None
    results = run(jobs, request, workers=workers or default_workers(jobs))
    try:
        with progress("Scoring", len(jobs)) as advance:
            for row in results:
                rows.append(row)
                if stream is not None:
                    stream.write(json_module.dumps(row.record()) + "\n")
                    stream.flush()
                advance(1)
    except KeyboardInterrupt:
        log(f"interrupted: {len(rows)} of {len(jobs)} results are kept", style="yellow")
    finally:
        results.close()  # type: ignore[attr-defined]  # run is a generator
        if stream is not None:
            stream.close()
    return Study(request, tuple(jobs), tuple(rows), tuple(problems))


def _write(study: Study, output: Path, *, plots: str | None) -> None:
    from edgefuse.cli._console import SCHEMA_VERSION
    from edgefuse.metrics.study import FORMATS, image_tables, mean_table, render, robustness_table

    tables = {"mean": mean_table(study)}
    if study.disturbances:
        tables["robustness"] = robustness_table(study)
    tables |= {f"images-{_file_name(method)}": table for method, table in image_tables(study).items()}
    for name, table in tables.items():
        for style, suffix in FORMATS.items():
            (output / f"{name}{suffix}").write_text(render(table, style), encoding="utf-8")
    record = {"schema_version": SCHEMA_VERSION, "command": "eval", **study.record()}
    (output / "study.json").write_text(json_module.dumps(record, indent=2) + "\n", encoding="utf-8")
    if plots is not None and study.images:
        from edgefuse.metrics.study.pictures import draw_cumulative, draw_lines, draw_spectra

        draw_cumulative(study, output / f"cumulative.{plots}")
        draw_lines(study, output / f"lines.{plots}")
        if study.request.spectrum:
            draw_spectra(study, output / f"spectra.{plots}")
    log(f"tables{' and pictures' if plots else ''} in {output}")


def _file_name(method: str) -> str:
    return "".join(char if char.isalnum() or char in "-_." else "_" for char in method)


def _report(study: Study, style: TableFormat, *, per_image: bool, as_json: bool) -> None:
    from edgefuse.metrics.study import image_tables, mean_table, render, robustness_table

    for line in study.errors:
        log(line, style="red")
    if as_json:
        emit_json("eval", study.record())
        return
    if per_image:
        for method, table in image_tables(study).items():
            typer.echo(f"{method}\n")
            typer.echo(render(table, style))
    if study.disturbances:
        typer.echo(render(robustness_table(study), style))
    typer.echo(render(mean_table(study), style), nl=False)


@eval_app.command("detect")
def detect_command(
    labels: Annotated[Path, typer.Option(help="Boxes: a COCO .json file, or a folder of YOLO .txt files.")],
    detector: Annotated[Path, typer.Option(help="Detector, an .onnx file with one RGB input.")],
    fused: Annotated[Path | None, typer.Option(help="Folder of fused images, named like the labels.")] = None,
    method: Annotated[list[str] | None, typer.Option(help="Another method, NAME=DIR; repeat for more.")] = None,
    layout: Annotated[str, typer.Option(help="Output of the detector: auto, yolov8, yolov5 or boxes.")] = "auto",
    imgsz: Annotated[int, typer.Option(help="Side of the input where the graph fixes none.", min=32)] = 640,
    overlap: Annotated[float, typer.Option(help="Boxes of a class that overlap more are one.", min=0, max=1)] = 0.7,
    score: Annotated[float, typer.Option(help="Drop weaker detections.", min=0, max=1)] = 0.001,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder for the table and its JSON.")] = None,
    style: Annotated[str, typer.Option("--format", help="Of the printed table: markdown, csv or latex.")] = "markdown",
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Detect objects in fused images with an ONNX detector: average precision by class, mAP@.5."""
    _check_options(style, None, output, corrupt=None, model=None)
    methods = _methods(fused, method, None)

    from edgefuse.metrics.tasks import Detector, read_ground_truth, require_pycocotools
    from edgefuse.metrics.tasks.compare import common_images, detect, detection_table

    require_pycocotools()
    truth = read_ground_truth(labels)
    # Of YOLO labels a missing file says that there is nothing in the image; a COCO file lists its images.
    images, left_out = common_images(methods, None if truth.is_relative else set(truth.boxes))
    network = Detector(
        detector,
        layout=layout,  # type: ignore[arg-type]  # the detector checks it
        imgsz=imgsz,
        score_threshold=score,
        overlap_threshold=overlap,
        device=device,
    )
    _make(output)
    with progress("Detecting", len(images) * len(methods)) as advance:
        scores = detect(methods, images, network, truth, on_image=advance)
    remark = (
        f"Average precision by pycocotools over {counted(len(images), 'image')}, at most 100 detections an image; "
        f"{detector.name}, scores from {score:g}, boxes of one class that overlap by more than {overlap:g} suppressed."
    )
    table = detection_table(scores, truth.names or network.names, remark=remark)
    _finish("detect", table, style, output=output, as_json=json, problems=left_out)


@eval_app.command("segment")
def segment_command(
    labels: Annotated[Path, typer.Option(help="Folder of label maps: gray images whose levels are class indices.")],
    segmenter: Annotated[Path, typer.Option(help="Segmenter, an .onnx file with one RGB input.")],
    classes: Annotated[str, typer.Option(help="Number of classes, or their names as road,person,car.")],
    fused: Annotated[Path | None, typer.Option(help="Folder of fused images, named like the labels.")] = None,
    method: Annotated[list[str] | None, typer.Option(help="Another method, NAME=DIR; repeat for more.")] = None,
    ignore: Annotated[int, typer.Option(help="Level of pixels that do not count.", min=0, max=255)] = 255,
    normalisation: Annotated[str, typer.Option(help="What the network was trained on: imagenet or unit.")] = "imagenet",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder for the table and its JSON.")] = None,
    style: Annotated[str, typer.Option("--format", help="Of the printed table: markdown, csv or latex.")] = "markdown",
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Segment fused images with an ONNX segmenter: intersection over union by class, mIoU."""
    _check_options(style, None, output, corrupt=None, model=None)
    methods = _methods(fused, method, None)
    if not labels.is_dir():
        raise UsageError(f"--labels {labels}: give a folder of label maps")

    from edgefuse.metrics.study.files import images_by_stem
    from edgefuse.metrics.tasks import Segmenter
    from edgefuse.metrics.tasks.compare import common_images, segment, segmentation_table

    maps = images_by_stem(labels)
    names = [str(index) for index in range(int(classes))] if classes.isdigit() else classes.split(",")
    images, left_out = common_images(methods, set(maps))
    network = Segmenter(segmenter, normalisation=normalisation, device=device)  # type: ignore[arg-type]  # it checks
    _make(output)
    with progress("Segmenting", len(images) * len(methods)) as advance:
        confusion = segment(methods, images, network, maps, classes=len(names), ignore=ignore, on_image=advance)
    remark = (
        f"Intersection over union of all pixels of {counted(len(images), 'image')} together, level {ignore} ignored; "
        f"{segmenter.name}, {normalisation} normalisation; mean over the classes that are labelled or found."
    )
    table = segmentation_table(confusion, names, remark=remark)
    _finish("segment", table, style, output=output, as_json=json, problems=left_out)


def _finish(task: str, table: Table, style: str, *, output: Path | None, as_json: bool, problems: list[str]) -> None:
    """Print the table of a task, and write it where an output is given."""
    from edgefuse.cli._console import SCHEMA_VERSION
    from edgefuse.metrics.study import FORMATS, render
    from edgefuse.metrics.study.score import without_nan

    for line in problems:
        log(line, style="yellow")
    methods = [
        {"name": name, "scores": without_nan(dict(zip(table.columns, row, strict=True)))} for name, row in table.rows
    ]
    record = {"methods": methods, "remarks": list(table.remarks), "left_out": problems}
    if output is not None:
        for kind, suffix in FORMATS.items():
            (output / f"{task}{suffix}").write_text(render(table, kind), encoding="utf-8")
        document = {"schema_version": SCHEMA_VERSION, "command": f"eval {task}", **record}
        (output / f"{task}.json").write_text(json_module.dumps(document, indent=2) + "\n", encoding="utf-8")
    if as_json:
        emit_json(f"eval {task}", record)
    else:
        typer.echo(render(table, style), nl=False)  # type: ignore[arg-type]  # checked with the options
