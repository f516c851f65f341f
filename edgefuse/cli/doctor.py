"""``edgefuse doctor``: what this machine has, what it lacks, and the command that fixes it."""

from __future__ import annotations

import platform
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from edgefuse import __version__
from edgefuse.cli._console import emit_json, out
from edgefuse.errors import EdgeFuseError

if TYPE_CHECKING:
    from edgefuse.machine import Component

__all__ = ["doctor_command"]


def doctor_command(
    json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Say what is installed, what is missing, and the command that fixes it.

    Exits 3 where something essential is missing.
    """
    from edgefuse.machine import components, gpus, jetpack

    found, devices, release = components(), gpus(), jetpack()
    broken = _broken_models()
    if json:
        system = {"edgefuse": __version__, "python": platform.python_version(), "platform": platform.platform()}
        details = {"components": [asdict(item) for item in found], "gpus": [asdict(gpu) for gpu in devices]}
        emit_json("doctor", {**system, **details, "jetpack": release, "broken_models": broken})
    else:
        typer.echo(f"edgefuse {__version__}, Python {platform.python_version()}, {platform.platform()}")
        if release:
            typer.echo(f"Jetson: {release}")
        for gpu in devices:
            target = f"sm_{gpu.compute_capability.replace('.', '')}"
            typer.echo(f"GPU: {gpu.name}, {target}, {gpu.memory_mib} MiB, driver {gpu.driver}")
        if not devices:
            typer.echo("GPU: none found (nvidia-smi); fusing runs on the CPU")
        out(_table(found))
        for line in broken:
            typer.echo(f"bundled model: {line}")
        if not broken:
            typer.echo("bundled models: all match their manifests")
    if broken or any(item.required and item.fix for item in found):
        raise typer.Exit(3)


def _table(found: list[Component]) -> object:
    from rich.table import Table

    table = Table("", "component", "version", "for", "to do", box=None, pad_edge=False)
    for item in found:
        mark = "ok" if item.fix is None else ("!!" if item.required else "--")
        version = item.version or "not installed"
        what = f"{item.purpose} ({item.note})" if item.note else item.purpose
        table.add_row(mark, item.name, version, what, item.fix or "")
    return table


def _broken_models() -> list[str]:
    from edgefuse.manifest import verify
    from edgefuse.zoo import DEFAULT_MODEL, bundled

    shipped = bundled()
    if DEFAULT_MODEL not in shipped:
        return [f"{DEFAULT_MODEL}: missing; reinstall EdgeFuse"]
    problems = []
    for path in shipped.values():
        try:
            verify(path)
        except EdgeFuseError as error:
            problems.append(f"{error} (reinstall EdgeFuse)")
    return problems
