"""What a file is: an ONNX graph, an ONNX Runtime file or an engine, with or without a manifest."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from edgefuse.errors import ArtifactError, EdgeFuseError
from edgefuse.manifest import Manifest, manifest_path, sha256_file, verify
from edgefuse.runtime.engine_file import HEADER_BYTES, read_header

if TYPE_CHECKING:
    import onnx

__all__ = ["FileKind", "inspect_file"]

FileKind = Literal["onnx", "ort", "engine", "manifest", "unknown"]


def inspect_file(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Describe a model file without running any of it.

    Args:
        path: An ``.onnx``, ``.ort``, ``.plan`` or ``.rtx`` file of any origin, or a manifest.

    Returns:
        What it is (``kind``), its size and hash, its manifest if it has one and whether they belong together, and for
        a graph its inputs, outputs, opsets, operators and parameters; for an engine what its header says.

    Raises:
        ArtifactError: The file is missing, or a damaged or hostile ONNX graph.
        TrustError: Its external data lies outside its folder.
    """
    path = Path(path)
    if not path.is_file():
        raise ArtifactError(f"{path}: no such file")
    with path.open("rb") as stream:
        header = stream.read(HEADER_BYTES)
    kind = _kind(path, header)
    found: dict[str, Any] = {
        "path": str(path),
        "kind": kind,
        "size_bytes": path.stat().st_size,
        "sha256": sha256_file(path),
        **_manifest_report(path, kind),
    }
    if kind == "onnx":
        from edgefuse.export.trusted_graph import load_graph

        found["graph"] = _describe_graph(load_graph(path))
    elif kind == "engine":
        found["engine"] = asdict(read_header(header))
    return found


def _kind(path: Path, header: bytes) -> FileKind:
    if header[4:8] == b"ORTM":
        return "ort"
    if read_header(header).library is not None or path.suffix in (".plan", ".rtx", ".engine", ".trt"):
        return "engine"
    if path.suffix == ".json" and header.lstrip()[:1] == b"{":
        return "manifest"
    # An ONNX file is a protobuf message; nearly all begin with field 1, the IR version.
    return "onnx" if path.suffix == ".onnx" or header[:1] == b"\x08" else "unknown"


def _manifest_report(path: Path, kind: FileKind) -> dict[str, Any]:
    """The manifest, and "match" or the reason why it is not this file's."""
    place = path if kind == "manifest" else manifest_path(path)
    if not place.is_file():
        return {"manifest": None, "manifest_status": "none: the file is not one that EdgeFuse exported, or lost it"}
    try:
        manifest = Manifest.load(place) if kind == "manifest" else verify(path)
    except EdgeFuseError as error:
        return {"manifest": None, "manifest_status": f"refused: {error}"}
    return {"manifest": asdict(manifest), "manifest_status": "match" if kind != "manifest" else "read"}


def _describe_graph(model: onnx.ModelProto) -> dict[str, Any]:
    counts = Counter(_nodes(model.graph))
    initializers = [*model.graph.initializer]
    stored = {tensor.name for tensor in initializers}
    return {
        "producer": " ".join(part for part in (model.producer_name, model.producer_version) if part),
        "ir_version": model.ir_version,
        "opsets": {entry.domain or "ai.onnx": entry.version for entry in model.opset_import},
        "inputs": [_describe_value(value) for value in model.graph.input if value.name not in stored],
        "outputs": [_describe_value(value) for value in model.graph.output],
        "nodes": sum(counts.values()),
        "operators": dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))),
        "parameters": sum(_count(tensor.dims) for tensor in initializers if _is_float(tensor.data_type)),
        "parameter_types": dict(Counter(_type_name(tensor.data_type) for tensor in initializers)),
        "functions": [f"{function.domain}::{function.name}" for function in model.functions],
        "tensorrt_blockers": sorted(set(counts) & {"DFT", "STFT"}),
    }


def _nodes(graph: Any) -> list[str]:
    """Operators of a graph and its subgraphs; foreign ones with their domain."""
    names = []
    for node in graph.node:
        names.append(node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}::{node.op_type}")
        for attribute in node.attribute:
            for inner in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
                names += _nodes(inner)
    return names


def _count(dims: Sequence[int]) -> int:
    product = 1
    for dim in dims:
        product *= dim
    return product


def _is_float(data_type: int) -> bool:
    return "FLOAT" in _type_name(data_type).upper() or _type_name(data_type) == "DOUBLE"


def _type_name(data_type: int) -> str:
    from onnx import TensorProto

    return str(TensorProto.DataType.Name(data_type))


def _describe_value(value: Any) -> dict[str, Any]:
    tensor = value.type.tensor_type
    shape = [dim.dim_value if dim.HasField("dim_value") else dim.dim_param or "?" for dim in tensor.shape.dim]
    return {"name": value.name, "type": _type_name(tensor.elem_type), "shape": shape}
