"""Engines: TensorRT-RTX builds them without a GPU, and what it refuses is said in one line."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgefuse.errors import ArtifactError, MissingDependencyError, UsageError
from edgefuse.export.engine import EngineOptions, build_engine, import_library, library_targets
from edgefuse.export.turing import products_as_convolutions


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
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(MissingDependencyError, match=r"edgefuse\[tensorrt\]") as caught:
        import_library("tensorrt")
    assert caught.value.exit_code == 3


def test_a_builder_that_does_not_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorRT's, on a machine without a driver: what its bindings raise names no reason, its log does."""
    library = types.ModuleType("tensorrt")

    class ILogger:
        """As the real one, what a logger is made of."""

        Severity = types.SimpleNamespace(ERROR=1)

    def start(logger: Any) -> None:
        logger.log(1, "CUDA initialization failure with error: 35\nmore")
        raise TypeError("pybind11::init(): factory function returned nullptr")

    vars(library).update(ILogger=ILogger, Builder=start)
    monkeypatch.setitem(sys.modules, "tensorrt", library)
    with pytest.raises(ArtifactError, match=r"^tensorrt cannot start a builder: CUDA initialization .* error: 35$"):
        build_engine(b"", EngineOptions("tensorrt"))


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
