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
    from edgefuse.runtime.readiness import RuntimeReport

__all__ = ["doctor_command"]


def doctor_command(
    json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Say what is installed, what is missing, which runtimes can run and build what, and the commands that help.

    Exits 3 where something essential is missing.
    """
    from edgefuse.machine import components, gpus, jetpack
    from edgefuse.runtime.readiness import engine_frames, runtime_reports

    found, devices, release = components(), gpus(), jetpack()
    runtimes = runtime_reports(found, devices)
    broken = _broken_models()
    if json:
        system = {"edgefuse": __version__, "python": platform.python_version(), "platform": platform.platform()}
        details = {
            "components": [asdict(item) for item in found],
            "gpus": [asdict(gpu) for gpu in devices],
            "runtimes": [asdict(item) for item in runtimes],
            "engine_frames": engine_frames(devices),
        }
        emit_json("doctor", {**system, **details, "jetpack": release, "broken_models": broken})
    else:
        typer.echo(f"edgefuse {__version__}, Python {platform.python_version()}, {platform.platform()}")
        if release:
            typer.echo(f"Jetson: {release}")
        for gpu in devices:
            typer.echo(f"GPU: {gpu.name}, {gpu.target}, {gpu.memory_mib or '?'} MiB, driver {gpu.driver}")
        if not devices:
            typer.echo("GPU: none found (nvidia-smi); fusing runs on the CPU")
        out(_table(found))
        typer.echo("")
        out(_runtime_table(runtimes))
        typer.echo(f"engines: {engine_frames(devices)}")
        typer.echo("")
        for line in _to_do(found, runtimes):
            typer.echo(line)
        for line in broken:
            typer.echo(f"bundled model: {line}")
        if not broken:
            typer.echo("bundled models: all match their manifests")
    if broken or any(item.required and item.fix for item in found):
        raise typer.Exit(3)


def _table(found: list[Component]) -> object:
    from rich.table import Table

    table = Table("", "component", "version", "for", box=None, pad_edge=False)
    for item in found:
        mark = "ok" if item.fix is None else ("!!" if item.required else "--")
        what = f"{item.purpose} ({item.note})" if item.note else item.purpose
        table.add_row(mark, item.name, item.version or "not installed", what)
    return table


def _runtime_table(found: list[RuntimeReport]) -> object:
    from rich.table import Table

    table = Table("runtime", "version", "runs on", "builds for", box=None, pad_edge=False)
    for item in found:
        columns = (", ".join(item.runs_on), ", ".join(item.targets))
        table.add_row(item.name, item.version or "not installed", *(text or "-" for text in columns))
    return table


def _to_do(found: list[Component], runtimes: list[RuntimeReport]) -> list[str]:
    """What to install and what running each runtime takes: lines, since a table would break the commands in two."""
    lines = [f"  {item.name}: {item.fix}" for item in found if item.fix is not None]
    lines += [f"  to run {item.name}: {'; '.join(item.missing)}" for item in runtimes if item.missing]
    return ["to do, where you want it:", *lines] if lines else []


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
