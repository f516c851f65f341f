"""Measuring many rows: prepare each network once, then one fresh process a row; a row that fails stops no other."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgefuse.bench.machine import choose_cpus, describe_machine
from edgefuse.bench.measure import Budget
from edgefuse.bench.prepare import Prepared, PrepareJob
from edgefuse.bench.processes import JobError, run_job
from edgefuse.bench.record import Record, Row, Series
from edgefuse.bench.row import RowJob
from edgefuse.bench.spec import RowSpec, artifact_format

__all__ = ["Settings", "cache_folder", "measure_rows"]


@dataclass(frozen=True)
class Settings:
    """How every row of a sweep is measured.

    Attributes:
        budget: Time for each series.
        threads: Threads of one operation on the CPU, and CPUs to stay on.
        timeout_seconds: Longest time of one row.
        cache: Folder that keeps exported graphs between runs, or None to export anew.
        with_roofs: Also measure what the CPU can do at best, for the roofline picture.
    """

    budget: Budget
    threads: int
    timeout_seconds: float = 900.0
    cache: Path | None = None
    with_roofs: bool = False


def cache_folder() -> Path:
    """Where exported graphs are kept: ``$XDG_CACHE_HOME/edgefuse/bench`` or ``~/.cache/edgefuse/bench``."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "edgefuse" / "bench"


def measure_rows(
    specs: Sequence[RowSpec],
    settings: Settings,
    *,
    on_start: Callable[[str], None] = lambda _title: None,
    on_row: Callable[[Row], None] = lambda _row: None,
) -> Record:
    """Measure rows one after another.

    Args:
        specs: The rows.
        settings: How to measure them.
        on_start: Called with what comes next.
        on_row: Called with every finished row, measured or failed.

    Returns:
        The record of all rows, in the given order; after a Ctrl-C of those that were finished, marked as incomplete.
    """
    machine = describe_machine()
    cpus = choose_cpus(settings.threads)
    on_start("overhead of the harness")
    overhead = _run("overhead", {"budget": asdict(Budget(seconds=0.2, warmup_seconds=0.1))}, settings, cpus)["overhead"]
    described: dict[str, Any] = {
        "complete": True,
        "budget": asdict(settings.budget),
        "threads": settings.threads,
        "cpus": list(cpus),
        "machine_summary": machine.summary,
    }
    if settings.with_roofs:
        on_start("roofs of the machine")
        described["roofs"] = _run("roofs", {}, settings, cpus)
    rows: list[Row] = []
    try:
        for _, group in itertools.groupby(specs, key=lambda spec: (spec.subject, spec.imgsz, spec.batch)):
            with tempfile.TemporaryDirectory(prefix="edgefuse-bench-") as folder:
                for row in _measure_group(list(group), settings, cpus, Path(folder), on_start):
                    rows.append(row)
                    on_row(row)
    except KeyboardInterrupt:
        described["complete"] = False
    return Record(
        machine=asdict(machine),
        settings=described,
        overhead=Series.from_dict(overhead),
        rows=tuple(rows),
    )


def _run(kind: str, job: dict[str, Any], settings: Settings, cpus: tuple[int, ...]) -> dict[str, Any]:
    return run_job(kind, job, threads=settings.threads, cpus=cpus, timeout_seconds=settings.timeout_seconds)


def _measure_group(
    group: Sequence[RowSpec], settings: Settings, cpus: tuple[int, ...], folder: Path, on_start: Callable[[str], None]
) -> Iterator[Row]:
    """Measure rows that share one network at one size and batch."""
    first = group[0]
    wanted = {(form, spec.precision) for spec in group if (form := artifact_format(spec.runtime)) is not None}
    job = PrepareJob(
        subject=first.subject,
        imgsz=first.imgsz,
        batch=first.batch,
        # fp32 first: its graph is the one that is counted.
        wanted=tuple(sorted(wanted, key=lambda item: (item[0], item[1] != "fp32", item[1]))),
        folder=str(folder),
        cache=None if settings.cache is None else str(settings.cache),
    )
    on_start(f"preparing {first.subject.label} at {first.imgsz[1]}x{first.imgsz[0]}")
    try:
        prepared = Prepared.from_dict(_run("prepare", asdict(job), settings, cpus))
    except JobError as error:
        for spec in group:
            yield _failed(spec, str(error))
        return
    for spec in group:
        on_start(spec.title)
        yield _measure_row(spec, prepared, settings, cpus)


def _measure_row(spec: RowSpec, prepared: Prepared, settings: Settings, cpus: tuple[int, ...]) -> Row:
    """Measure one row, or say why it has no numbers."""
    problem = prepared.problem_of(spec)
    if problem is not None:
        return _failed(spec, problem, prepared)
    job = RowJob(
        spec=spec,
        budget=settings.budget,
        network_size=prepared.network_size,
        artifact=prepared.artifact_of(spec),
        reference=prepared.reference,
        reference_name=prepared.reference_name,
    )
    try:
        result = _run("row", asdict(job), settings, cpus)
    except JobError as error:
        return _failed(spec, str(error), prepared)
    return Row.from_dict({**_identity(spec), **prepared.costs_of(spec), **result})


def _identity(spec: RowSpec) -> dict[str, Any]:
    return {
        "model": spec.subject.label,
        "runtime": spec.runtime,
        "device": spec.device,
        "precision": spec.precision,
        "batch": spec.batch,
        "imgsz": spec.imgsz,
        "threads": spec.threads,
    }


def _failed(spec: RowSpec, reason: str, prepared: Prepared | None = None) -> Row:
    costs = {} if prepared is None else prepared.costs_of(spec)
    # The record can be published: it does not name who measured.
    reason = reason.replace(str(Path.home()), "~")
    return Row.from_dict({**_identity(spec), **costs, "failed": reason})
