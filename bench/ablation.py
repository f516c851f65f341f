"""The papers' ablation tables, trained at a reduced length: ``python -m edgefuse.bench ablation``.

Rows are in ``ablation.toml``, results in ``bench/results/ablation.json``, one record a training: rows that mean the
same training share one. A run that is stopped goes on with the rows that are missing.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgefuse.bench.formatting import NOTHING
from edgefuse.errors import ArtifactError, UsageError
from edgefuse.manifest import write_atomically

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from edgefuse.data import CheckedData
    from edgefuse.train.settings import Recipe

__all__ = [
    "AblationRow",
    "AblationTable",
    "Plan",
    "ablation_markdown",
    "chosen_rows",
    "load_plan",
    "load_results",
    "run_ablation",
]

PLAN = Path(__file__).resolve().parent / "ablation.toml"
_SCHEMA_VERSION = 1


@dataclass(frozen=True)
class AblationRow:
    """One training.

    Attributes:
        label: What the table calls it.
        recipe: Recipe that ships.
        overrides: Settings laid over its short length, those of the reduced length first.
    """

    label: str
    recipe: str
    overrides: tuple[str, ...]

    def load(self) -> Recipe:
        """The recipe as it is trained."""
        from edgefuse.train import load_recipe

        return load_recipe(self.recipe, overrides=self.overrides, short=True)

    @property
    def key(self) -> str:
        """Names the training by all of its settings: a row whose recipe changes is trained anew."""
        resolved = {key: value for key, value in self.load().resolved.items() if key not in ("title", "paper")}
        text = json.dumps(resolved, sort_keys=True)
        return f"{self.recipe}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


@dataclass(frozen=True)
class AblationTable:
    """Rows that belong together, and what they vary."""

    name: str
    of: str
    rows: tuple[AblationRow, ...]


@dataclass(frozen=True)
class Plan:
    """All tables, and how rows are scored.

    Attributes:
        title: What to know of the length.
        metrics: Columns.
        test_px: Side of the middle of each test picture that is scored.
        every: Every n-th scene of a test set is scored.
        tables: The tables.
    """

    title: str
    metrics: tuple[str, ...]
    test_px: int
    every: int
    tables: tuple[AblationTable, ...]


def load_plan(path: Path = PLAN) -> Plan:
    """Read the tables.

    Args:
        path: The TOML file.

    Returns:
        The plan.

    Raises:
        UsageError: A row names a recipe without a length, or the file is not such a plan.
    """
    try:
        text = tomllib.loads(path.read_text(encoding="utf-8"))
        lengths: Mapping[str, Sequence[str]] = text["length"]
        tables = tuple(
            AblationTable(table["name"], table["of"], tuple(_row(row, lengths) for row in table["rows"]))
            for table in text["tables"]
        )
        return Plan(text["title"], tuple(text["metrics"]), text["test_px"], text["every"], tables)
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise UsageError(f"{path}: not an ablation plan ({error!r})") from error


def _row(row: Mapping[str, Any], lengths: Mapping[str, Sequence[str]]) -> AblationRow:
    recipe = row["recipe"]
    length = lengths[recipe.removesuffix("-direction-aware")]
    return AblationRow(row["label"], recipe, (*length, *row.get("set", ())))


def load_results(path: Path) -> dict[str, Any]:
    """Read the results so far; none where there is no file.

    Raises:
        ArtifactError: The file is damaged, or of another version.
    """
    if not path.is_file():
        return {"schema_version": _SCHEMA_VERSION, "command": "bench ablation", "rows": {}}
    try:
        results: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ArtifactError(f"{path}: not valid JSON ({error})") from error
    if results.get("command") != "bench ablation" or results.get("schema_version") != _SCHEMA_VERSION:
        raise ArtifactError(f"{path}: not the results of an ablation of this version")
    return results


def run_ablation(
    plan: Plan,
    data: CheckedData,
    tests: Sequence[Path],
    results: Path,
    *,
    scratch: Path,
    pattern: str = "",
    max_minutes: float | None = None,
    device: str = "auto",
    on_row: Callable[[str], object] = print,
) -> int:
    """Train and score the rows that have no result yet.

    Args:
        plan: The tables.
        data: Training pairs.
        tests: Test sets.
        results: File of the results, written after each row.
        scratch: Folder of the training runs; a run that was cut is taken up again there.
        pattern: As for :func:`chosen_rows`.
        max_minutes: Start no row after this time; the row that runs is cut and taken up by the next call.
        device: Where to train.
        on_row: Told of each row.

    Returns:
        How many rows are left.

    Raises:
        UsageError: Nothing is named so.
        KeyboardInterrupt: Ctrl-C ended a training; what it did is in ``scratch``.
    """
    document = load_results(results)
    started, left = time.monotonic(), 0
    pending = _pending(plan, document, pattern)
    for key, row in pending.items():
        spent = (time.monotonic() - started) / 60
        if max_minutes is not None and spent >= max_minutes:
            left += 1
            continue
        on_row(f"{row.recipe}: {row.label}")
        rest = None if max_minutes is None else max_minutes - spent
        record = _train_and_score(row, plan, data, tests, scratch / key, max_minutes=rest, device=device)
        if record is None:
            left += 1
            continue
        document["rows"][key] = record
        results.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(results, (json.dumps(document, indent=2, sort_keys=True) + "\n").encode())
        shutil.rmtree(scratch / key)
    return left


def chosen_rows(plan: Plan, pattern: str) -> list[AblationRow]:
    """The rows that a text chooses.

    Args:
        plan: The tables.
        pattern: Text in the name of their table, of their recipe or of themselves, in capitals or not; all rows where
            it is empty.

    Returns:
        The rows, in the order of the tables.

    Raises:
        UsageError: Nothing is named so; the message lists what there is.
    """
    text = pattern.casefold()
    chosen = [
        row
        for table in plan.tables
        for row in table.rows
        if any(text in name.casefold() for name in (table.name, row.recipe, row.label))
    ]
    if not chosen:
        recipes = sorted({row.recipe for table in plan.tables for row in table.rows})
        raise UsageError(
            f"no table, recipe or row has {pattern!r} in its name; tables: "
            f"{', '.join(table.name for table in plan.tables)}; recipes: {', '.join(recipes)}; "
            "rows: the first column of docs/ablations.md"
        )
    return chosen


def _pending(plan: Plan, document: Mapping[str, Any], pattern: str) -> dict[str, AblationRow]:
    """Trainings without a result, by key; a training of two tables is done once."""
    found: dict[str, AblationRow] = {}
    for row in chosen_rows(plan, pattern):
        found.setdefault(row.key, row)
    return {key: row for key, row in found.items() if key not in document["rows"]}


def _train_and_score(
    row: AblationRow,
    plan: Plan,
    data: CheckedData,
    tests: Sequence[Path],
    folder: Path,
    *,
    max_minutes: float | None,
    device: str,
) -> dict[str, Any] | None:
    """One record, or None where the training was cut."""
    from edgefuse import models
    from edgefuse.train.engine import CHECKPOINT_FILE, train
    from edgefuse.train.scoring import score_network

    recipe = row.load()
    trained = train(
        recipe,
        data,
        output=folder,
        device=device,  # type: ignore[arg-type]  # train checks it
        resume=(folder / CHECKPOINT_FILE).is_file(),
        max_minutes=max_minutes,
    )
    if trained.reason == "interrupted":
        raise KeyboardInterrupt  # the trainer takes Ctrl-C as a wish to end this training; here it ends the study
    if trained.reason != "finished":
        return None
    network = models.create(recipe.model, **recipe.config)
    models.load_weights(network, trained.weights)
    scores = score_network(network, tests, every=plan.every, crop_px=plan.test_px)
    record = {key: trained.record[key] for key in ("steps", "minutes", "device", "seed", "data_sha256", "torch")}
    crops = [stage.augmentation.crop_px for stage in recipe.stages]
    batches = [stage.train.batch for stage in recipe.stages]
    changed = {"recipe": row.recipe, "overrides": list(row.overrides), "crop_px": crops[-1], "batch": batches[-1]}
    return {**changed, **record, "scores": scores}


def ablation_markdown(plan: Plan, results: Mapping[str, Any]) -> str:
    """All tables as Markdown; rows without a result say so.

    Args:
        plan: The tables.
        results: The results.

    Returns:
        The text between the markers of ``docs/ablations.md``.
    """
    parts = []
    for table in plan.tables:
        head = ("row", *plan.metrics, "TR", "steps", "minutes")
        lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
        cells = ([row.label, *_cells(plan, results["rows"].get(row.key))] for row in table.rows)
        lines += [f"| {' | '.join(line)} |" for line in cells]
        parts.append(f"### {table.name}\n\n{table.of[0].upper()}{table.of[1:]}.\n\n" + "\n".join(lines) + "\n")
    return "\n".join([*parts, _remark(plan, results)])


def _cells(plan: Plan, record: Mapping[str, Any] | None) -> list[str]:
    if record is None:
        return ["not run", *[NOTHING] * (len(plan.metrics) + 2)]
    sets = record["scores"]["sets"].values()
    values = [_mean_over_sets(sets, metric) for metric in (*plan.metrics, "TR")]
    shown = [NOTHING if value is None else f"{value:.3f}" for value in values]
    return [*shown, str(record["steps"]), f"{record['minutes']:.1f}"]


def _mean_over_sets(sets: Any, metric: str) -> float | None:
    """Mean over the sets' means, each set counting alike; sets without targets have no retention."""
    values = [one["means"][metric] for one in sets if one["means"].get(metric) is not None]
    return sum(values) / len(values) if values else None


def _remark(plan: Plan, results: Mapping[str, Any]) -> str:
    records = list(results["rows"].values())
    if not records:
        return "No row has been run.\n"
    keys = {row.key for table in plan.tables for row in table.rows}
    done = sum(key in results["rows"] for key in keys)
    first, middle = records[0]["scores"], f"the middle {plan.test_px} px of every {plan.every}th scene"
    sets = ", ".join(f"{one['images']} of {name}" for name, one in first["sets"].items())
    devices = ", ".join(sorted({record["device"] for record in records}))
    return (
        f"{done} of {len(keys)} trainings are done, with seed {records[0]['seed']}, on: {devices}; {plan.title}. "
        f"Scores: {first['convention']} convention, {middle} ({sets}), mean over the sets; "
        f"TR is the share of a target's infrared contrast that is kept.\n"
    )
