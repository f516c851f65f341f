"""``edgefuse inspect``: what a model file is and where it came from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edgefuse.cli._console import emit_json, out
from edgefuse.wording import counted

__all__ = ["inspect_command"]

_OPERATORS_SHOWN = 12
_BUILD_OPTIONS = ("sizes", "version_compatible")  # what the manifest keeps beside the versions of tools


def inspect_command(
    file: Annotated[Path, typer.Argument(help="An .onnx, .ort, .plan or .rtx file of any origin, or a manifest.")],
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Show what a model file holds: its manifest, and a graph's inputs, opset and operators. Nothing in it is run."""
    from edgefuse.export import inspect_file

    found = inspect_file(file)
    if json:
        emit_json("inspect", found)
        return
    out(f"{found['path']}  {found['kind']}, {found['size_bytes'] / 1e6:.2f} MB")
    out(f"  sha256    {found['sha256']}")
    out(f"  manifest  {found['manifest_status']}")
    if found["manifest"] is not None:
        _show_manifest(found["manifest"])
    if "graph" in found:
        _show_graph(found["graph"])
    if "engine" in found:
        _show_engine(found["engine"])


def _show_manifest(manifest: dict[str, Any]) -> None:
    weights = manifest["weights"]
    size = "free" if manifest["imgsz"] is None else "x".join(map(str, manifest["imgsz"]))
    out(f"  model     {manifest['model']}{_settings(manifest['config'])}")
    out(f"  weights   {weights.get('origin', 'unknown origin')}, licence {weights.get('licence', 'not stated')}")
    out(f"  takes     {', '.join(manifest['inputs'])} at {size}, multiples of {manifest['size_multiple']}")
    out(f"  precision {manifest['precision']}, opset {manifest['opset']}, DFT lowering {manifest['dft_lowering']}")
    tools = {name: value for name, value in manifest["builder"].items() if name not in _BUILD_OPTIONS}
    out(f"  built by  {', '.join(f'{name} {version}' for name, version in tools.items())}")
    if "sizes" in manifest["builder"]:
        out(f"  sizes     {manifest['builder']['sizes']}")
    if manifest["targets"]:
        out(f"  targets   {', '.join(manifest['targets'])}")
    parity = manifest["parity"]
    if parity and "mean_abs_error" in parity:
        out(
            f"  parity    mean {parity['mean_abs_error']:.2g}, largest {parity['max_abs_error']:.2g} ({parity['data']})"
        )


def _settings(config: dict[str, Any]) -> str:
    return f" ({', '.join(f'{key}={value}' for key, value in config.items())})" if config else ""


def _show_graph(graph: dict[str, Any]) -> None:
    opsets = ", ".join(f"{domain} {version}" for domain, version in graph["opsets"].items())
    out(f"  graph     opset {opsets}; IR {graph['ir_version']}; written by {graph['producer'] or 'an unnamed tool'}")
    for kind in ("inputs", "outputs"):
        for value in graph[kind]:
            out(f"  {kind[:-1]:<9} {value['name']}  {value['type']} [{', '.join(map(str, value['shape']))}]")
    out(f"  holds     {graph['parameters']:,} parameters, {counted(graph['nodes'], 'node')}")
    operators = list(graph["operators"].items())
    shown = ", ".join(f"{name} {count}" for name, count in operators[:_OPERATORS_SHOWN])
    rest = len(operators) - _OPERATORS_SHOWN
    out(f"  operators {shown}{f', and {rest} kinds more' if rest > 0 else ''}")
    if graph["tensorrt_blockers"]:
        out(f"  TensorRT refuses {', '.join(graph['tensorrt_blockers'])}: edgefuse export FILE rewrites DFT")


def _show_engine(engine: dict[str, Any]) -> None:
    if engine["library"] is None:
        out("  engine    of an unknown kind: its header is neither TensorRT's nor TensorRT-RTX's")
    else:
        out(f"  engine    {engine['library']} {engine['version']}")
