"""Reading ONNX files that may be damaged or hostile: they are refused with the reason before anything acts on them."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgefuse.errors import ArtifactError, MissingDependencyError
from edgefuse.external_data import check_location

if TYPE_CHECKING:
    import onnx

__all__ = ["LARGEST_TENSOR_ELEMENTS", "Signature", "load_graph", "opset_of", "signature_of"]

LARGEST_TENSOR_ELEMENTS = 1 << 31
"""No tensor of a fusion network comes near 2³¹ elements (8 GiB of fp32): a graph with one is broken or hostile."""

_LARGEST_FILE_BYTES = (1 << 31) - 1  # what one protobuf message may hold


@dataclass(frozen=True)
class Signature:
    """Inputs and output of a fusion graph.

    Attributes:
        names: Names of the inputs.
        output: Name of the first output.
        channels: Channels of each input.
        batch: Images an inference, or None where any number will do.
        imgsz: Height and width, or None where they are free.
    """

    names: tuple[str, ...]
    output: str
    channels: tuple[int, ...]
    batch: int | None
    imgsz: tuple[int, int] | None


def signature_of(model: onnx.ModelProto, name: str) -> Signature:
    """Read a graph's inputs.

    Args:
        model: The graph.
        name: What to call it in a message.

    Returns:
        The signature.

    Raises:
        ArtifactError: The inputs are no images of one size.
    """
    stored = {tensor.name for tensor in model.graph.initializer}
    values = [value for value in model.graph.input if value.name not in stored]
    shapes = [
        tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in value.type.tensor_type.shape.dim)
        for value in values
    ]
    alike = {(shape[0], shape[2:]) for shape in shapes if len(shape) == 4}
    if not 1 <= len(shapes) <= 2 or len(alike) != 1 or any(len(shape) != 4 or shape[1] is None for shape in shapes):
        shown = ", ".join(f"{value.name}{list(shape)}" for value, shape in zip(values, shapes, strict=True))
        raise ArtifactError(f"{name}: a fusion graph takes one or two images [B, C, H, W] of one size, not {shown}")
    ((batch, (height, width)),) = alike
    return Signature(
        tuple(value.name for value in values),
        model.graph.output[0].name,
        tuple(shape[1] or 1 for shape in shapes),
        batch,
        None if height is None or width is None else (height, width),
    )


def load_graph(path: str | os.PathLike[str]) -> onnx.ModelProto:
    """Read an ONNX file and the external data beside it.

    Args:
        path: The ``.onnx`` file.

    Returns:
        The model, all tensors inside it, past the ONNX checker.

    Raises:
        ArtifactError: The file is missing, truncated, no ONNX, or declares tensors of absurd size.
        TrustError: Its external data lies outside its folder, or is no plain file.
        MissingDependencyError: onnx is not installed.
    """
    path = Path(path)
    onnx = _import_onnx()
    content = _read(path)
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except Exception as error:  # protobuf's DecodeError has moved between modules over its versions
        raise ArtifactError(f"{path}: truncated, or not an ONNX model") from error
    if not model.graph.node and not model.graph.initializer:
        raise ArtifactError(f"{path}: truncated, or not an ONNX model (its graph is empty)")
    _load_external_data(model, path)
    _refuse_recursion(model, path)
    _refuse_giants(model, path)
    try:
        onnx.checker.check_model(model)
        inferred = onnx.shape_inference.infer_shapes(model)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError, RuntimeError) as error:
        raise ArtifactError(f"{path}: not a valid ONNX graph ({_first_line(error)})") from error
    _refuse_giants(inferred, path)
    return model


def opset_of(model: onnx.ModelProto) -> int:
    """Version of the default operator set, 0 if none is declared."""
    return max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)


def _import_onnx() -> Any:
    try:
        import onnx
        import onnx.shape_inference
    except ImportError as error:
        raise MissingDependencyError("onnx is needed to read graphs: pip install onnx onnxscript") from error
    return onnx


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > _LARGEST_FILE_BYTES:
            raise ArtifactError(
                f"{path}: larger than 2 GiB, which no ONNX file is; weights beyond that go in external data"
            )
        return path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror})") from error


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """All tensors, in attributes, subgraphs and functions too."""

    def of_attributes(attributes: Any) -> Iterator[onnx.TensorProto]:
        for attribute in attributes:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)
            yield from of_graph(attribute.g)
            for graph in attribute.graphs:
                yield from of_graph(graph)

    def of_nodes(nodes: Any) -> Iterator[onnx.TensorProto]:
        for node in nodes:
            yield from of_attributes(node.attribute)

    def of_graph(graph: Any) -> Iterator[onnx.TensorProto]:
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
        yield from of_nodes(graph.node)

    yield from of_graph(model.graph)
    for function in model.functions:
        yield from of_attributes(function.attribute_proto)
        yield from of_nodes(function.node)


def _load_external_data(model: onnx.ModelProto, path: Path) -> None:
    """Load tensors that live in other files, none of which may lie outside the model's folder."""
    from onnx import TensorProto
    from onnx.external_data_helper import load_external_data_for_tensor

    folder = path.resolve().parent
    for tensor in _tensors(model):
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        entries = {entry.key: entry.value for entry in tensor.external_data}
        check_location(path, folder, tensor.name, entries)
        try:
            load_external_data_for_tensor(tensor, str(folder))
        except Exception as error:
            raise ArtifactError(
                f"{path}: external data of {tensor.name!r} cannot be read ({_first_line(error)})"
            ) from error
        tensor.data_location = TensorProto.DEFAULT
        del tensor.external_data[:]


def _refuse_recursion(model: onnx.ModelProto, path: Path) -> None:
    """Model-local functions that call each other in a circle would be inlined for ever."""
    calls = {
        (function.domain, function.name): {(node.domain, node.op_type) for node in function.node}
        for function in model.functions
    }
    done: set[tuple[str, str]] = set()

    def visit(key: tuple[str, str], above: tuple[tuple[str, str], ...]) -> None:
        if key in above:
            raise ArtifactError(f"{path}: its function {key[1]!r} calls itself; refused")
        if key in done or key not in calls:
            return
        for called in calls[key]:
            visit(called, (*above, key))
        done.add(key)

    for key in calls:
        visit(key, ())


def _refuse_giants(model: onnx.ModelProto, path: Path) -> None:
    for tensor in _tensors(model):
        _refuse_giant(path, tensor.name or "a constant", tensor.dims)
    values = (*model.graph.input, *model.graph.output, *model.graph.value_info)
    for value in values:
        dims = value.type.tensor_type.shape.dim
        _refuse_giant(path, value.name, [dim.dim_value for dim in dims if dim.HasField("dim_value")])


def _refuse_giant(path: Path, name: str, dims: Any) -> None:
    if any(dim < 0 for dim in dims) or math.prod(dims) > LARGEST_TENSOR_ELEMENTS:
        shape = "x".join(map(str, dims))
        raise ArtifactError(f"{path}: {name!r} is declared as {shape}, which no fusion network needs; refused")


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
