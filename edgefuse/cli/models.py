"""``edgefuse models``: what there is to choose from."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from edgefuse.cli._console import emit_json, out
from edgefuse.zoo import DEFAULT_MODEL, MODELS, manifests

__all__ = ["models_command"]


def models_command(
    json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> None:
    """List the models: which ship with weights, their size, precision and licence."""
    rows = _rows()
    if json:
        emit_json("models", {"models": rows})
        return
    from rich.table import Table

    table = Table("model", "weights", "size", "precision", "licence", "what it is", box=None, pad_edge=False)
    for row in rows:
        size = f"{row['size_bytes'] / 1e6:.2f} MB" if row["size_bytes"] else ""
        name = f"{row['name']} (default)" if row["default"] else row["name"]
        what = f"{row['summary']}; {row['paper']}" if row["paper"] else row["summary"]
        table.add_row(
            name, "bundled" if row["bundled"] else "none", size, row["precision"] or "", row["licence"] or "", what
        )
    out(table)


def _rows() -> list[dict[str, Any]]:
    known = manifests()
    rows = []
    for model in MODELS:
        manifest = known.get(model.name)
        rows.append(
            {
                "name": model.name,
                "default": model.name == DEFAULT_MODEL,
                "summary": model.summary,
                "paper": model.paper,
                "bundled": manifest is not None,
                "size_bytes": manifest.size_bytes if manifest else None,
                "precision": manifest.precision if manifest else None,
                "licence": manifest.weights.get("licence") if manifest else None,
                "sha256": manifest.sha256 if manifest else None,
            }
        )
    return rows
