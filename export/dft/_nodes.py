"""Reading of ``DFT`` nodes and the constants around them, from opset 17 on."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgefuse.errors import ArtifactError
from edgefuse.export.dft._matrices import Transform
from edgefuse.export.graph_editing import array_of, is_op, only_consumer, static_shape

__all__ = ["Chain", "Stage", "find_chain", "scalar_factor"]


@dataclass(frozen=True)
class Stage:
    """One transform of a chain; ``dim`` is its axis among the dimensions of the chain's input."""

    dim: int
    transform: Transform


@dataclass(frozen=True)
class Chain:
    """DFT nodes that feed one another, with the constant factors around them.

    Attributes:
        source: Value that the first transform reads.
        stages: The transforms in order, on different axes and all in one direction.
        nodes: The nodes that the chain replaces.
        result: The value that the chain replaces.
        complex_out: Whether the result has an imaginary part.
        drops_part: Whether ``result`` lacks the dimension of real and imaginary parts.
    """

    source: Any
    stages: tuple[Stage, ...]
    nodes: tuple[Any, ...]
    result: Any
    complex_out: bool
    drops_part: bool = False


def _attribute(node: Any, name: str, default: int) -> int:
    return int(node.attributes[name].value) if name in node.attributes else default


def _scalar(node: Any, index: int, what: str) -> int | None:
    """An optional scalar input that must be constant."""
    value = node.inputs[index] if len(node.inputs) > index else None
    if value is None:
        return None
    array = array_of(value)
    if array is None or array.size != 1:
        raise ArtifactError(
            f"DFT node {node.name!r}: its {what} is computed at run time; export at a fixed size (imgsz) to fix it"
        )
    return int(array.reshape(()))


def _read(node: Any, opset: int, shape: tuple[int | None, ...] | None) -> Stage:
    """Read one node whose input has this shape."""
    name = f"DFT node {node.name!r}"
    if shape is None or len(shape) < 2:
        raise ArtifactError(
            f"{name}: the shape of its input {node.inputs[0].name!r} is unknown; export at a fixed size (imgsz)"
        )
    rank = len(shape)
    axis = _scalar(node, 2, "axis") if opset >= 20 else _attribute(node, "axis", 1)
    axis = -2 if axis is None else axis
    dim = axis + rank if axis < 0 else axis
    if not 0 <= dim < rank - 1:
        raise ArtifactError(
            f"{name}: axis {axis} is outside the signal dimensions of its input {node.inputs[0].name!r} {list(shape)}"
        )
    n_in, parts = shape[dim], shape[-1]
    if n_in is None:
        symbol = node.inputs[0].shape[dim]
        raise ArtifactError(
            f"{name}: axis {axis} of {node.inputs[0].name!r} is dynamic ({symbol}), but a DFT is a matrix only at a "
            "fixed length; export at a fixed size (imgsz), or run onnxruntime.tools.make_dynamic_shape_fixed"
        )
    if parts not in (1, 2):
        raise ArtifactError(f"{name}: the last dimension of its input must be 1 (real) or 2 (complex), not {parts}")
    if sum(size is None for size in shape) > 1:
        raise ArtifactError(
            f"{name}: more than one dimension of its input is dynamic {list(shape)}; only the batch may be"
        )
    inverse, onesided = bool(_attribute(node, "inverse", 0)), bool(_attribute(node, "onesided", 0))
    n_fft = _scalar(node, 1, "dft_length")
    if n_fft is None:
        n_fft = 2 * (n_in - 1) if inverse and onesided else n_in
    if n_fft < 1 or n_in < 1:
        raise ArtifactError(f"{name}: a transform of length {n_fft} over {n_in} elements does not exist")
    half_in = inverse and onesided
    transform = Transform(
        n_in,
        n_fft,
        inverse=inverse,
        complex_in=parts == 2,
        complex_out=not half_in,
        half_in=half_in,
        half_out=onesided and not inverse,
    )
    return Stage(dim, transform)


def scalar_factor(node: Any, value: Any) -> float | None:
    """The constant that a Mul or Div node scales a value by, or None."""
    if not is_op(node, "Mul", "Div"):
        return None
    place = [i for i, one in enumerate(node.inputs) if one is value]
    if len(place) != 1 or (node.op_type == "Div" and place != [0]):
        return None
    factor = array_of(node.inputs[1 - place[0]])
    if factor is None or factor.size != 1 or factor.ndim > len(value.shape or ()):
        return None
    number = float(factor.reshape(()))
    number = number if node.op_type == "Mul" else 1.0 / number if number else float("inf")
    return number if np.isfinite(number) else None


def find_chain(node: Any, opset: int, *, known: Container[Any] = ()) -> Chain:
    """Follow a DFT node to the transforms and constant factors that can be computed with it.

    Args:
        node: The first DFT node.
        opset: Version of the default operator set.
        known: Values to read as they are, without a look at what made them.

    Returns:
        The chain; it holds at least this node.

    Raises:
        ArtifactError: A length, axis or shape is not known before run time, or invalid.
    """
    stage = _read(node, opset, static_shape(node.inputs[0]))
    source, gain = _peel(node.inputs[0], known)
    stages = [_scaled(stage, gain)]
    nodes, result = [node], node.outputs[0]
    shape = list(static_shape(node.inputs[0]) or ())
    while (follower := only_consumer(result)) is not None:
        factor = scalar_factor(follower, result)
        if factor is not None:
            stages[-1] = _scaled(stages[-1], factor)
        elif is_op(follower, "DFT") and follower.inputs[0] is result:
            shape[stages[-1].dim], shape[-1] = stages[-1].transform.n_out, 1 + stages[-1].transform.complex_out
            joined = _read(follower, opset, tuple(shape))
            if not _joins(joined, stages):
                break
            stages.append(joined)
        else:
            break
        nodes.append(follower)
        result = follower.outputs[0]
    complex_out = stages[-1].transform.complex_out
    return _only_real(Chain(source, tuple(stages), tuple(nodes), result, complex_out))


def _joins(stage: Stage, stages: list[Stage]) -> bool:
    """Whether a transform may be computed with those before it: same direction, another axis."""
    same = stage.transform.inverse == stages[0].transform.inverse
    return same and stage.dim not in {one.dim for one in stages} and stages[-1].transform.complex_out


def _scaled(stage: Stage, factor: float) -> Stage:
    return replace(stage, transform=replace(stage.transform, scale=stage.transform.scale * factor))


def _peel(value: Any, known: Container[Any]) -> tuple[Any, float]:
    """Walk up from a value through constant factors and zero imaginary parts, and tell the factors' product."""
    gain = 1.0
    while value not in known and (producer := value.producer()) is not None:
        if (real := _made_complex(producer)) is not None:
            value = real
            continue
        scaled = next(
            (one for one in producer.inputs if one is not None and scalar_factor(producer, one) is not None), None
        )
        if scaled is None or scaled.dtype != value.dtype or static_shape(scaled) != static_shape(value):
            break
        gain *= scalar_factor(producer, scaled) or 0.0
        value = scaled
    return value, gain


def _made_complex(node: Any) -> Any:
    """The real value that a node joins with zeros as imaginary parts, or None."""
    if not is_op(node, "Concat") or len(node.inputs) != 2:
        return None
    real, imaginary = node.inputs
    shape, zeros = static_shape(real), array_of(imaginary)
    if shape is None or zeros is None or shape[-1] != 1 or zeros.shape[-1:] != (1,) or np.any(zeros):
        return None
    return real if int(node.attributes["axis"].value) % len(shape) == len(shape) - 1 else None


def _only_real(chain: Chain) -> Chain:
    """Leave out the imaginary part of an inverse transform where only the real one is read."""
    follower = only_consumer(chain.result)
    inverse = chain.stages[-1].transform.inverse
    if not inverse or not chain.complex_out or follower is None or follower.inputs[0] is not chain.result:
        return chain
    rank = len(chain.result.shape or ()) or None
    if is_op(follower, "Gather") and rank is not None:
        index = array_of(follower.inputs[1])
        chosen = index is not None and index.size == 1 and int(index.reshape(())) in (0, -2)
        if not chosen or _attribute(follower, "axis", 0) % rank != rank - 1 or (index is not None and index.ndim > 1):
            return chain
        drops = index is not None and index.ndim == 0
    elif is_op(follower, "Slice") and rank is not None and _slices_first(follower, rank):
        drops = False
    else:
        return chain
    return replace(
        chain, nodes=(*chain.nodes, follower), result=follower.outputs[0], complex_out=False, drops_part=drops
    )


def _slices_first(node: Any, rank: int) -> bool:
    """Whether a Slice keeps exactly the first element of the last dimension."""
    arrays = [array_of(value) for value in node.inputs[1:]]
    if len(arrays) < 3 or any(array is None or array.size != 1 for array in arrays):
        return False
    start, end, axis, *step = (int(array.reshape(())) for array in arrays if array is not None)
    return start == 0 and end in (1, -1) and axis % rank == rank - 1 and step in ([], [1])
