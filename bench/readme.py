"""The README's tables: written between markers from the records in ``bench/results``, and held to agree with them."""

from __future__ import annotations

import json
import re
from importlib import import_module
from pathlib import Path

from edgefuse.bench.record import Record, load_document
from edgefuse.bench.views import render
from edgefuse.errors import ArtifactError

__all__ = ["fill_tables", "stale_tables", "table_of"]

# Each marker is a line of its own; in between stands the table of bench/results/NAME.json.
_OPENING = re.compile(r"^<!-- bench:[\w.-]+ -->$", re.MULTILINE)
_MARKED = re.compile(r"^(<!-- bench:(?P<name>[\w.-]+) -->\n)(?P<body>.*?)^(<!-- /bench -->)$", re.DOTALL | re.MULTILINE)

# What writes the table of a command's records: imported when it is wanted, since some bring much with them.
_VIEWS = {
    "bench dft_lowering": "bench_dft_lowering:dft_markdown",
    "bench kernels": "kernels:kernels_markdown",
    "bench quality": "quality_views:quality_markdown",
    "bench stream": "bench_stream:stream_markdown",
    "bench train": "training:training_markdown",
}


def fill_tables(text: str, results: Path) -> str:
    """Write every marked table anew from its record.

    Args:
        text: The document; ``<!-- bench:NAME -->`` and ``<!-- /bench -->`` stand on lines of their own around a table.
        results: Folder with the records, ``NAME.json`` each.

    Returns:
        The document with its tables replaced.

    Raises:
        ArtifactError: A record is missing or damaged, or a marker has no end.
    """
    opened, found = len(_OPENING.findall(text)), len(_MARKED.findall(text))
    if opened != found:
        raise ArtifactError(
            f"{opened - found} of {opened} <!-- bench:NAME --> markers have no <!-- /bench --> after them"
        )
    return _MARKED.sub(lambda match: f"{match[1]}{table_of(results / (match['name'] + '.json'))}{match[4]}", text)


def stale_tables(text: str, results: Path) -> list[str]:
    """Names of the marked tables that differ from their records.

    Args:
        text: The document.
        results: Folder with the records.

    Returns:
        The names, in order; empty where everything agrees.
    """
    fill_tables(text, results)
    return [
        match["name"]
        for match in _MARKED.finditer(text)
        if match["body"] != table_of(results / (match["name"] + ".json"))
    ]


def table_of(path: Path) -> str:
    """The table of one record.

    Args:
        path: Its file.

    Returns:
        Markdown, ending in a newline.

    Raises:
        ArtifactError: The file is missing, damaged, or of a kind that no command of this version writes.
    """
    try:
        command = json.loads(path.read_text(encoding="utf-8")).get("command")
    except OSError as error:
        raise ArtifactError(f"{path}: cannot read the benchmark record ({error.strerror})") from error
    except (ValueError, AttributeError) as error:
        raise ArtifactError(f"{path}: not a benchmark record ({error})") from error
    if command == "bench":
        return render(Record.load(path))
    if command == "bench ablation":
        from edgefuse.bench.ablation import ablation_markdown, load_plan, load_results

        return ablation_markdown(load_plan(), load_results(path))
    view = _VIEWS.get("bench quality" if str(command).startswith("bench quality ") else command)
    if view is not None:
        module, function = view.split(":")
        markdown: str = getattr(import_module(f"edgefuse.bench.{module}"), function)(
            load_document(path, command=command)
        )
        return markdown
    raise ArtifactError(f"{path}: a record of {command!r}, of which there is no table")
