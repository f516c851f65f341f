"""What a sweep measures: subjects, and the rows that follow from lists of settings."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

from edgefuse.errors import UsageError
from edgefuse.manifest import PRECISIONS, ArtifactFormat, Precision

__all__ = [
    "PRECISIONS",
    "RUNTIMES",
    "BenchRuntime",
    "RowSpec",
    "Subject",
    "artifact_format",
    "engine_subject",
    "expand",
    "model_subject",
    "onnx_subject",
]

BenchRuntime = Literal["torch", "torch-compile", "ort", "ort-cuda", "tensorrt", "tensorrt-rtx"]
RUNTIMES: tuple[BenchRuntime, ...] = get_args(BenchRuntime)

SubjectKind = Literal["model", "onnx", "engine"]

_FORMATS: dict[BenchRuntime, ArtifactFormat] = {
    "ort": "onnx",
    "ort-cuda": "onnx",
    "tensorrt": "tensorrt",
    "tensorrt-rtx": "tensorrt-rtx",
}
_ENGINE_RUNTIMES: dict[str, BenchRuntime] = {".plan": "tensorrt", ".engine": "tensorrt", ".rtx": "tensorrt-rtx"}


@dataclass(frozen=True)
class Subject:
    """A network to measure.

    Attributes:
        label: What its rows are called.
        kind: A network in PyTorch, an ONNX file or a built engine.
        source: Name or ``package.module:Class``, or the file's path.
        config: Keyword arguments for the network's class, as pairs.
        weights: File of its weights, or None for the bundled ones, or random ones where none are bundled.
        trusted: Run an engine without a matching manifest.
    """

    label: str
    kind: SubjectKind
    source: str
    config: tuple[tuple[str, Any], ...] = ()
    weights: str | None = None
    trusted: bool = False

    @property
    def is_foreign(self) -> bool:
        """Whether it comes from outside of EdgeFuse."""
        return self.kind != "model" or ":" in self.source


@dataclass(frozen=True)
class RowSpec:
    """One row: a network on a runtime at one size.

    Attributes:
        subject: The network.
        runtime: What runs it.
        device: Where, as in ``"cpu"`` or ``"cuda:0"``.
        precision: Precision of its weights and operations.
        batch: Image pairs an inference.
        imgsz: Height and width of the images in pixels.
        threads: Threads of one operation on the CPU.
    """

    subject: Subject
    runtime: BenchRuntime
    device: str
    precision: Precision
    batch: int
    imgsz: tuple[int, int]
    threads: int

    @property
    def title(self) -> str:
        """The row in a few words, for progress and errors."""
        return f"{self.subject.label} {self.runtime} {self.precision} {self.imgsz[1]}x{self.imgsz[0]} x{self.batch}"


def artifact_format(runtime: BenchRuntime) -> ArtifactFormat | None:
    """The kind of file that a runtime loads, or None for those that take the PyTorch module."""
    return _FORMATS.get(runtime)


def model_subject(source: str, *, config: dict[str, Any] | None = None, weights: str | None = None) -> Subject:
    """A network by its registered name or as ``package.module:Class``."""
    label = source.rpartition(":")[2]
    settings = tuple((config or {}).items())
    if settings:
        label += " (" + ", ".join(f"{key}={value}" for key, value in settings) + ")"
    return Subject(label=label, kind="model", source=source, config=settings, weights=weights)


def onnx_subject(path: Path) -> Subject:
    """An ONNX file of any origin.

    Raises:
        UsageError: There is no such file.
    """
    if not path.is_file():
        raise UsageError(f"--onnx {path}: no such file")
    return Subject(label=path.name, kind="onnx", source=str(path.resolve()))


def engine_subject(path: Path, *, trusted: bool = False) -> Subject:
    """A built engine.

    Args:
        path: The file.
        trusted: Run it without a matching manifest; an engine is code.

    Raises:
        UsageError: There is no such file, or its suffix names no runtime.
    """
    if not path.is_file():
        raise UsageError(f"--engine {path}: no such file")
    if path.suffix.lower() not in _ENGINE_RUNTIMES:
        raise UsageError(f"--engine {path}: the suffix must be one of {', '.join(_ENGINE_RUNTIMES)}")
    return Subject(label=path.name, kind="engine", source=str(path.resolve()), trusted=trusted)


def expand(
    subjects: Sequence[Subject],
    *,
    runtimes: Sequence[str],
    sizes: Sequence[tuple[int, int]],
    devices: Sequence[str] = (),
    precisions: Sequence[str] = ("fp32",),
    batches: Sequence[int] = (1,),
    threads: int,
) -> list[RowSpec]:
    """Form every combination of the lists that makes sense, in a stable order.

    Args:
        subjects: The networks.
        runtimes: Names from ``RUNTIMES``.
        sizes: Heights and widths.
        devices: Devices, or none for each runtime's own: the GPU where the runtime has no other, else the CPU.
        precisions: Names from ``PRECISIONS``.
        batches: Image pairs an inference.
        threads: Threads of one operation on the CPU.

    Returns:
        The rows.

    Raises:
        UsageError: A name is unknown, a number makes no sense, or a network or runtime fits none of the others.
    """
    _require_known("--runtime", runtimes, RUNTIMES)
    _require_known("--precision", precisions, PRECISIONS)
    if threads < 1 or any(batch < 1 for batch in batches) or any(side < 1 for size in sizes for side in size):
        raise UsageError("--threads, --batch and --imgsz must be at least 1")
    rows: list[RowSpec] = []
    for subject in subjects:
        places = _places(subject, [cast("BenchRuntime", name) for name in runtimes], devices)
        # Size and batch outermost: rows that share a prepared network follow each other.
        for size, batch, (runtime, device), precision in itertools.product(sizes, batches, places, precisions):
            row = RowSpec(subject, runtime, device, cast("Precision", precision), batch, size, threads)
            if row not in rows:
                rows.append(row)
    return rows


def _places(
    subject: Subject, runtimes: Sequence[BenchRuntime], devices: Sequence[str]
) -> list[tuple[BenchRuntime, str]]:
    """Pairs of runtime and device that a subject can run on."""
    if subject.kind == "engine":
        runtimes = [_ENGINE_RUNTIMES[Path(subject.source).suffix.lower()]]
    elif subject.kind == "onnx":
        fitting = [runtime for runtime in runtimes if artifact_format(runtime) is not None]
        if not fitting:
            raise UsageError(f"{subject.label} is an ONNX file: give --runtime one of {', '.join(_FORMATS)}")
        runtimes = fitting
    places: list[tuple[BenchRuntime, str]] = []
    for runtime in runtimes:
        found = [place for device in devices or [_default_device(runtime)] if (place := _place(runtime, device))]
        if not found:
            raise UsageError(f"{runtime} does not run on {', '.join(devices)}: add --device cuda")
        places += [place for place in found if place not in places]
    return places


def _default_device(runtime: BenchRuntime) -> str:
    return "cpu" if runtime in ("torch", "torch-compile", "ort") else "cuda"


def _place(runtime: BenchRuntime, device: str) -> tuple[BenchRuntime, str] | None:
    """The runtime's name on a device, or None where it does not run there; ONNX Runtime on a GPU is ``ort-cuda``."""
    kind = device.partition(":")[0]
    if kind not in ("cpu", "cuda"):
        raise UsageError(f"--device must be cpu, cuda or cuda:N, not {device!r}")
    if runtime in ("torch", "torch-compile"):
        return runtime, device
    if runtime == "ort":
        return ("ort", device) if kind == "cpu" else ("ort-cuda", device)
    return (runtime, device) if kind == "cuda" else None


def _require_known(option: str, values: Sequence[str], allowed: Sequence[str]) -> None:
    if not values:
        raise UsageError(f"{option} needs at least one of {', '.join(allowed)}")
    for value in values:
        if value not in allowed:
            raise UsageError(f"{option} must be of {', '.join(allowed)}, not {value!r}")
