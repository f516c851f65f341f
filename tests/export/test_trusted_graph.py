"""Hostile and damaged ONNX files: refused in one line, with nothing outside the folder touched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgefuse.errors import ArtifactError, TrustError
from edgefuse.export.trusted_graph import load_graph, signature_of

SHAPE = [1, 1, 8, 8]


def model(*, weights: onnx.TensorProto | None = None, nodes: list[onnx.NodeProto] | None = None) -> onnx.ModelProto:
    """A graph that adds a constant to the mean of its inputs."""
    weights = weights or numpy_helper.from_array(np.ones(1, dtype=np.float32), "w")
    nodes = nodes or [helper.make_node("Mean", ["ir", "vis"], ["m"]), helper.make_node("Add", ["m", "w"], ["fused"])]
    images = [helper.make_tensor_value_info(name, TensorProto.FLOAT, SHAPE) for name in ("ir", "vis")]
    output = helper.make_tensor_value_info("fused", TensorProto.FLOAT, SHAPE)
    graph = helper.make_graph(nodes, "g", images, [output], [weights])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def external(location: str, **entries: str) -> onnx.TensorProto:
    """A weight whose content lies in another file."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def saved(folder: Path, content: onnx.ModelProto | bytes) -> Path:
    """Write a model without any check."""
    path = folder / "model.onnx"
    path.write_bytes(content if isinstance(content, bytes) else content.SerializeToString())
    return path


def test_good_graph_loads_with_its_external_data(tmp_path: Path) -> None:
    """Data beside the model is read into it."""
    (tmp_path / "w.bin").write_bytes(np.array([3.0], dtype=np.float32).tobytes())
    loaded = load_graph(saved(tmp_path, model(weights=external("w.bin"))))
    assert numpy_helper.to_array(loaded.graph.initializer[0]) == 3.0
    assert signature_of(loaded, "it").names == ("ir", "vis")
    assert signature_of(loaded, "it").imgsz == (8, 8)


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/hostname", "a/../../secret.bin", "..\\secret.bin", ""])
def test_external_data_outside_the_folder_is_refused(tmp_path: Path, location: str) -> None:
    """Absolute paths and ways upwards are refused before anything is opened."""
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(b"\0" * 4)
    with pytest.raises(TrustError, match="outside the model's folder"):
        load_graph(saved(folder, model(weights=external(location))))


def test_external_data_behind_a_link_is_refused(tmp_path: Path) -> None:
    """A link in the folder may lead out of it."""
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(b"\0" * 4)
    (folder / "w.bin").symlink_to(tmp_path / "secret.bin")
    with pytest.raises(TrustError, match=r"link 'w\.bin'"):
        load_graph(saved(folder, model(weights=external("w.bin"))))


@pytest.mark.parametrize("entries", [{"offset": "99"}, {"offset": "-1"}, {"offset": "x"}, {"length": "-4"}])
def test_external_data_outside_its_file_is_refused(tmp_path: Path, entries: dict[str, str]) -> None:
    """Offsets are checked against the file."""
    (tmp_path / "w.bin").write_bytes(b"\0" * 4)
    with pytest.raises(ArtifactError, match=r"w\.bin|offset and length"):
        load_graph(saved(tmp_path, model(weights=external("w.bin", **entries))))


def test_missing_external_data_is_named(tmp_path: Path) -> None:
    """The file that is not there is in the message."""
    with pytest.raises(ArtifactError, match=r"w\.bin.*missing"):
        load_graph(saved(tmp_path, model(weights=external("w.bin"))))


@pytest.mark.parametrize("keep", [0, 1, 20, -7])
def test_truncated_file_is_refused(tmp_path: Path, keep: int) -> None:
    """Whatever is left of a file."""
    with pytest.raises(ArtifactError, match=r"truncated|not a valid ONNX graph"):
        load_graph(saved(tmp_path, model().SerializeToString()[:keep]))


def test_other_content_is_refused(tmp_path: Path) -> None:
    """A text file with the right name."""
    with pytest.raises(ArtifactError, match="not an ONNX model"):
        load_graph(saved(tmp_path, b"this is no model at all\n"))


def test_missing_file_is_refused(tmp_path: Path) -> None:
    """One line and no traceback of the operating system."""
    with pytest.raises(ArtifactError, match="cannot be read"):
        load_graph(tmp_path / "nowhere.onnx")


def test_cycle_is_refused(tmp_path: Path) -> None:
    """Nodes that wait for each other."""
    nodes = [helper.make_node("Add", ["ir", "b"], ["a"]), helper.make_node("Add", ["a", "w"], ["b"])]
    nodes.append(helper.make_node("Add", ["b", "vis"], ["fused"]))
    with pytest.raises(ArtifactError, match="not a valid ONNX graph"):
        load_graph(saved(tmp_path, model(nodes=nodes)))


def test_function_that_calls_itself_is_refused(tmp_path: Path) -> None:
    """Inlining it would never end."""
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    body = [helper.make_node("Loop2", ["x"], ["y"], domain="own")]
    other = [helper.make_node("Loop1", ["x"], ["y"], domain="own")]
    hostile = model(nodes=[helper.make_node("Loop1", ["ir"], ["fused"], domain="own")])
    hostile.opset_import.add(domain="own", version=1)
    hostile.functions.append(helper.make_function("own", "Loop1", ["x"], ["y"], body, opsets))
    hostile.functions.append(helper.make_function("own", "Loop2", ["x"], ["y"], other, opsets))
    with pytest.raises(ArtifactError, match="calls itself"):
        load_graph(saved(tmp_path, hostile))


def test_giant_initializer_is_refused_before_memory_is(tmp_path: Path) -> None:
    """Dimensions are looked at, not allocated."""
    giant = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1 << 20, 1 << 20])
    with pytest.raises(ArtifactError, match="1048576x1048576"):
        load_graph(saved(tmp_path, model(weights=giant)))


def test_giant_intermediate_is_refused(tmp_path: Path) -> None:
    """A small file can ask for a large tensor."""
    shape = numpy_helper.from_array(np.array([1, 1, 1 << 20, 1 << 20]), "w")
    nodes = [helper.make_node("ConstantOfShape", ["w"], ["big"]), helper.make_node("ReduceMax", ["big"], ["fused"])]
    with pytest.raises(ArtifactError, match="1x1x1048576x1048576"):
        load_graph(saved(tmp_path, model(weights=shape, nodes=nodes)))


def test_graph_of_other_inputs_is_named_as_such(tmp_path: Path) -> None:
    """A classifier is no fusion graph."""
    other = model()
    other.graph.input[0].type.tensor_type.shape.dim.pop()
    with pytest.raises(ArtifactError, match=r"one or two images .* not ir\[1, 1, 8\]"):
        signature_of(other, "it")
