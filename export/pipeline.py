"""The way from a model to an artifact: graph, DFT lowering, precision, parity, engine, manifest."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

import numpy as np

from edgefuse import __version__
from edgefuse.errors import ArtifactError, UsageError
from edgefuse.export.artifact import Artifact, refuse_taken
from edgefuse.export.engine import (
    ENGINE_KINDS,
    EngineOptions,
    import_library,
    library_targets,
)
from edgefuse.export.graph_inference import graph_inference, network_inference, runtime_name
from edgefuse.export.image_pairs import PairSet, network_inputs, real_pairs, synthetic_pairs
from edgefuse.export.parity import Floats, Infer, Parity, measure
from edgefuse.export.request import DEFAULT_SIZE, ExportFormat, ExportRequest, LowerMethod, sizes_of
from edgefuse.export.sources import Source, resolve
from edgefuse.export.trusted_graph import load_graph, opset_of, signature_of
from edgefuse.export.writing import CheckedGraph, write_output
from edgefuse.manifest import Manifest, Precision

if TYPE_CHECKING:
    import onnx
    from torch import nn

    from edgefuse.export.dft import Target

__all__ = ["export"]

PathLike = Union[str, "os.PathLike[str]"]

_SIMULATED_PAIRS = 2
_REAL_PAIRS = 4
_CALIBRATION_PAIRS = 32


def export(
    model: PathLike | nn.Module,
    output: PathLike,
    *,
    format: ExportFormat = "onnx",  # noqa: A002  # the word of the command line
    imgsz: tuple[int, int] | Sequence[tuple[int, int]] | None = None,
    span: tuple[tuple[int, int], tuple[int, int]] | None = None,
    precision: Precision = "fp32",
    opset: int = 18,
    batch: int = 1,
    dynamic: bool = False,
    lower: LowerMethod = "auto",
    weights: PathLike | None = None,
    config: Mapping[str, Any] | None = None,
    untrained: bool = False,
    input_names: Sequence[str] = ("ir", "vis"),
    channels: Sequence[int] | None = None,
    pairs: tuple[PathLike, PathLike] | None = None,
    calibration: tuple[PathLike, PathLike] | None = None,
    targets: Sequence[str] = (),
    workspace_mib: int | None = None,
    timing_cache: PathLike | None = None,
    hardware_compatible: bool = False,
    version_compatible: bool = False,
    allow_drift: bool = False,
    overwrite: bool = False,
) -> Artifact:
    """Export a fusion model, and check that what was written still draws the same picture.

    Args:
        model: A name from ``edgefuse.models.names()``, ``package.module:Class``, an ``nn.Module``, or an ``.onnx`` file
            (for which no torch is needed).
        output: File to write; its manifest goes beside it with the suffix ``.json``. A folder for ``"triton-repo"``.
        format: ``"onnx"``, ``"ort"``, ``"tensorrt-rtx"`` (built without a GPU), ``"tensorrt"`` (built on the device)
            or ``"triton-repo"``.
        imgsz: Height and width in pixels, by default 480 × 640; several for an engine of free size, which gets an
            optimisation profile for each.
        span: Smallest and largest height and width of an engine of free size with one profile, for all between.
        precision: Precision of the graph; inputs and output stay fp32.
        opset: ONNX opset, 18 to 21.
        batch: Image pairs an inference.
        dynamic: Leave height and width free, where the model allows.
        lower: How ``DFT`` nodes are rewritten, see :func:`edgefuse.export.lower_dft`.
        weights: Weights of a network that ships without.
        config: Keyword arguments of the network's class.
        untrained: Export a network without weights as it is initialised, to measure its cost.
        input_names: Names of the graph's inputs: two, or one.
        channels: Channels of each input, 1 or 3; by default 1.
        pairs: Infrared and visible file or folder for the parity check; by default the simulated street.
        calibration: Infrared and visible folder that int8 is calibrated on.
        targets: GPU targets of a TensorRT-RTX engine, as ``("sm_86",)``; by default all that it can build for.
        workspace_mib: Largest scratch memory of a layer of an engine.
        timing_cache: File of kernel times for TensorRT.
        hardware_compatible: Build a TensorRT engine for every GPU from Ampere on.
        version_compatible: Build a TensorRT engine that later releases load.
        allow_drift: Write the artifact although it strays too far from the model.
        overwrite: Replace what is there.

    Returns:
        The artifact with its manifest.

    Raises:
        UsageError: An option is wrong, or options do not go together.
        ArtifactError: The model cannot be exported or built, or strays too far; nothing is written then.
        TrustError: A file that is read is not what it should be.
        InputError: An image cannot be read, or the output cannot be written.
        MissingDependencyError: A library is missing. For ``"tensorrt"`` the graph is written all the same, and the
            message holds the command that builds it on the device.
    """
    source = resolve(model, weights=weights, config=config, untrained=untrained, inputs=len(input_names))
    graph = None if source.graph is None else load_graph(source.graph)
    given = _Given(imgsz, span, batch, dynamic, tuple(input_names), None if channels is None else tuple(channels))
    options = (workspace_mib, timing_cache, hardware_compatible, version_compatible)
    request = ExportRequest(
        Path(output),
        format,
        **_shapes_of_network(source, given) if graph is None else _shapes_of_graph(source, graph, given),
        precision=precision,
        opset=opset,
        lower=lower,
        engine=_engine_options(format, tuple(targets), *options),
        allow_drift=allow_drift,
        overwrite=overwrite,
    )
    if request.format != "triton-repo":
        refuse_taken(request.output, overwrite=overwrite)
    if (calibration is not None) != (precision == "int8"):
        raise UsageError("--calib-data and --precision int8 go together: quantisation is calibrated on real pairs")
    checks = None if pairs is None else real_pairs(*pairs, count=_REAL_PAIRS)
    calibrated = None if calibration is None else real_pairs(*calibration, count=_CALIBRATION_PAIRS)
    return write_output(request, _check(source, graph, request, checks=checks, calibration=calibrated))


@dataclass(frozen=True)
class _Given:
    """What the caller says of shapes; a network takes it, a finished graph must agree."""

    imgsz: tuple[int, int] | Sequence[tuple[int, int]] | None
    span: tuple[tuple[int, int], tuple[int, int]] | None
    batch: int
    dynamic: bool
    names: tuple[str, ...]
    channels: tuple[int, ...] | None


def _shapes_of_network(source: Source, given: _Given) -> dict[str, Any]:
    return {
        "sizes": sizes_of(given.imgsz, multiple=source.size_multiple, smallest=source.min_size),
        "span": _span(source, given),
        "batch": given.batch,
        "dynamic": given.dynamic,
        "names": given.names,
        "channels": given.channels or (1,) * len(given.names),
    }


def _shapes_of_graph(source: Source, graph: onnx.ModelProto, given: _Given) -> dict[str, Any]:
    found = signature_of(graph, source.name)
    sizes = sizes_of(
        given.imgsz, default=found.imgsz or DEFAULT_SIZE, multiple=source.size_multiple, smallest=source.min_size
    )
    if found.imgsz is not None and sizes != (found.imgsz,):
        height, width = found.imgsz
        raise UsageError(f"{source.name} is a graph for {height}x{width}: leave --imgsz out, or export the network")
    if found.batch is not None and given.batch not in (1, found.batch):
        raise UsageError(f"{source.name} is a graph for batches of {found.batch}: leave --batch out")
    return {
        "sizes": sizes,
        "span": _span(source, given),
        "batch": found.batch or given.batch,
        "dynamic": found.imgsz is None,
        "names": found.names,
        "output_name": found.output,
        "channels": found.channels,
    }


def _span(source: Source, given: _Given) -> tuple[tuple[int, int], tuple[int, int]] | None:
    if given.span is None:
        return None
    smallest, largest = sizes_of(given.span, multiple=source.size_multiple, smallest=source.min_size)
    return smallest, largest


def _engine_options(format: ExportFormat, targets: tuple[str, ...], *options: Any) -> EngineOptions | None:  # noqa: A002
    """Options of an engine, None for other formats, which have no use for them."""
    workspace_mib, timing_cache, hardware_compatible, version_compatible = options
    if format in ENGINE_KINDS:
        cache = None if timing_cache is None else Path(timing_cache)
        return EngineOptions(format, targets, workspace_mib, cache, hardware_compatible, version_compatible)
    given = {
        "--target": targets,
        "--workspace": workspace_mib,
        "--timing-cache": timing_cache,
        "--hardware-compat": hardware_compatible,
        "--version-compat": version_compatible,
    }
    wrong = " and ".join(name for name, value in given.items() if value)
    if wrong:
        raise UsageError(f"{wrong} belongs to engines: leave it out, or take --format tensorrt or tensorrt-rtx")
    return None


def _check(
    source: Source,
    graph: onnx.ModelProto | None,
    request: ExportRequest,
    *,
    checks: PairSet | None,
    calibration: PairSet | None,
) -> CheckedGraph:
    """Rewrite the graph as asked, and hold it against where it came from."""
    from edgefuse.export.blocked_layout import add_in_blocked_layout
    from edgefuse.export.concatenations import convolve_before_concatenating
    from edgefuse.export.dft import count_dft, lower_dft
    from edgefuse.export.pixel_shuffle import shuffle_by_transposing
    from edgefuse.export.quantisation import refuse_quantised_for_cpu

    original = graph if graph is not None else _from_network(source, request)
    target: Target = "cpu" if request.engine is None else "tensor-core"
    if request.engine is not None:
        refuse_quantised_for_cpu(original, source.name)
    checks = checks or synthetic_pairs(*request.sizes[0], count=_SIMULATED_PAIRS)
    lowered = lower_dft(original, method=request.lower, target=target)
    builder = _builder(source)
    if request.precision != "fp32":
        from edgefuse.export.precision import to_precision

        samples = _inputs(request, calibration or checks)
        for_engine = request.engine is not None
        lowered, tool = to_precision(lowered, request.precision, samples=samples, for_engine=for_engine)
        builder |= tool
    if target == "cpu" and request.precision in ("fp32", "int8"):
        # After int8 was chosen for some convolutions: it may pay for a convolution and not for its parts.
        lowered = shuffle_by_transposing(add_in_blocked_layout(convolve_before_concatenating(lowered)))
    if request.engine is not None and _wants_turing(request.engine):
        from edgefuse.export.turing import products_as_convolutions

        lowered = products_as_convolutions(lowered)
    content = lowered.SerializeToString(deterministic=True)
    parity = _compare(source, original, content, request, checks)
    if not parity.passed and not request.allow_drift:
        raise ArtifactError(
            f"the {request.precision} graph strays from {parity.reference}: {parity.complaint()}; "
            "take a higher precision, or --allow-drift to export it all the same"
        )
    lowering = source.dft_lowering
    if count_dft(original):
        lowering = f"auto ({target})" if request.lower == "auto" else request.lower
    return CheckedGraph(content, _manifest(source, request, lowered, lowering=lowering, parity=parity, builder=builder))


def _from_network(source: Source, request: ExportRequest) -> onnx.ModelProto:
    from edgefuse.export.from_torch import graph_of

    assert source.network is not None
    return graph_of(
        source.network,
        names=request.names,
        output=request.output_name,
        channels=request.channels,
        imgsz=request.sizes[0],
        batch=request.batch,
        dynamic=request.dynamic,
        opset=request.opset,
    )


def _wants_turing(engine: EngineOptions) -> bool:
    if engine.kind != "tensorrt-rtx":
        return False
    return "sm_75" in (engine.targets or library_targets(import_library(engine.kind)))


def _inputs(request: ExportRequest, pairs: PairSet | None) -> list[list[Floats]]:
    """The pairs as inputs of the network, each repeated over its batch."""
    size = request.sizes[0]
    made = []
    for pair in pairs.pairs if pairs is not None else ():
        images = network_inputs(pair, names=request.names, channels=request.channels, size=size)
        made.append([np.repeat(image, request.batch, axis=0) for image in images])
    return made


def _compare(
    source: Source, original: onnx.ModelProto, content: bytes, request: ExportRequest, checks: PairSet
) -> Parity:
    """Run the exported graph and what it came from on the same pairs."""
    precision = request.precision if request.precision != "fp32" else source.precision
    if source.network is not None:
        reference, name = network_inference(source.network), f"PyTorch {metadata.version('torch')}, fp32"
    else:
        reference, runtime = _cpu_inference(original.SerializeToString(), source.precision)
        name = f"{source.name}, {source.precision}, {runtime}"
    artifact, runtime = _cpu_inference(content, precision, on_cpu=request.engine is None)
    names = (name, runtime, checks.description)
    return measure(artifact, reference, _inputs(request, checks), precision=precision, names=names)


def _cpu_inference(graph: bytes, precision: Precision, *, on_cpu: bool = True) -> tuple[Infer, str]:
    """Run a graph of any precision on the CPU, where it is meant to run or not, and say by what."""
    if precision != "bf16":
        # int8 for a CPU as it will run, in integers.
        optimise = precision == "fp32" or (precision == "int8" and on_cpu)
        return graph_inference(graph, optimise=optimise), runtime_name()
    from edgefuse.export.precision import simulate_bf16

    return graph_inference(simulate_bf16(graph)), f"{runtime_name()}, bf16 simulated by rounding"


def _builder(source: Source) -> dict[str, str]:
    builder = {"edgefuse": __version__, "onnx": metadata.version("onnx")}
    return builder if source.network is None else {**builder, "torch": metadata.version("torch")}


def _manifest(
    source: Source,
    request: ExportRequest,
    graph: onnx.ModelProto,
    *,
    lowering: str,
    parity: Parity,
    builder: dict[str, str],
) -> Manifest:
    found = signature_of(graph, source.name)
    return Manifest(
        file="pending",  # name, size and hash are filled in when it is written
        sha256="",
        size_bytes=0,
        format="onnx",
        model=source.name,
        config=dict(source.config),
        recipe=source.recipe,
        inputs=found.names,
        output=found.output,
        imgsz=found.imgsz,
        batch=found.batch,
        size_multiple=source.size_multiple,
        min_size=source.min_size,
        precision=source.precision if request.precision == "fp32" else request.precision,
        opset=opset_of(graph),
        dft_lowering=lowering,
        builder=builder,
        parity={**parity.as_dict(), "of_source": source.parity},
        weights=dict(source.weights),
        training=source.training,
        edgefuse_version=__version__,
        created_utc=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )
