"""Engines: every call that the adapter makes exists in each release, and TensorRT-RTX builds without a GPU."""

from __future__ import annotations

import ast
import inspect
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgefuse.errors import ArtifactError, MissingDependencyError, UsageError
from edgefuse.export import engine as adapter
from edgefuse.export.engine import EngineOptions, build_engine, import_library, library_targets
from edgefuse.export.turing import products_as_convolutions

# Names that record_tensorrt_api.py found in the bindings of each release.
RELEASES = {
    one["version"]: {key: set(names) for key, names in one["names"].items()}
    for one in json.loads((Path(__file__).parent / "data" / "tensorrt_api.json").read_text())
}
# Which class each variable of the adapter is an instance of; a class stands for itself.
CLASS_OF = {
    "library": "module",
    "builder": "Builder",
    "config": "IBuilderConfig",
    "network": "INetworkDefinition",
    "parser": "OnnxParser",
    "error": "ParserError",
    "made": "IOptimizationProfile",
    "NetworkDefinitionCreationFlag": "NetworkDefinitionCreationFlag",
    "MemoryPoolType": "MemoryPoolType",
    "HardwareCompatibilityLevel": "HardwareCompatibilityLevel",
    "BuilderFlag": "BuilderFlag",
}
# What TensorRT-RTX alone has, used where it alone builds.
RTX_ONLY = {"ComputeCapability", "num_compute_capabilities", "set_compute_capability"}


def library_calls() -> set[tuple[str, str]]:
    """Every attribute that the adapter takes from the library or one of its objects, by class."""
    calls = set()
    for node in ast.walk(ast.parse(inspect.getsource(adapter))):
        if isinstance(node, ast.Attribute):
            owner = node.value
            name = owner.id if isinstance(owner, ast.Name) else owner.attr if isinstance(owner, ast.Attribute) else ""
            if name in CLASS_OF:
                calls.add((CLASS_OF[name], node.attr))
    return calls


def graph(
    *, dtype: int = TensorProto.FLOAT, nodes: list[onnx.NodeProto] | None = None, free: bool = False
) -> onnx.ModelProto:
    """A graph of one product with a matrix over the rows of the fused picture."""
    side = "side" if free else 16
    kind = helper.tensor_dtype_to_np_dtype(dtype)
    nodes = nodes or [
        helper.make_node("Add", ["ir", "vis"], ["sum"]),
        helper.make_node("MatMul", ["w", "sum"], ["fused"]),
    ]
    images = [helper.make_tensor_value_info(name, dtype, [1, 1, 16, side]) for name in ("ir", "vis")]
    output = helper.make_tensor_value_info("fused", dtype, [1, 1, None, side])
    weights = numpy_helper.from_array(np.random.default_rng(0).standard_normal((12, 16)).astype(kind), "w")
    made = helper.make_graph(nodes, "g", images, [output], [weights])
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def test_the_adapter_makes_calls_at_all() -> None:
    """The list that the next tests check is not empty by mistake."""
    assert {("Builder", "build_serialized_network"), ("OnnxParser", "parse"), ("module", "Builder")} <= library_calls()
    assert len(library_calls()) > 20


@pytest.mark.parametrize("version", list(RELEASES))
def test_every_call_exists_in_tensorrt(version: str) -> None:
    """From JetPack 6's 10.3 to 11.4, by the names in the bindings."""
    names = RELEASES[version]
    missing = {(kind, name) for kind, name in library_calls() if name not in RTX_ONLY and name not in names[kind]}
    assert not missing - {("module", "__version__")}


def test_every_call_exists_in_tensorrt_rtx() -> None:
    """Against the module itself."""
    trt = pytest.importorskip("tensorrt_rtx")
    owners = {kind: trt if kind == "module" else getattr(trt, kind) for kind, _ in library_calls()}
    assert not {(kind, name) for kind, name in library_calls() if not hasattr(owners[kind], name)}


def test_releases_cover_the_range_that_is_promised() -> None:
    """JetPack 6, the last of 10 and the newest."""
    assert {version.rpartition(".")[0].rpartition(".")[0] for version in RELEASES} >= {"10.16", "11.4"}
    assert any(version.startswith("10.3") for version in RELEASES)


