"""Every call that building and running engines makes exists in each release of TensorRT, and in TensorRT-RTX."""

from __future__ import annotations

import ast
import inspect
import json
from pathlib import Path
from types import ModuleType

import pytest

from edgefuse.export import engine as building
from edgefuse.runtime import engine_library, runtime_cache, tensorrt_engine

# Names that record_tensorrt_api.py found in the bindings of each release.
RELEASES = {
    one["version"]: {key: set(names) for key, names in one["names"].items()}
    for one in json.loads((Path(__file__).parent / "data" / "tensorrt_api.json").read_text())
}
SAME = {
    name: name
    for name in (
        "BuilderFlag",
        "ComputeCapability",
        "CudaGraphStrategy",
        "DataType",
        "HardwareCompatibilityLevel",
        "ILogger",
        "MemoryPoolType",
        "NetworkDefinitionCreationFlag",
        "TensorIOMode",
    )
}
# Which class each variable of a module is an instance of; a class stands for itself.
CLASS_OF: dict[ModuleType, dict[str, str]] = {
    building: {
        "library": "module",
        "builder": "Builder",
        "config": "IBuilderConfig",
        "network": "INetworkDefinition",
        "parser": "OnnxParser",
        "error": "ParserError",
        "made": "IOptimizationProfile",
        **SAME,
    },
    tensorrt_engine: {
        "library": "module",
        "_library": "module",
        "_runtime": "Runtime",
        "_engine": "ICudaEngine",
        "_context": "IExecutionContext",
        "config": "IRuntimeConfig",
        "known": "DataType",
        **SAME,
    },
    engine_library: {"library": "module", **SAME},
    runtime_cache: {"config": "IRuntimeConfig", "_cache": "IRuntimeCache"},
}
# What TensorRT-RTX alone is asked for.
RTX_ONLY = {
    ("CudaGraphStrategy", "WHOLE_GRAPH_CAPTURE"),
    ("ICudaEngine", "create_runtime_config"),
    ("IBuilderConfig", "num_compute_capabilities"),
    ("IBuilderConfig", "set_compute_capability"),
    ("IRuntimeCache", "deserialize"),
    ("IRuntimeCache", "serialize"),
    ("IRuntimeConfig", "create_runtime_cache"),
    ("IRuntimeConfig", "cuda_graph_strategy"),
    ("IRuntimeConfig", "set_runtime_cache"),
    ("module", "ComputeCapability"),
    ("module", "CudaGraphStrategy"),
}


def calls_of(module: ModuleType) -> set[tuple[str, str]]:
    """Every attribute that a module takes from the library or one of its objects, by class."""
    classes, calls = CLASS_OF[module], set()
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.Attribute):
            owner = node.value
            name = owner.id if isinstance(owner, ast.Name) else owner.attr if isinstance(owner, ast.Attribute) else ""
            if name in classes and not node.attr.startswith("__"):  # those are Python's, or the module's version
                calls.add((classes[name], node.attr))
    return calls


CALLS = set().union(*map(calls_of, CLASS_OF))


def test_calls_are_found_at_all() -> None:
    """The list that the next tests check is not empty by mistake."""
    assert {("Builder", "build_serialized_network"), ("OnnxParser", "parse")} <= calls_of(building)
    running = {("Runtime", "deserialize_cuda_engine"), ("IExecutionContext", "execute_async_v3")}
    assert running <= calls_of(tensorrt_engine)
    assert ("ILogger", "Severity") in calls_of(engine_library)
    assert len(CALLS) > 40
    assert RTX_ONLY <= CALLS


@pytest.mark.parametrize("version", list(RELEASES))
def test_every_call_exists_in_tensorrt(version: str) -> None:
    """From JetPack 6's 10.3 to 11.4, by the names in the bindings."""
    names = RELEASES[version]
    assert not {(kind, name) for kind, name in CALLS - RTX_ONLY if name not in names[kind]}


def test_every_call_exists_in_tensorrt_rtx() -> None:
    """Against the module itself."""
    trt = pytest.importorskip("tensorrt_rtx")
    owners = {kind: trt if kind == "module" else getattr(trt, kind) for kind, _ in CALLS}
    assert not {(kind, name) for kind, name in CALLS if not hasattr(owners[kind], name)}


def test_releases_cover_the_range_that_is_promised() -> None:
    """JetPack 6, the last of 10 and the newest."""
    assert {version.rpartition(".")[0].rpartition(".")[0] for version in RELEASES} >= {"10.16", "11.4"}
    assert any(version.startswith("10.3") for version in RELEASES)
