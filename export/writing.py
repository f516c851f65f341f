"""From a checked graph to the file that was asked for: graph, ONNX Runtime file, engine or model repository."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace

from edgefuse.errors import MissingDependencyError
from edgefuse.export.artifact import Artifact, write_artifact
from edgefuse.export.engine import EngineOptions, Profile, build_engine
from edgefuse.export.graph_inference import runtime_name
from edgefuse.export.ort_format import to_ort_format
from edgefuse.export.request import ExportRequest
from edgefuse.export.triton_repository import write_repository
from edgefuse.manifest import Manifest

__all__ = ["CheckedGraph", "build_command", "write_output"]


@dataclass(frozen=True)
class CheckedGraph:
    """A graph that has passed the comparison, and what the manifest says of it."""

    content: bytes
    manifest: Manifest


def write_output(request: ExportRequest, checked: CheckedGraph) -> Artifact:
    """Turn a graph into what was asked for, and write it with its manifest.

    Args:
        request: What was asked for.
        checked: The graph.

    Returns:
        The artifact.

    Raises:
        InputError: The output exists or cannot be written.
        ArtifactError: An engine cannot be built.
        MissingDependencyError: A library is missing; for a TensorRT engine with the command for the device.
    """
    if request.engine is not None:
        return _write_engine(request, request.engine, checked)
    if request.format == "triton-repo":
        return write_repository(request.output, checked.content, checked.manifest, overwrite=request.overwrite)
    if request.format == "ort":
        manifest = replace(checked.manifest, format="ort")
        return write_artifact(request.output, to_ort_format(checked.content), manifest, overwrite=request.overwrite)
    return write_artifact(request.output, checked.content, checked.manifest, overwrite=request.overwrite)


def _write_engine(request: ExportRequest, engine: EngineOptions, checked: CheckedGraph) -> Artifact:
    try:
        built = build_engine(checked.content, engine, profiles=_profiles(request, checked.manifest))
    except MissingDependencyError as error:
        place = request.output.with_suffix(".graph.onnx")  # so that the engine's manifest finds its name free
        graph = write_artifact(place, checked.content, checked.manifest, overwrite=request.overwrite)
        raise MissingDependencyError(
            f"{error}; the graph is in {graph.path}: on the device, run: {build_command(request, graph.path.name)}"
        ) from error
    parity = {**(checked.manifest.parity or {}), "runtime": f"{runtime_name()}, on the graph that the engine holds"}
    manifest = replace(
        checked.manifest,
        format=engine.kind,
        targets=built.targets,
        builder={
            **checked.manifest.builder,
            engine.kind: built.version,
            # The runner lets such an engine bring its own runtime.
            **({"version_compatible": "yes"} if engine.version_compatible else {}),
            "sizes": shlex.join(request.size_words()),
        },
        parity=parity,
    )
    return write_artifact(request.output, built.plan, manifest, overwrite=request.overwrite)


def _profiles(request: ExportRequest, manifest: Manifest) -> list[Profile]:
    """The ranges of sizes of a graph that leaves them free."""
    if manifest.imgsz is not None:
        return []
    return [
        {
            name: tuple((request.batch, channels, *size) for size in spans)  # type: ignore[misc]
            for name, channels in zip(manifest.inputs, request.channels, strict=True)
        }
        for spans in request.profile_sizes()
    ]


def build_command(request: ExportRequest, graph: str) -> str:
    """The command that builds an engine from a graph on the device that will run it.

    Args:
        request: What was asked for.
        graph: File name of the graph.

    Returns:
        A line for a shell.
    """
    engine = request.engine
    words = ["edgefuse", "export", graph, "--format", request.format, "--output", request.output.name]
    if request.dynamic:
        words += request.size_words()
    if engine is not None and engine.workspace_mib is not None:
        words += ["--workspace", str(engine.workspace_mib)]
    if engine is not None and engine.timing_cache is not None:
        words += ["--timing-cache", str(engine.timing_cache)]
    if engine is not None and engine.hardware_compatible:
        words.append("--hardware-compat")
    if engine is not None and engine.version_compatible:
        words.append("--version-compat")
    return shlex.join(words)