def test_engine_is_built_without_a_gpu_for_every_target() -> None:
    """By default for all that the library knows, or for those named."""
    trt = pytest.importorskip("tensorrt_rtx")
    data = products_as_convolutions(graph()).SerializeToString()
    everywhere = build_engine(data, EngineOptions("tensorrt-rtx"))
    assert everywhere.targets == library_targets(trt)
    assert {"sm_75", "sm_86", "sm_89", "sm_120"} <= set(everywhere.targets)
    one = build_engine(data, EngineOptions("tensorrt-rtx", targets=("sm_86",), workspace_mib=64))
    assert one.targets == ("sm_86",)
    assert one.version == trt.__version__
    assert 0 < len(one.plan) <= len(everywhere.plan)


def test_free_sizes_are_built_for_a_range() -> None:
    """A profile names the smallest, usual and largest shape."""
    pytest.importorskip("tensorrt_rtx")
    data = graph(free=True, nodes=[helper.make_node("Add", ["ir", "vis"], ["fused"])])
    del data.graph.output[0].type.tensor_type.shape.dim[:]
    spans = {name: tuple((1, 1, 16, side) for side in (8, 16, 64)) for name in ("ir", "vis")}
    options = EngineOptions("tensorrt-rtx", targets=("sm_86",))
    assert build_engine(data.SerializeToString(), options, profiles=[spans]).plan
    backwards = {name: shapes[::-1] for name, shapes in spans.items()}
    with pytest.raises(ArtifactError, match="range of shapes"):
        build_engine(data.SerializeToString(), options, profiles=[backwards])


def test_turing_takes_fp32_products_as_convolutions_only() -> None:
    """The reason for the rewriting, and its absence in the message when it cannot help."""
    pytest.importorskip("tensorrt_rtx")
    options = EngineOptions("tensorrt-rtx", targets=("sm_75",))
    with pytest.raises(ArtifactError, match=r"--precision fp16, or --target without sm_75"):
        build_engine(graph().SerializeToString(), options)
    assert build_engine(products_as_convolutions(graph()).SerializeToString(), options).plan
    assert build_engine(graph(dtype=TensorProto.FLOAT16).SerializeToString(), options).plan


def test_refused_graph_is_named_with_its_node() -> None:
    """The library's own words, in one line."""
    pytest.importorskip("tensorrt_rtx")
    axis = helper.make_node("Constant", [], ["axis"], value_int=2)
    nodes = [axis, helper.make_node("DFT", ["ir", "", "axis"], ["fused"], name="spectrum")]
    with pytest.raises(ArtifactError, match=r"(?s)^tensorrt-rtx .* cannot read the graph: .*DFT") as caught:
        build_engine(graph(nodes=nodes).SerializeToString(), EngineOptions("tensorrt-rtx", targets=("sm_86",)))
    assert "\n" not in str(caught.value)


def test_unknown_target_is_refused_with_the_known_ones() -> None:
    """Jetson Orin is no target of TensorRT-RTX."""
    pytest.importorskip("tensorrt_rtx")
    with pytest.raises(UsageError, match=r"sm_75, .*, not sm_87"):
        build_engine(graph().SerializeToString(), EngineOptions("tensorrt-rtx", targets=("sm_87",)))


def test_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 3 and the command that installs it."""
    monkeypatch.setitem(__import__("sys").modules, "tensorrt", None)
    with pytest.raises(MissingDependencyError, match=r"edgefuse\[tensorrt\]") as caught:
        import_library("tensorrt")
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "tensorrt", "targets": ("sm_86",)}, "leave --target out"),
        ({"kind": "tensorrt-rtx", "timing_cache": Path("x")}, "--timing-cache"),
        (
            {"kind": "tensorrt-rtx", "hardware_compatible": True, "version_compatible": True},
            "--hardware-compat and --ver",
        ),
        ({"kind": "tensorrt", "workspace_mib": 0}, "at least 1 MiB"),
        ({"kind": "openvino"}, "tensorrt, tensorrt-rtx"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: dict[str, object], message: str) -> None:
    """Before any work, with what to do."""
    with pytest.raises(UsageError, match=message):
        EngineOptions(**options)  # type: ignore[arg-type]
