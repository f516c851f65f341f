"""The tables of ``docs/quality.md``, made of the records of ``python -m edgefuse.bench quality``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgefuse.bench.formatting import NOTHING, markdown_table
from edgefuse.bench.quality import METRICS, SETS
from edgefuse.errors import ArtifactError
from edgefuse.metrics.ranking import average_ranks
from edgefuse.wording import counted

__all__ = ["mean_ranks", "quality_markdown"]

_TITLES = {
    "": "clean",
    "stripe:25": "stripes in ir, variance 25",
    "gauss:25": "noise in vis, variance 25",
    "dark:0.1": "a tenth of the light",
    "glare:0.15": "glare",
    "smoke:0.9": "smoke",
    "shift:2,0": "ir 2 px beside vis",
    "dark:0@ir": "black ir",
}


def mean_ranks(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Rank methods by each metric on each set, and average; lower is better.

    Args:
        rows: Rows of a record of peers.

    Returns:
        Mean rank by name of method.
    """
    by_set = [
        average_ranks({row["name"]: {key: row["quality"][name][key] for key in METRICS} for row in rows})
        for name in SETS
    ]
    return {row["name"]: sum(ranks[row["name"]] for ranks in by_set) / len(SETS) for row in rows}


def quality_markdown(document: Mapping[str, Any]) -> str:
    """The table of a record.

    Args:
        document: A record of ``bench quality``.

    Returns:
        Markdown, ending in a newline.

    Raises:
        ArtifactError: The record is of another command.
    """
    kinds = {
        "peers": _peers_markdown,
        "robustness": _robustness_markdown,
        "video": _video_markdown,
        "cost": _cost_markdown,
    }
    kind = str(document["command"]).rpartition(" ")[2]
    if kind not in kinds:
        raise ArtifactError(f"a record of {document['command']!r}, of which there is no table")
    return kinds[kind](document)


def _peers_markdown(document: Mapping[str, Any]) -> str:
    """Methods in the order of their mean rank, with what they keep of targets; then the values of each set."""
    ranks = mean_ranks(document["rows"])
    ordered = sorted(document["rows"], key=lambda row: ranks[row["name"]])
    kept = ("mean", "worst")
    table = [
        [
            _name(row),
            f"{ranks[row['name']]:.2f}",
            *(f"{row['retention'][key]:.3f}" if row["retention"] else NOTHING for key in kept),
        ]
        for row in ordered
    ]
    parts = [markdown_table(["model", "mean rank", "TR", "TR worst"], table)]
    for name in SETS:
        images = ordered[0]["quality"][name]["images"]
        values = [[_name(row), *(f"{row['quality'][name][key]:.3f}" for key in METRICS)] for row in ordered]
        parts.append(f"{name}, {counted(images, 'image')}:\n\n" + markdown_table(["model", *METRICS], values))
    return "\n\n".join(parts) + "\n"


def _robustness_markdown(document: Mapping[str, Any]) -> str:
    """Models by disturbances, with the values against the clean sources."""
    columns = (*METRICS, "TR")
    table = [
        [
            f"{row['name']}, {_TITLES.get(row['disturbance'], row['disturbance'])}",
            *(f"{row['scores'][key]:.3f}" if key in row["scores"] else NOTHING for key in columns),
        ]
        for row in document["rows"]
    ]
    note = f"Means over {document['rows'][0]['images']} scenes of {', '.join(SETS)}."
    return markdown_table(["model", *columns], table) + f"\n\n{note}\n"


def _video_markdown(document: Mapping[str, Any]) -> str:
    """Changes from frame to frame, and what frozen infrared costs."""
    kinds, images = ("mean", "flat"), ("ir", "vis", "fused", "filtered")
    headings = ["model", *(f"{kind}, {image}" for kind in kinds for image in images)]
    table = [
        [
            f"{row['name']}, {row['clip']}",
            *(f"{row[kind][image]:.3f}" for kind in kinds for image in images),
        ]
        for row in document["rows"]
    ]
    frozen = [
        [f"{row['name']}, {row['clip']}, {state}", *(f"{row[state][key]:.3f}" for key in METRICS)]
        for row in document["rows"]
        for state in ("live", "frozen")
    ]
    return markdown_table(headings, table) + "\n\n" + markdown_table(["model", *METRICS], frozen) + "\n"


def _cost_markdown(document: Mapping[str, Any]) -> str:
    """CPU and wall milliseconds of a frame, and how often the first of ours would fit into each."""
    first = next(row for row in document["rows"] if row["ours"])
    unit = first["cpu"]["p50_ms"]
    ordered = sorted(document["rows"], key=lambda row: float(row["cpu"]["p50_ms"]))
    table = [
        [
            _name(row),
            f"{row['cpu']['p50_ms']:.2f} ± {row['cpu']['spread_ms']:.2f}",
            f"{row['wall']['p50_ms']:.2f}",
            f"{row['cpu']['p50_ms'] / unit:.2f}",
        ]
        for row in ordered
    ]
    height, width = document["imgsz"]
    threads = counted(document["threads"], "thread")
    note = f"ONNX Runtime on {threads}, {width}x{height}, {document['machine']['utc'][:10]}."
    if document["noise"]:
        note += f" A noisy machine: {document['noise']}."
    headings = ["model", "CPU ms a frame", "ms a frame", f"times {first['name']}"]
    return markdown_table(headings, table) + f"\n\n{note}\n"


def _name(row: Mapping[str, Any]) -> str:
    return f"**{row['name']}**" if row["ours"] else str(row["name"])
