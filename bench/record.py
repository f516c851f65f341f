"""The record of a benchmark: JSON with a schema version, every raw time, and the machine it was measured on."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edgefuse.bench.gate import Deviation
from edgefuse.bench.measure import Timing
from edgefuse.bench.noise import Noise
from edgefuse.bench.summary import Summary, summarize
from edgefuse.errors import ArtifactError, UsageError
from edgefuse.folder import check_writable
from edgefuse.manifest import write_atomically

__all__ = ["SCHEMA_VERSION", "Record", "Row", "Series", "check_savable", "load_document", "save_document"]

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Series:
    """One series of timings, as recorded.

    Attributes:
        first_ms: The first run after loading.
        warmup_runs: Runs before the timed ones.
        times_ms: Every timed run, in order, to a nanosecond.
    """

    first_ms: float
    warmup_runs: int
    times_ms: tuple[float, ...]

    @classmethod
    def of(cls, timing: Timing) -> Series:
        """Record a measured series."""
        return cls(
            first_ms=round(timing.first_ms, 6),
            warmup_runs=timing.warmup_runs,
            times_ms=tuple(round(time, 6) for time in timing.times_ms),
        )

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> Series:
        """Read a series; statistics are computed again from the raw times."""
        return cls(document["first_ms"], document["warmup_runs"], tuple(document["times_ms"]))

    def to_dict(self) -> dict[str, Any]:
        """The series as JSON, with its statistics beside the raw times."""
        return {"summary": asdict(self.summary), **asdict(self)}

    @property
    def summary(self) -> Summary:
        """Statistics of the timed runs."""
        return summarize(self.times_ms)


@dataclass(frozen=True)
class Row:
    """One measured or failed row.

    Attributes:
        model: Label of the network.
        runtime: What ran it.
        device: Where it ran.
        precision: Precision of its weights and operations.
        batch: Image pairs an inference.
        imgsz: Height and width of the images in pixels.
        threads: Threads of one operation on the CPU.
        failed: Why there are no numbers, or None.
        weights: Where the weights came from.
        parameters: Learned numbers that inference needs.
        parameters_counter: What counted them.
        macs: Multiply-accumulates of one inference.
        flops: Arithmetic operations of one inference.
        uncounted: Operators that the counts miss, with the number of their nodes.
        counts_note: Why there are no counts.
        moved_bytes: Bytes that the graph's nodes read and write when nothing is fused.
        size_bytes: Size of the file that was loaded, or of the weights in memory where there is none.
        import_ms: Importing the runtime's library.
        load_ms: From the file to a network that is ready to run.
        inference: Network input to network output, in host memory: transfers are in it.
        resident: The same with inputs and output on the device, None on a CPU, where nothing is transferred.
        frame: From two 8-bit images to the fused one: preparation and finishing are in it.
        peak_host_bytes: Most memory that the row's process held.
        baseline_host_bytes: What it held before the network was loaded.
        peak_device_bytes: Most memory held on the device.
        energy_joules: Energy of one frame by source, idle power included.
        energy_note: Why a source tells nothing.
        deviation: Distance from the reference output.
        noise: What ran beside it.
        warnings: What to know before trusting the numbers.
    """

    model: str
    runtime: str
    device: str
    precision: str
    batch: int
    imgsz: tuple[int, int]
    threads: int
    failed: str | None = None
    weights: str | None = None
    parameters: int | None = None
    parameters_counter: str | None = None
    macs: int | None = None
    flops: int | None = None
    uncounted: dict[str, int] = field(default_factory=dict)
    counts_note: str | None = None
    moved_bytes: int | None = None
    size_bytes: int | None = None
    import_ms: float | None = None
    load_ms: float | None = None
    inference: Series | None = None
    resident: Series | None = None
    frame: Series | None = None
    peak_host_bytes: int | None = None
    baseline_host_bytes: int | None = None
    peak_device_bytes: int | None = None
    energy_joules: dict[str, float] = field(default_factory=dict)
    energy_note: str | None = None
    deviation: Deviation | None = None
    noise: Noise | None = None
    warnings: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[object, ...]:
        """What makes two rows of different records comparable."""
        return (self.model, self.runtime, self.device, self.precision, self.batch, self.imgsz)

    @property
    def frames_per_second(self) -> float | None:
        """Image pairs a second, from the median inference."""
        return None if self.inference is None else self.batch * 1e3 / self.inference.summary.p50_ms

    def to_dict(self) -> dict[str, Any]:
        """The row as JSON, with the statistics beside the raw times."""
        document = asdict(self)
        for name in ("inference", "resident", "frame"):
            series: Series | None = getattr(self, name)
            if series is not None:
                document[name] = series.to_dict()
        document["frames_per_second"] = self.frames_per_second
        return document

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> Row:
        """Read a row; statistics are computed again from the raw times."""
        values = {key: value for key, value in document.items() if key in cls.__dataclass_fields__}
        for name in ("inference", "resident", "frame"):
            if values.get(name) is not None:
                values[name] = Series.from_dict(values[name])
        if values.get("deviation") is not None:
            values["deviation"] = Deviation(**values["deviation"])
        if values.get("noise") is not None:
            values["noise"] = Noise(**values["noise"])
        values["imgsz"] = tuple(values["imgsz"])
        values["warnings"] = tuple(values.get("warnings", ()))
        return cls(**values)


@dataclass(frozen=True)
class Record:
    """The rows of one run and what they were measured with.

    Attributes:
        machine: Description of the machine, as JSON.
        settings: Budget, threads, the CPUs that rows were pinned to, and whether the run was ``complete``.
        overhead: Timings of a network that does nothing: what the harness itself takes.
        rows: The rows.
    """

    machine: dict[str, Any]
    settings: dict[str, Any]
    overhead: Series | None
    rows: tuple[Row, ...]

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON."""
        return {
            "schema_version": SCHEMA_VERSION,
            "command": "bench",
            "machine": self.machine,
            "settings": self.settings,
            "overhead": None if self.overhead is None else self.overhead.to_dict(),
            "rows": [row.to_dict() for row in self.rows],
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the record; one row a line, since its raw times are many.

        Args:
            path: File to write; its folder must exist.
        """
        save_document(self.to_dict(), path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Record:
        """Read a record, from a file or from what ``edgefuse bench --json`` printed.

        Args:
            path: JSON file.

        Returns:
            The record.

        Raises:
            ArtifactError: It is missing, damaged, or of another schema.
        """
        document = load_document(path, command="bench")
        overhead = document["overhead"]
        return cls(
            machine=document["machine"],
            settings=document["settings"],
            overhead=None if overhead is None else Series.from_dict(overhead),
            rows=tuple(Row.from_dict(row) for row in document["rows"]),
        )


def check_savable(path: Path) -> None:
    """Try that a record can be written, before anything is measured for it.

    Args:
        path: File to be written.

    Raises:
        UsageError: It is a folder, or lies in none.
        InputError: Its folder cannot be written to.
    """
    if path.is_dir() or not path.parent.is_dir():
        reason = "that is a folder: name a .json file" if path.is_dir() else "its folder does not exist"
        raise UsageError(f"--output {path}: {reason}")
    check_writable(path.parent)


def save_document(document: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Write a record as JSON; one row a line, since its raw times are many.

    Args:
        document: The record, its rows a list under ``"rows"``.
        path: File to write; its folder must exist.
    """
    rows = document["rows"]
    head = {key: value for key, value in document.items() if key != "rows"}
    parts = [f"  {json.dumps(key)}: {_indented(key, value)}" for key, value in head.items()]
    lines = ",\n".join("    " + json.dumps(row) for row in rows)
    parts.append(f'  "rows": [\n{lines}\n  ]')
    write_atomically(Path(path), ("{\n" + ",\n".join(parts) + "\n}\n").encode())


def _indented(key: str, value: Any) -> str:
    """A value over several lines, except raw times."""
    if key == "overhead":
        return json.dumps(value)
    return json.dumps(value, indent=2).replace("\n", "\n  ")


def load_document(path: str | os.PathLike[str], *, command: str) -> dict[str, Any]:
    """Read a record's JSON.

    Args:
        path: JSON file.
        command: The command that must have written it.

    Returns:
        The document.

    Raises:
        ArtifactError: It is missing, damaged, or of another command or schema.
    """
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ArtifactError(f"{path}: cannot read the benchmark record ({error.strerror})") from error
    except ValueError as error:
        raise ArtifactError(f"{path}: not a benchmark record ({error})") from error
    if not isinstance(document, dict) or document.get("command") != command:
        raise ArtifactError(f"{path}: not a record of edgefuse {command}")
    if document.get("schema_version") != SCHEMA_VERSION:
        found = document.get("schema_version")
        raise ArtifactError(f"{path}: schema {found!r}, this version reads {SCHEMA_VERSION}; measure again")
    return document
