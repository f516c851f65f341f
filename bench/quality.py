"""What fused pictures are worth beside other methods' and under disturbed inputs: ``python -m edgefuse.bench quality``.

Writes ``quality-peers.json`` and ``quality-robustness.json``; the tables of ``docs/quality.md`` are made of them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgefuse.bench.machine import describe_machine
from edgefuse.bench.record import SCHEMA_VERSION
from edgefuse.errors import ArtifactError, InputError
from edgefuse.manifest import sha256_file
from edgefuse.metrics.conventions import ConventionName
from edgefuse.metrics.corruption import parse_corruption
from edgefuse.metrics.study import Item, Method, Request, Study, find_items, plan, run
from edgefuse.metrics.study.score import RETENTION
from edgefuse.metrics.study.summary import RETENTION_WORST
from edgefuse.wording import counted
from edgefuse.zoo import artifact

__all__ = [
    "CONVENTION",
    "DISTURBANCES",
    "METRICS",
    "SETS",
    "OnRow",
    "head",
    "ignore",
    "label",
    "measure_peers",
    "measure_robustness",
    "scenes",
]

CONVENTION: ConventionName = "cddfuse"
METRICS = ("EN", "SD", "SF", "MI", "SCD", "VIF", "Qabf", "SSIM")
SETS = ("tno", "roadscene", "msrs")
DISTURBANCES = ("stripe:25", "gauss:25", "dark:0.1", "glare:0.15", "smoke:0.9", "shift:2,0", "dark:0@ir")
"""Stripes and noise as SSPFusion has them; the last is an infrared camera that sends black frames."""

OnRow = Callable[[str], None]


def ignore(line: str) -> None:
    """Stands in where nobody wants to be told."""


def head(command: str) -> dict[str, Any]:
    """How every record begins: command, schema, machine."""
    machine = asdict(describe_machine())
    about = {key: machine[key] for key in ("utc", "commit", "dirty", "versions")}
    return {"schema_version": SCHEMA_VERSION, "command": command, "machine": about}


def scenes(folder: Path, *, every: int = 1) -> list[Item]:
    """The scenes of a test set, with the masks of their targets where there are any.

    Args:
        folder: Folder with ``ir``, ``vis`` and perhaps ``mask``.
        every: Take every n-th scene.

    Returns:
        The scenes in natural order.

    Raises:
        InputError: There is none.
    """
    mask = folder / "mask"
    items, problems = find_items(folder / "ir", folder / "vis", mask if mask.is_dir() else None)
    if not items:
        raise InputError("; ".join(problems) or f"{folder} holds no pairs")
    return items[::every]


def measure_peers(models: Sequence[str], data: Path, peers: Path | None, *, on_row: OnRow = ignore) -> dict[str, Any]:
    """Score models on the three test sets, beside what others' reach.

    Args:
        models: Names, or paths of model files.
        data: Folder with ``tno/test``, ``roadscene/test`` and ``msrs/test``.
        peers: JSON of the other methods' values, each with ``name``, ``params``, ``quality`` and
            ``target_retention_tno``; None for our models alone.
        on_row: Called with a line for each model and set.

    Returns:
        The record, to be saved with ``save_document``.

    Raises:
        InputError: A set holds no pairs, or an image cannot be read.
        ArtifactError: The peers' file is missing or damaged.
    """
    rows = _peer_rows(peers) if peers is not None else []
    for model in models:
        quality: dict[str, dict[str, float]] = {}
        retention: dict[str, float] = {}
        for name in SETS:
            study = _study(model, scenes(data / name / "test"))
            means = study.means(label(model))
            quality[name] = {metric: round(means[metric], 4) for metric in METRICS} | {"images": len(study.images)}
            if RETENTION in means:
                retention = _retention(study, label(model))
            on_row(f"{label(model)} on {name}: {counted(len(study.images), 'image')}")
        rows.append({"name": label(model), "ours": True, **_file(model), "quality": quality, "retention": retention})
    return {**head("bench quality peers"), "convention": CONVENTION, "rows": rows}


def measure_robustness(models: Sequence[str], data: Path, *, every: int = 1, on_row: OnRow = ignore) -> dict[str, Any]:
    """Score models whose inputs are disturbed, against the clean sources.

    Args:
        models: Names, or paths of model files.
        data: As for ``measure_peers``.
        every: Take every n-th scene of each set.
        on_row: Called with a line for each model and set.

    Returns:
        The record: a row for each model and disturbance, means over the scenes of all sets.
    """
    rows = []
    for model in models:
        studies = []
        for name in SETS:
            studies.append(_study(model, scenes(data / name / "test", every=every), DISTURBANCES))
            shown = counted(len(studies[-1].images), "image")
            on_row(f"{label(model)} on {name}: {shown}, {len(DISTURBANCES)} disturbances")
        images = sum(len(study.images) for study in studies)
        for disturbance in ("", *DISTURBANCES):
            scores = {metric: round(_pooled(studies, label(model), disturbance, metric), 4) for metric in METRICS}
            kept = _pooled(studies, label(model), disturbance, RETENTION)
            scores |= {} if math.isnan(kept) else {RETENTION: round(kept, 4)}
            row = {"name": label(model), "disturbance": disturbance, "images": images, "scores": scores}
            rows.append(row | _file(model))
    return {**head("bench quality robustness"), "convention": CONVENTION, "every": every, "rows": rows}


def label(model: str) -> str:
    """What tables call a model: its name, or the stem of its file."""
    return Path(model).stem


def _study(model: str, items: Sequence[Item], disturbances: Sequence[str] = ()) -> Study:
    request = Request(CONVENTION, METRICS)
    corruptions = [tuple(map(parse_corruption, text.split("+"))) for text in disturbances]
    jobs = plan([Method(label(model), model=model)], items, corruptions)
    study = Study(request, tuple(jobs), tuple(run(jobs, request)))
    if study.errors:
        raise InputError(study.errors[0])
    return study


def _pooled(studies: Sequence[Study], name: str, disturbance: str, column: str) -> float:
    """Mean over the scenes of several studies; NaN where no scene has the value."""
    rows = [row for study in studies for row in study.rows_of(name, disturbance)]
    values = [row.scores[column] for row in rows if not math.isnan(row.scores.get(column, math.nan))]
    return math.fsum(values) / len(values) if values else math.nan


def _retention(study: Study, name: str) -> dict[str, float]:
    means = study.means(name)
    masked = sum(RETENTION in row.scores for row in study.rows_of(name))
    return {"mean": round(means[RETENTION], 4), "worst": round(means[RETENTION_WORST], 4), "scenes": masked}


def _file(model: str) -> dict[str, Any]:
    path = artifact(model)
    return {"sha256": sha256_file(path), "size_bytes": path.stat().st_size}


def _peer_rows(path: Path) -> list[dict[str, Any]]:
    """The other methods' values, without what the tables do not show."""
    try:
        methods: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return [
            {
                "name": method["name"],
                "ours": False,
                "parameters": method["params"],
                "quality": {name: {key: method["quality"][name][key] for key in (*METRICS, "images")} for name in SETS},
                "retention": dict(method["target_retention_tno"]),
            }
            for method in methods.values()
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{path}: not a table of other methods' values ({error!r})") from error
