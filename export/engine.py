"""TensorRT and TensorRT-RTX engines from ONNX graphs, through one thin adapter: their Python modules share calls.

Networks are strongly typed: precision lies in the graph, so that one graph builds on TensorRT 10, 11 and RTX alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgefuse.errors import ArtifactError, MissingDependencyError, UsageError
from edgefuse.manifest import write_atomically
from edgefuse.runtime.device_memory import find_gpu
from edgefuse.runtime.engine_library import ENGINE_KINDS, EngineKind, LibraryLog, import_library, library_targets

__all__ = [
    "ENGINE_KINDS",
    "BuiltEngine",
    "EngineKind",
    "EngineOptions",
    "Profile",
    "build_engine",
    "import_library",
    "library_targets",
]

_TURING = "sm_75"

Profile = Mapping[str, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]
"""For every input with free dimensions: its smallest, usual and largest shape."""


@dataclass(frozen=True)
class EngineOptions:
    """How an engine is built.

    Attributes:
        kind: Which library builds it.
        targets: For TensorRT-RTX: GPU targets such as ``("sm_86",)``; empty stands for all that it can build for.
        workspace_mib: Largest scratch memory of a layer; None leaves it to the library.
        timing_cache: File that keeps measured kernel times between builds (TensorRT only).
        hardware_compatible: The engine runs on every GPU from Ampere on, at some cost of speed (TensorRT only).
        version_compatible: The engine loads in later releases too, with the lean runtime (TensorRT only).
    """

    kind: EngineKind
    targets: tuple[str, ...] = ()
    workspace_mib: int | None = None
    timing_cache: Path | None = None
    hardware_compatible: bool = False
    version_compatible: bool = False

    def __post_init__(self) -> None:
        if self.kind not in ENGINE_KINDS:
            raise UsageError(f"engine kind must be one of {', '.join(ENGINE_KINDS)}, not {self.kind!r}")
        if self.workspace_mib is not None and self.workspace_mib < 1:
            raise UsageError(f"--workspace must be at least 1 MiB, not {self.workspace_mib}")
        if self.kind == "tensorrt" and self.targets:
            raise UsageError("TensorRT builds for the GPU it runs on: leave --target out, or --format tensorrt-rtx")
        if self.kind == "tensorrt-rtx":
            # A timing cache makes TensorRT-RTX ask for a GPU, and its engines are portable by themselves.
            given = {
                "--timing-cache": self.timing_cache is not None,
                "--hardware-compat": self.hardware_compatible,
                "--version-compat": self.version_compatible,
            }
            if any(given.values()):
                names = " and ".join(name for name, value in given.items() if value)
                raise UsageError(
                    f"{names} cannot go with tensorrt-rtx, which has no such thing; --target names its GPUs"
                )


@dataclass(frozen=True)
class BuiltEngine:
    """A serialised engine.

    Attributes:
        plan: Its bytes.
        version: Version of the library that built it.
        targets: GPU targets that it runs on: those asked for, or that of this GPU; ``sm_80+`` is all from there on.
    """

    plan: bytes
    version: str
    targets: tuple[str, ...]


def build_engine(graph: bytes, options: EngineOptions, *, profiles: Sequence[Profile] = ()) -> BuiltEngine:
    """Build an engine whose precision is the graph's.

    Args:
        graph: Serialised ONNX graph without ``DFT`` nodes.
        options: How to build it. Without targets it is built for all that the library knows, but for sm_75 where the
            graph multiplies computed matrices in fp32, which that target cannot.
        profiles: Ranges of the free dimensions, where the graph has any.

    Returns:
        The engine.

    Raises:
        MissingDependencyError: The library is not installed.
        UsageError: A target is unknown.
        ArtifactError: The library refuses the graph; the message is its own.
    """
    library = import_library(options.kind)
    targets = _choose_targets(library, options)
    try:
        return _build(library, graph, options, targets, profiles)
    except _TuringError:
        if options.targets or targets == (_TURING,):
            raise
        return _build(library, graph, options, tuple(target for target in targets if target != _TURING), profiles)


class _TuringError(ArtifactError):
    """The graph cannot be built for sm_75, and perhaps for the other targets."""


def _build(
    library: Any, graph: bytes, options: EngineOptions, targets: tuple[str, ...], profiles: Sequence[Profile]
) -> BuiltEngine:
    log = LibraryLog(library)
    builder = log.create(library.Builder)
    if builder is None:
        raise ArtifactError(f"{options.kind} cannot start a builder: {log.reason('no GPU or driver')}")
    network = builder.create_network(1 << int(library.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = library.OnnxParser(network, log.logger)
    if not parser.parse(graph):
        raise ArtifactError(f"{options.kind} {library.__version__} cannot read the graph: {_parser_errors(parser)}")
    config = builder.create_builder_config()
    _configure(library, config, options, targets)
    for profile in profiles:
        _add_profile(builder, config, profile)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        reason = log.reason("no reason given")
        refused = f"{options.kind} {library.__version__} cannot build an engine: "
        if "Turing" in reason and "FP32" in reason:
            raise _TuringError(
                f"{refused}{_TURING} multiplies computed matrices, as in attention, in fp16 only; "
                f"take --precision fp16, or --target without {_TURING}"
            )
        raise ArtifactError(f"{refused}{reason}")
    if options.timing_cache is not None:
        write_atomically(options.timing_cache, bytes(config.get_timing_cache().serialize()))
    return BuiltEngine(bytes(plan), library.__version__, targets or (_this_gpu(options),))


def _this_gpu(options: EngineOptions) -> str:
    """The target of an engine that TensorRT built for the GPU it runs on."""
    if options.hardware_compatible:
        return "sm_80+"
    try:
        return find_gpu().target
    except MissingDependencyError:
        return "this GPU"


def _choose_targets(library: Any, options: EngineOptions) -> tuple[str, ...]:
    known = library_targets(library)
    if options.kind == "tensorrt":
        return ()
    unknown = [target for target in options.targets if target not in known]
    if unknown:
        raise UsageError(
            f"--target must be of {', '.join(known)} for {options.kind} {library.__version__}, not {', '.join(unknown)}"
        )
    return options.targets or known


def _configure(library: Any, config: Any, options: EngineOptions, targets: Sequence[str]) -> None:
    if targets:
        config.num_compute_capabilities = len(targets)
        for index, target in enumerate(targets):
            config.set_compute_capability(getattr(library.ComputeCapability, target.replace("sm_", "SM")), index)
    if options.workspace_mib is not None:
        config.set_memory_pool_limit(library.MemoryPoolType.WORKSPACE, options.workspace_mib << 20)
    if options.hardware_compatible:
        config.hardware_compatibility_level = library.HardwareCompatibilityLevel.AMPERE_PLUS
    if options.version_compatible:
        config.set_flag(library.BuilderFlag.VERSION_COMPATIBLE)
    if options.timing_cache is not None:
        known = options.timing_cache.read_bytes() if options.timing_cache.is_file() else b""
        cache = config.create_timing_cache(known)
        if cache is None or not config.set_timing_cache(cache, ignore_mismatch=False):
            raise ArtifactError(f"{options.timing_cache}: a timing cache of another GPU or release; delete it")


def _add_profile(builder: Any, config: Any, profile: Profile) -> None:
    made = builder.create_optimization_profile()
    for name, (smallest, usual, largest) in profile.items():
        made.set_shape(name, smallest, usual, largest)
    if config.add_optimization_profile(made) < 0:
        raise ArtifactError(f"the library refuses the range of shapes {dict(profile)}")


def _parser_errors(parser: Any) -> str:
    """What the parser complains about, once each."""
    shown: list[str] = []
    for index in range(parser.num_errors):
        error = parser.get_error(index)
        text = f"{error.desc()} (node {error.node_name()!r}, {error.node_operator()})"
        if text not in shown:
            shown.append(text)
    return "; ".join(shown[:3]) + (f"; and {len(shown) - 3} more" if len(shown) > 3 else "")
