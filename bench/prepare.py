"""What the rows of one network share: its costs, its files and the output that they must reproduce."""

from __future__ import annotations

import importlib.util
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgefuse.bench.images import network_inputs, sample_pair
from edgefuse.bench.processes import describe_failure
from edgefuse.bench.spec import RowSpec, Subject, artifact_format
from edgefuse.errors import UsageError
from edgefuse.manifest import ArtifactFormat, Manifest, Precision, manifest_path
from edgefuse.padding import padded_size

if TYPE_CHECKING:
    from torch import nn

__all__ = ["PrepareJob", "Prepared", "prepare"]


@dataclass(frozen=True)
class PrepareJob:
    """What to prepare.

    Attributes:
        subject: The network.
        imgsz: Height and width of the images.
        batch: Image pairs an inference.
        wanted: Formats and precisions of the files that rows will load.
        folder: Folder for files of this run.
        cache: Folder for files that later runs can use, or None.
    """

    subject: Subject
    imgsz: tuple[int, int]
    batch: int
    wanted: tuple[tuple[ArtifactFormat, Precision], ...]
    folder: str
    cache: str | None

    @classmethod
    def from_dict(cls, job: dict[str, Any]) -> PrepareJob:
        """Read a job that ``asdict`` wrote."""
        subject = dict(job["subject"])
        subject["config"] = tuple((key, value) for key, value in subject["config"])
        return cls(
            subject=Subject(**subject),
            imgsz=(job["imgsz"][0], job["imgsz"][1]),
            batch=job["batch"],
            wanted=tuple((form, precision) for form, precision in job["wanted"]),
            folder=job["folder"],
            cache=job["cache"],
        )


@dataclass
class Prepared:
    """What was prepared; a part that failed leaves its reason in ``problems``.

    Attributes:
        network_size: Height and width that the network takes, padded from the images'.
        weights: Where the weights came from.
        parameters: Learned numbers that inference needs.
        parameters_counter: What counted them.
        state_bytes: Size of the weights in memory, for rows that load no file.
        counts: ``macs``, ``flops`` and ``uncounted``, by ``"torch"`` or the precision of a graph.
        artifacts: Files by ``"format precision"``.
        reference: File of the reference output, if anything can tell.
        reference_name: What computed it.
        problems: Reasons by ``"format precision"``, ``"reference"`` or ``"counts"``.
    """

    network_size: tuple[int, int]
    weights: str | None = None
    parameters: int | None = None
    parameters_counter: str | None = None
    state_bytes: int | None = None
    counts: dict[str, dict[str, Any]] = field(default_factory=dict)
    artifacts: dict[str, str] = field(default_factory=dict)
    reference: str | None = None
    reference_name: str = ""
    problems: dict[str, str] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> Prepared:
        """Read what ``asdict`` wrote."""
        return cls(**{**document, "network_size": tuple(document["network_size"])})

    def artifact_of(self, spec: RowSpec) -> str | None:
        """The file that a row loads, None for one that builds the PyTorch network."""
        return self.artifacts.get(f"{artifact_format(spec.runtime)} {spec.precision}")

    def problem_of(self, spec: RowSpec) -> str | None:
        """Why a row cannot be measured, if it cannot."""
        form = artifact_format(spec.runtime)
        if form is not None and self.artifact_of(spec) is None:
            return self.problems.get(f"{form} {spec.precision}", f"no {form} file in {spec.precision}")
        if "reference" in self.problems:
            return f"nothing to check the output against: {self.problems['reference']}"
        return None

    def costs_of(self, spec: RowSpec) -> dict[str, Any]:
        """The fields of a row that need no run."""
        artifact = self.artifact_of(spec)
        kind = "torch" if artifact_format(spec.runtime) is None else "graph"
        counts = self.counts.get(kind, {"counts_note": self.problems.get("counts", "the engine's graph is not kept")})
        return {
            "weights": self.weights,
            "parameters": self.parameters,
            "parameters_counter": self.parameters_counter,
            "size_bytes": self.state_bytes if artifact is None else Path(artifact).stat().st_size,
            **counts,
        }


def prepare(document: dict[str, Any]) -> dict[str, Any]:
    """Prepare one network at one size and batch.

    Args:
        document: A :class:`PrepareJob` as JSON.

    Returns:
        A :class:`Prepared` as JSON.
    """
    job = PrepareJob.from_dict(document)
    kind = job.subject.kind
    if kind == "engine":
        return asdict(_prepare_engine(job))
    if kind == "onnx":
        return asdict(_prepare_graph(job, Path(job.subject.source)))
    if importlib.util.find_spec("torch") is None:
        from edgefuse.zoo import artifact

        return asdict(_prepare_graph(job, artifact(job.subject.source)))
    return asdict(_prepare_network(job))


def _prepare_engine(job: PrepareJob) -> Prepared:
    """An engine is measured as it is; an ONNX file of the same stem beside it gives the reference."""
    path = Path(job.subject.source)
    size = job.imgsz
    if manifest_path(path).is_file():
        manifest = Manifest.load(manifest_path(path))
        size = _size_for(path.name, job.imgsz, manifest.size_multiple, manifest.min_size, manifest.imgsz)
    prepared = Prepared(network_size=size)
    prepared.artifacts = {f"{form} {precision}": str(path) for form, precision in job.wanted}
    graph = path.with_suffix(".onnx")
    if graph.is_file():
        _add_graph(prepared, job, graph)
    return prepared


def _prepare_graph(job: PrepareJob, path: Path) -> Prepared:
    """An ONNX file is measured as it is; its reference runs without any of the runtime's optimisations."""
    from edgefuse.runtime import OnnxRuntimeRunner

    with OnnxRuntimeRunner(path) as runner:
        size = _size_for(path.name, job.imgsz, runner.size_multiple, runner.min_size, runner.imgsz)
        own_precision = "fp32" if runner.manifest is None else runner.manifest.precision
    prepared = Prepared(network_size=size, weights="in the file")
    for form, precision in job.wanted:
        key = f"{form} {precision}"
        if form != "onnx":
            prepared.problems[key] = "build the engine with edgefuse export first, then measure it with --engine"
        elif precision != own_precision:
            prepared.problems[key] = f"{path.name} is {own_precision}, and a file is measured as it is"
        else:
            prepared.artifacts[key] = str(path)
    _add_graph(prepared, job, path)
    return prepared


def _size_for(
    name: str, imgsz: tuple[int, int], multiple: int, minimum: int, fixed: tuple[int, int] | None
) -> tuple[int, int]:
    """The size that a network takes for images of a size; a network of one size is not measured at another."""
    size = padded_size(*imgsz, multiple=multiple, minimum=minimum)
    if fixed is not None and fixed != size:
        raise UsageError(f"{name} takes images of {fixed[1]}x{fixed[0]} alone: --imgsz {fixed[0]} {fixed[1]}")
    return size


def _add_graph(prepared: Prepared, job: PrepareJob, path: Path) -> None:
    """Add the counts of a graph and its reference output."""
    from edgefuse.bench.graphs import count_graph, run_unoptimized

    try:
        counted = count_graph(path, job.batch, prepared.network_size)
    except Exception as error:  # rows are measured without counts
        prepared.problems["counts"] = describe_failure(error)
    else:
        prepared.parameters = counted.pop("initializer_elements")
        prepared.parameters_counter = "onnx initializers"
        prepared.counts["graph"] = counted
    try:
        output = run_unoptimized(path, *_inputs(job.batch, prepared.network_size))
    except Exception as error:  # rows without a reference say so
        prepared.problems["reference"] = describe_failure(error)
    else:
        _save_reference(prepared, job, output, "ONNX Runtime on the CPU without optimisations")


def _prepare_network(job: PrepareJob) -> Prepared:
    """A PyTorch network: its own output on the CPU is the reference of every runtime."""
    from edgefuse.bench.graphs import count_network
    from edgefuse.bench.network import build_network, inference_parameters, state_bytes

    network, weights = build_network(job.subject)
    prepared = Prepared(
        network_size=_size_for(
            job.subject.label,
            job.imgsz,
            int(getattr(network, "size_multiple", 1)),
            int(getattr(network, "min_size", 1)),
            None,
        ),
        weights=weights,
        parameters=inference_parameters(network),
        parameters_counter="torch",
        state_bytes=state_bytes(network),
    )
    _add_exports(prepared, job, network)
    if "torch" not in prepared.counts:
        try:
            counted = count_network(network, prepared.network_size, batch=job.batch)
        except Exception as error:  # a network that cannot be exported can still be measured in PyTorch
            prepared.problems["counts"] = describe_failure(error)
        else:
            prepared.counts["torch"] = counted
            if not counted["has_dft"]:
                # Nothing is rewritten on the way to an engine: it runs the same operations.
                prepared.counts.setdefault("graph", counted)
    _add_network_reference(prepared, job, network)
    return prepared


def _add_exports(prepared: Prepared, job: PrepareJob, network: nn.Module) -> None:
    """Add the files that rows load, exported or found in the cache."""
    from edgefuse.bench.graphs import count_graph, export_network

    for form, precision in job.wanted:
        key = f"{form} {precision}"
        try:
            path = export_network(
                network,
                job.subject,
                form,
                precision,
                batch=job.batch,
                size=prepared.network_size,
                folder=Path(job.folder),
                cache=None if job.cache is None else Path(job.cache),
            )
            if form == "onnx" and "graph" not in prepared.counts:
                counted = count_graph(path, job.batch, prepared.network_size)
                del counted["initializer_elements"]
                prepared.counts["graph"] = counted
                if Manifest.load(manifest_path(path)).dft_lowering == "none" and precision == "fp32":
                    # Nothing was rewritten: PyTorch runs the same operations.
                    prepared.counts["torch"] = counted
        except Exception as error:  # rows of the other formats go on
            prepared.problems[key] = describe_failure(error)
        else:
            prepared.artifacts[key] = str(path)


def _add_network_reference(prepared: Prepared, job: PrepareJob, network: nn.Module) -> None:
    import torch

    ir, vis = (torch.from_numpy(image) for image in _inputs(job.batch, prepared.network_size))
    try:
        with torch.inference_mode():
            fused = network(ir, vis)
        output: NDArray[np.float32] = fused.float().numpy()
    except Exception as error:  # rows without a reference say so
        prepared.problems["reference"] = describe_failure(error)
    else:
        _save_reference(prepared, job, output, "PyTorch on the CPU in fp32")


def _inputs(batch: int, size: tuple[int, int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return network_inputs(*sample_pair(batch, size))


def _save_reference(prepared: Prepared, job: PrepareJob, output: NDArray[np.float32], name: str) -> None:
    path = Path(job.folder) / "reference.npy"
    np.save(path, output)
    prepared.reference, prepared.reference_name = str(path), name
