"""What can be said of a file without running it."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from edgefuse.errors import ArtifactError, TrustError
from edgefuse.export import inspect_file
from edgefuse.manifest import manifest_path


def foreign(folder: Path) -> Path:
    """A graph that EdgeFuse did not write, with an operator of another domain and one in a branch."""
    branch = [
        helper.make_graph(
            [helper.make_node("DFT", ["x", "", "axis"], [name])],
            name,
            [],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 8, 2])],
        )
        for name in ("a", "b")
    ]
    nodes = [
        helper.make_node("Constant", [], ["axis"], value_int=1),
        helper.make_node("If", ["flag"], ["y"], then_branch=branch[0], else_branch=branch[1]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 8, 2]),
            helper.make_tensor_value_info("flag", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 8, 2])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9, producer_name="them")
    path = folder / "theirs.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_foreign_graph_is_described(tmp_path: Path) -> None:
    """Inputs, opset, operators in branches too, and what TensorRT will refuse."""
    found = inspect_file(foreign(tmp_path))
    assert found["kind"] == "onnx"
    assert found["manifest"] is None
    graph = found["graph"]
    assert graph["opsets"] == {"ai.onnx": 20}
    assert graph["inputs"][0] == {"name": "x", "type": "FLOAT", "shape": [2, 8, 2]}
    assert graph["outputs"][0]["shape"] == ["batch", 8, 2]
    assert graph["operators"] == {"DFT": 2, "Constant": 1, "If": 1}
    assert graph["producer"] == "them"
    assert graph["tensorrt_blockers"] == ["DFT"]


def test_exported_graph_shows_its_manifest(average_model: Path) -> None:
    """And that the two belong together."""
    found = inspect_file(average_model)
    assert found["manifest_status"] == "match"
    assert found["manifest"]["model"] == "average"
    assert inspect_file(manifest_path(average_model))["kind"] == "manifest"


def test_manifest_of_another_file_is_reported_not_believed(average_model: Path, tmp_path: Path) -> None:
    """The reason is shown in place of the manifest."""
    copy = tmp_path / average_model.name
    changed = onnx.load(average_model)
    changed.doc_string = "changed"
    copy.write_bytes(changed.SerializeToString())
    manifest_path(copy).write_text(manifest_path(average_model).read_text())
    found = inspect_file(copy)
    assert found["manifest"] is None
    assert "sha256" in found["manifest_status"]


def test_engine_header_tells_library_and_version(tmp_path: Path) -> None:
    """Against what TensorRT-RTX wrote into an engine that it built here."""
    trt = pytest.importorskip("tensorrt_rtx")
    from edgefuse.export.engine import EngineOptions, build_engine

    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, 8, 8]) for name in "xy"]
    model = helper.make_model(
        helper.make_graph(nodes, "g", values[:1], values[1:]), opset_imports=[helper.make_opsetid("", 18)], ir_version=9
    )
    path = tmp_path / "e.rtx"
    path.write_bytes(build_engine(model.SerializeToString(), EngineOptions("tensorrt-rtx", targets=("sm_86",))).plan)
    found = inspect_file(path)
    assert found["kind"] == "engine"
    assert found["engine"] == {"library": "tensorrt-rtx", "version": trt.__version__}


def test_unknown_bytes_are_called_unknown(tmp_path: Path) -> None:
    """An engine suffix alone says little."""
    (tmp_path / "a.plan").write_bytes(b"not an engine")
    assert inspect_file(tmp_path / "a.plan")["engine"] == {"library": None, "version": None}
    (tmp_path / "b.bin").write_bytes(b"\xff\xfe")
    assert inspect_file(tmp_path / "b.bin")["kind"] == "unknown"


def test_missing_and_hostile_files_are_refused(tmp_path: Path) -> None:
    """As when they are loaded."""
    with pytest.raises(ArtifactError, match="no such file"):
        inspect_file(tmp_path / "nowhere.onnx")
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="../../etc/passwd")
    value = helper.make_tensor_value_info("w", TensorProto.FLOAT, [1])
    graph = helper.make_graph([], "g", [], [value], [tensor])
    (tmp_path / "x.onnx").write_bytes(helper.make_model(graph, ir_version=9).SerializeToString())
    with pytest.raises(TrustError, match="outside"):
        inspect_file(tmp_path / "x.onnx")
