"""``edgefuse export``: graphs and engines, each checked against the model that it came from."""

from __future__ import annotations

import json as json_module
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from edgefuse.cli._console import emit_json, log, out, progress
from edgefuse.errors import UsageError

if TYPE_CHECKING:
    from edgefuse.export import Artifact

__all__ = ["export_command"]

_SUFFIXES = {"onnx": ".onnx", "ort": ".ort", "tensorrt": ".plan", "tensorrt-rtx": ".rtx", "triton-repo": ""}


def export_command(
    model: Annotated[
        str | None, typer.Argument(metavar="MODEL", help="A model's name, package.module:Class, or an .onnx file.")
    ] = None,
    model_option: Annotated[str | None, typer.Option("--model", help="The same as MODEL.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write (a folder for triton-repo).")
    ] = None,
    format: Annotated[str, typer.Option(help="onnx, ort, tensorrt, tensorrt-rtx or triton-repo.")] = "onnx",  # noqa: A002
    imgsz: Annotated[
        str | None,
        typer.Option(
            metavar="H W [H W]...",
            help="Height and width in pixels; 480 640 by default. Several with --dynamic: an engine's profiles.",
        ),
    ] = None,
    min_imgsz: Annotated[
        tuple[int, int] | None, typer.Option(metavar="H W", help="With --dynamic: smallest size of an engine.")
    ] = None,
    max_imgsz: Annotated[
        tuple[int, int] | None, typer.Option(metavar="H W", help="With --dynamic: largest size of an engine.")
    ] = None,
    dynamic: Annotated[bool, typer.Option("--dynamic", help="Leave height and width free.")] = False,
    batch: Annotated[int, typer.Option(help="Image pairs an inference.")] = 1,
    precision: Annotated[str, typer.Option(help="fp32, fp16, bf16 or int8.")] = "fp32",
    opset: Annotated[int, typer.Option(help="ONNX opset, 18 to 21.")] = 18,
    lower_dft: Annotated[
        str, typer.Option("--lower-dft", help="How Fourier transforms are written: auto, dense, radix or keep.")
    ] = "auto",
    weights: Annotated[
        Path | None, typer.Option(help="Weights: .safetensors, or .pt with nothing but tensors.")
    ] = None,
    config: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="A setting of the network; repeat for more.")
    ] = None,
    untrained: Annotated[
        bool, typer.Option("--untrained", help="Export a network without weights, to measure its cost.")
    ] = False,
    input_names: Annotated[str, typer.Option(help="Names of the network's inputs.")] = "ir,vis",
    channels: Annotated[str | None, typer.Option(help="Channels of each input, as 1,3; 1 by default.")] = None,
    pairs: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            metavar="IR VIS", help="Files or folders to check the artifact on; a simulated street by default."
        ),
    ] = None,
    calib_data: Annotated[
        tuple[Path, Path] | None, typer.Option(metavar="IR VIS", help="Folders that int8 is calibrated on.")
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="GPU targets of a TensorRT-RTX engine, as sm_86,sm_89; all by default.")
    ] = None,
    workspace: Annotated[int | None, typer.Option(metavar="MIB", help="Scratch memory of an engine's layer.")] = None,
    timing_cache: Annotated[Path | None, typer.Option(help="File of kernel times for TensorRT.")] = None,
    hardware_compat: Annotated[
        bool, typer.Option("--hardware-compat", help="TensorRT: run on every GPU from Ampere on.")
    ] = False,
    version_compat: Annotated[
        bool, typer.Option("--version-compat", help="TensorRT: load in later releases too.")
    ] = False,
    allow_drift: Annotated[
        bool, typer.Option("--allow-drift", help="Write it even if it strays too far from the model.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Export a model to ONNX, ONNX Runtime, TensorRT or TensorRT-RTX, and check that it still draws the same picture.

    Fourier transforms become matrix products, which TensorRT can load. A TensorRT-RTX engine is built without a GPU;
    a TensorRT engine on the device: elsewhere the graph is written, with the command to run there.
    """
    from edgefuse.export import export

    chosen = _only(model, model_option)
    path = output or _default_output(chosen, format)
    with progress(f"Exporting {path.name}", None):
        artifact = export(
            chosen,
            path,
            format=cast(Any, format),
            imgsz=_sizes(imgsz),
            span=_span(imgsz, min_imgsz, max_imgsz),
            precision=cast(Any, precision),
            opset=opset,
            batch=batch,
            dynamic=dynamic,
            lower=cast(Any, lower_dft),
            weights=weights,
            config=_settings(config or []),
            untrained=untrained,
            input_names=_words(input_names),
            channels=None if channels is None else _numbers(channels),
            pairs=pairs,
            calibration=calib_data,
            targets=_words(target or ""),
            workspace_mib=workspace,
            timing_cache=timing_cache,
            hardware_compatible=hardware_compat,
            version_compatible=version_compat,
            allow_drift=allow_drift,
            overwrite=overwrite,
        )
    if artifact.manifest.parity is not None and not artifact.manifest.parity["passed"]:
        log("it strays further from the model than it should; the manifest says how far", style="yellow")
    if json:
        emit_json("export", {"path": str(artifact.path), "manifest": asdict(artifact.manifest)})
    else:
        _show(artifact)


def _only(model: str | None, option: str | None) -> str:
    if (model is None) == (option is None):
        raise UsageError("give one model: a name (edgefuse models), package.module:Class, or an .onnx file")
    return model or option or ""


def _default_output(model: str, format: str) -> Path:  # noqa: A002
    """A name after the model, in the working directory; never the name of the graph that is read."""
    if format not in _SUFFIXES:
        raise UsageError(f"--format must be one of {', '.join(_SUFFIXES)}, not {format!r}")
    stem = Path(model).stem if model.lower().endswith(".onnx") else model.rpartition(":")[2]
    if format == "triton-repo":
        return Path("model_repository")
    return Path(f"{stem}{'-exported' if model.lower().endswith('.onnx') else ''}{_SUFFIXES[format]}")


def _sizes(text: str | None) -> list[tuple[int, int]] | None:
    if text is None:
        return None
    words = text.replace(",", " ").split()
    if not words or len(words) % 2 or not all(word.isdecimal() for word in words):
        raise UsageError(f"--imgsz takes a height and a width, or several pairs of them, not {text!r}")
    sides = [int(word) for word in words]
    return list(zip(sides[::2], sides[1::2], strict=True))


def _span(
    usual: str | None, smallest: tuple[int, int] | None, largest: tuple[int, int] | None
) -> tuple[tuple[int, int], tuple[int, int]] | None:
    if smallest is None and largest is None:
        return None
    if usual is None or smallest is None or largest is None:
        raise UsageError("--min-imgsz and --max-imgsz go together and with --imgsz, the size that is used most")
    return smallest, largest


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _numbers(text: str) -> tuple[int, ...]:
    words = _words(text)
    if not all(word.isdecimal() for word in words):
        raise UsageError(f"--channels must be numbers such as 1,3, not {text!r}")
    return tuple(int(word) for word in words)


def _settings(texts: list[str]) -> dict[str, Any]:
    """KEY=VALUE with VALUE as JSON where it is JSON, else as text."""
    settings: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.isidentifier():
            raise UsageError(f"--config must be KEY=VALUE, not {text!r}")
        try:
            settings[key] = json_module.loads(value)
        except ValueError:
            settings[key] = value
    return settings


def _show(artifact: Artifact) -> None:
    manifest = artifact.manifest
    parity = manifest.parity or {}
    size = "free" if manifest.imgsz is None else f"{manifest.imgsz[0]}x{manifest.imgsz[1]}"
    out(f"{artifact.path}  {manifest.size_bytes / 1e6:.2f} MB, {manifest.precision}, height x width {size}")
    if manifest.targets:
        out(f"  for      {', '.join(manifest.targets)} ({manifest.format} {manifest.builder[manifest.format]})")
    if manifest.dft_lowering != "none":
        out(f"  DFT      {manifest.dft_lowering} lowering")
    out(
        f"  parity   mean {parity['mean_abs_error']:.2g}, largest {parity['max_abs_error']:.2g}, "
        f"cosine {parity['cosine']:.7f} on {parity['data']}"
    )
    changes = ", ".join(f"{name} {value['change']:+.4f}" for name, value in parity["metrics"].items())
    if changes:
        out(f"  change   {changes}")
    out(f"  against  {parity['reference']}; run by {parity['runtime']}")
    if parity.get("of_source"):
        before = parity["of_source"]
        out(
            f"  before   mean {before['mean_abs_error']:.2g} against {before['reference']}, when the graph was exported"
        )
