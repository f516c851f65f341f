"""Files that ONNX graphs take weights from, found without the onnx package wherever in a graph a tensor lies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edgefuse.errors import ArtifactError, TrustError
from edgefuse.external_data import check_external_data

onnx = pytest.importorskip("onnx")


def tensor(location: str = "../w.bin", **entries: str) -> onnx.TensorProto:
    """A tensor whose content lies in another file."""
    made = onnx.TensorProto(name="w", data_type=onnx.TensorProto.FLOAT, dims=[4])
    made.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        made.external_data.add(key=key, value=value)
    return made


def in_initializer(graph: onnx.GraphProto) -> None:
    """Where exporters put weights."""
    graph.initializer.append(tensor())


def in_sparse_initializer(graph: onnx.GraphProto) -> None:
    """Values and indices of a sparse one are tensors."""
    graph.sparse_initializer.append(onnx.SparseTensorProto(indices=tensor()))


def in_constant(graph: onnx.GraphProto) -> None:
    """An attribute of a node."""
    graph.node.add(op_type="Constant").attribute.append(onnx.AttributeProto(name="value", t=tensor()))


def in_list_of_tensors(graph: onnx.GraphProto) -> None:
    """An attribute with several."""
    graph.node.add(op_type="Own").attribute.append(onnx.AttributeProto(name="values", tensors=[tensor()]))


def in_branch(graph: onnx.GraphProto) -> None:
    """A graph inside a node, inside a node."""
    outer, inner = onnx.GraphProto(), onnx.GraphProto()
    in_constant(inner)
    outer.node.add(op_type="If").attribute.append(onnx.AttributeProto(name="then_branch", g=inner))
    graph.node.add(op_type="Own").attribute.append(onnx.AttributeProto(name="bodies", graphs=[outer]))


def in_sparse_attribute(graph: onnx.GraphProto) -> None:
    """Both kinds of attributes that hold sparse tensors."""
    sparse = onnx.SparseTensorProto(values=tensor())
    graph.node.add(op_type="Own").attribute.append(onnx.AttributeProto(name="values", sparse_tensors=[sparse]))


@pytest.mark.parametrize(
    "hide", [in_initializer, in_sparse_initializer, in_constant, in_list_of_tensors, in_branch, in_sparse_attribute]
)
@pytest.mark.parametrize("in_function", [False, True])
def test_tensors_are_found_everywhere(
    tmp_path: Path, hide: Callable[[onnx.GraphProto], None], in_function: bool
) -> None:
    """In the graph, its nodes, and the functions that the model defines."""
    graph = onnx.GraphProto(name="g")
    hide(graph)
    model = onnx.ModelProto(ir_version=9)
    if in_function:
        function = model.functions.add(name="f")
        function.node.extend(graph.node)
        function.attribute_proto.append(onnx.AttributeProto(name="body", g=graph))
    else:
        model.graph.CopyFrom(graph)
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(TrustError, match=r"m\.onnx: external data of 'w' lies at '\.\./w\.bin', outside"):
        check_external_data(path)


def saved(folder: Path, *tensors: onnx.TensorProto) -> Path:
    """A model of nothing but tensors."""
    path = folder / "m.onnx"
    path.write_bytes(onnx.ModelProto(graph=onnx.GraphProto(name="g", initializer=tensors)).SerializeToString())
    return path


def test_data_beside_the_graph_is_fine(tmp_path: Path) -> None:
    """So is a graph with a name that only looks like it, and a graph behind a link to its folder."""
    folder = tmp_path / "model"
    (folder / "more").mkdir(parents=True)
    for name in ("w.bin", "more/w.bin"):
        (folder / name).write_bytes(bytes(32))
    named = onnx.TensorProto(name="location", data_type=onnx.TensorProto.FLOAT, dims=[1], float_data=[1.0])
    path = saved(folder, tensor("w.bin", offset="16", length="16"), tensor("more/w.bin"), named)
    check_external_data(path)
    (tmp_path / "link").symlink_to(folder)
    check_external_data(tmp_path / "link" / "m.onnx")


def test_names_that_stand_for_memory_are_no_files(tmp_path: Path) -> None:
    """ONNX Runtime marks its own tensors so, and takes their offset for an address."""
    with pytest.raises(ArtifactError, match="is missing"):
        check_external_data(saved(tmp_path, tensor("*/_ORT_MEM_ADDR_/*", offset="4096", length="16")))


def test_a_tensor_in_two_parts_is_put_together(tmp_path: Path) -> None:
    """Protobuf joins the parts of a message; neither says here that the content is external and where it is."""
    where = tensor()
    where.ClearField("data_location")
    kind = onnx.TensorProto(data_location=onnx.TensorProto.EXTERNAL)
    parts = [onnx.AttributeProto(name="value", t=part).SerializeToString() for part in (where, kind)]
    assert onnx.AttributeProto.FromString(b"".join(parts)).t.external_data[0].value == "../w.bin"
    graph = onnx.GraphProto(name="g")
    attribute = graph.node.add(op_type="Constant").attribute.add()
    attribute.MergeFromString(parts[0])
    path = tmp_path / "m.onnx"
    path.write_bytes(onnx.ModelProto(graph=graph).SerializeToString())
    with pytest.raises(TrustError, match="outside the model's folder"):
        check_external_data(path)


@pytest.mark.parametrize(
    "content",
    [
        b"\x3a\x7f location",  # a graph of 127 bytes, of which nine are there
        b"\x3a location",  # one that is cut
        b"\x3b location",  # the start of a group
        b"\xff" * 11 + b"location",
        b"\x3a\x0a\x2a\x08\x6a\x06\x0a\x04\xff\xff\xff\xff location",
    ],
)
def test_damaged_graphs_are_refused(tmp_path: Path, content: bytes) -> None:
    """One that cannot be read to its end might say anything there."""
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"m\.onnx: truncated, or not an ONNX model"):
        check_external_data(path)


def test_tags_have_32_bits(tmp_path: Path) -> None:
    """ONNX Runtime's reader drops the rest, so that field 7 can be written as another."""
    graph = onnx.GraphProto(name="g", initializer=[tensor()]).SerializeToString()
    long_tag = (7 << 3 | 2) | 1 << 32
    tag = bytes((long_tag >> shift & 0x7F) | (0x80 if shift < 28 else 0) for shift in range(0, 35, 7))
    path = tmp_path / "m.onnx"
    path.write_bytes(tag + bytes([len(graph)]) + graph)
    with pytest.raises(TrustError, match="outside the model's folder"):
        check_external_data(path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """One line, not the operating system's traceback."""
    with pytest.raises(ArtifactError, match="cannot be read"):
        check_external_data(tmp_path / "nowhere.onnx")
