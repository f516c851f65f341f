"""``edgefuse models``: what there is to choose from, and where it comes from."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from edgefuse.cli._console import emit_json, log, out, progress
from edgefuse.cli._values import ValuesGroup
from edgefuse.zoo import ASSETS, DEFAULT_MODEL, MODELS, installed, known_manifest, manifests

__all__ = ["models_app"]

models_app = typer.Typer(name="models", cls=ValuesGroup, invoke_without_command=True)

_SHOWN = (("tno/test", "TR"), ("tno/test", "TR_worst"), ("tno/test", "Qabf"), ("msrs/test", "Qabf"))
"""What a line of the list says of quality: kept contrast of the targets, and transferred edges by night and day."""


@models_app.callback()
def models_command(
    context: typer.Context,
    json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table of the documentation.")] = False,
) -> None:
    """List the models: weights, size, cost, quality, training and licence; `pull` fetches large ones.

    Quality is by the cddfuse convention: TR, the share of a target's infrared contrast that the fused TNO images keep
    on average, its worst scene, and Qabf on TNO and MSRS.
    """
    if context.invoked_subcommand is not None:
        return
    rows = _rows()
    if json:
        emit_json("models", {"models": rows})
    elif markdown:
        typer.echo(_markdown(rows), nl=False)
    else:
        _print(rows)


@models_app.command("pull")
def pull_command(
    name: Annotated[str, typer.Argument(help="The model.")],
    source: Annotated[
        str | None,
        typer.Option("--from", envvar="EDGEFUSE_MODELS_FROM", help="Folder or http(s) address with the model's files."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Fetch a model's graph and weights into the cache folder, and check them against the manifest that ships.

    A model that is here already is checked. A fetch that was cut goes on where it stopped.
    """
    from edgefuse.pull import pull

    manifest = known_manifest(name)
    total = manifest.size_bytes + int(manifest.weights.get("size_bytes") or 0)
    with progress(f"Fetching {name}", total) as advance:
        files = pull(name, source, on_bytes=advance)
    if json:
        listed = [
            {"path": str(file.path), "sha256": file.sha256, "size_bytes": file.size_bytes, "fetched": file.fetched}
            for file in files
        ]
        emit_json("models pull", {"model": name, "files": listed})
        return
    for file in files:
        out(f"{file.path}  {file.size_bytes / 1e6:.2f} MB, sha256 as in the manifest")
    if not any(file.fetched for file in files):
        log(f"{name} was here already")


def _rows() -> list[dict[str, Any]]:
    known, here = manifests(), installed()
    rows = []
    for model in MODELS:
        manifest = known.get(model.name)
        training = (manifest.training if manifest else None) or {}
        rows.append(
            {
                "name": model.name,
                "default": model.name == DEFAULT_MODEL,
                "summary": model.summary,
                "paper": model.paper,
                "bundled": (ASSETS / f"{model.name}.onnx").is_file(),
                "path": str(here[model.name]) if model.name in here else None,
                "published": manifest is not None,
                "size_bytes": manifest.size_bytes if manifest else None,
                "precision": manifest.precision if manifest else None,
                "licence": manifest.weights.get("licence") if manifest else None,
                "remark": (manifest.weights.get("remark") or None) if manifest else None,
                "sha256": manifest.sha256 if manifest else None,
                "cost": manifest.cost if manifest else None,
                "quality": training.get("metrics"),
                "training": {
                    key: training.get(key) for key in ("recipe", "steps", "minutes", "device", "threads", "finished")
                },
            }
        )
    return rows


def _state(row: dict[str, Any]) -> str:
    if row["bundled"]:
        return "bundled"
    if row["path"]:
        return "pulled"
    return "to pull" if row["published"] else "none"


def _print(rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for head in ("model", "weights", "size", "GMACs", "TR", "worst", "Qabf TNO", "MSRS", "trained"):
        table.add_column(head, no_wrap=True)
    names = {row["name"]: f"{row['name']} (default)" if row["default"] else row["name"] for row in rows}
    for row in rows:
        size = f"{row['size_bytes'] / 1e6:.2f} MB" if row["size_bytes"] else ""
        trained = f"{row['training']['minutes']:.0f} min" if row["training"]["minutes"] else ""
        table.add_row(names[row["name"]], _state(row), size, _gmacs(row), *_quality(row), trained)
    out(table)
    out("")
    for row in rows:
        parts = (row["summary"], row["paper"], row["licence"], row["remark"])
        out(f"{row['name']:<{max(map(len, names))}}  {'; '.join(part for part in parts if part)}")


def _gmacs(row: dict[str, Any]) -> str:
    return f"{row['cost']['gmacs_640x480']:.2f}" if row["cost"] else ""


def _quality(row: dict[str, Any]) -> list[str]:
    """The four numbers of a line, empty where nothing was measured."""
    sets = (row["quality"] or {}).get("sets", {})
    values = [sets.get(place, {}).get("means", {}).get(metric) for place, metric in _SHOWN]
    return ["" if value is None else f"{value:.2f}" for value in values]


def _scenes(row: dict[str, Any]) -> str:
    """How many scenes of each test set were scored, those with targets first."""
    sets = (row["quality"] or {}).get("sets", {})
    masked = sum(one["with_mask"] for one in sets.values())
    return f"{masked} of {', '.join(str(one['images']) for one in sets.values())}" if sets else ""


def _markdown(rows: list[dict[str, Any]]) -> str:
    """The table of docs/models.md: what ships, and what its training was."""
    heads = (
        "model", "file", "parameters", "GMACs 640x480", "TR mean", "TR worst", "Qabf TNO", "Qabf MSRS",
        "scenes",
        "steps", "minutes", "device",
    )  # fmt: skip
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for row in rows:
        if not row["published"]:
            continue
        training, cost = row["training"], row["cost"] or {}
        parameters = f"{cost['parameters']:,}" if cost else ""
        device = str(training["device"])
        if device == "cpu":
            device = f"{training['threads']} CPU cores" if (training["threads"] or 1) > 1 else "one CPU core"
        cells = [
            *(f"`{row['name']}`", f"{row['size_bytes'] / 1e6:.2f} MB", parameters, _gmacs(row)),
            *(*_quality(row), _scenes(row)),
            *(f"{training['steps']}", f"{training['minutes']:.0f}", device),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
