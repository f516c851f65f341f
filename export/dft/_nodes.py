"""Reading of ``DFT`` nodes and the constants around them, from opset 17 on."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgefuse.errors import ArtifactError
from edgefuse.export.dft._free import FreeTransform
from edgefuse.export.dft._matrices import Transform
from edgefuse.export.graph_editing import array_of, is_op, only_consumer, static_shape

__all__ = ["Chain", "Stage", "find_chain", "read_stage", "scalar_factor"]


@dataclass(frozen=True)
class Stage:
    """One transform of a chain; ``dim`` is its axis among the dimensions of the chain's input."""

    dim: int
    transform: Transform | FreeTransform

    @property
    def n_out(self) -> int | None:
        """Length of the result along the axis, or None where it is known at run time only."""
        return self.transform.n_out


@dataclass(frozen=True)
class Chain:
    """DFT nodes that feed one another, with the constant factors around them.

    Attributes:
        source: Value that the first transform reads.
        stages: The transforms in order, on different axes and all in one direction.
        nodes: The nodes that the chain replaces.
        result: The value that the chain replaces.
        complex_out: Whether the result has an imaginary part.
        free: Whether a length, or more of the shape than the batch, is known at run time only.
        drops_part: Whether ``result`` lacks the dimension of real and imaginary parts.
    """

    source: Any
    stages: tuple[Stage, ...]
    nodes: tuple[Any, ...]
    result: Any
    complex_out: bool
    free: bool = False
    drops_part: bool = False

    def read_by(self, read: Callable[[Any], Any], of_number: Callable[[Any], Any]) -> Chain:
        """The chain with other values for the factors and the lengths that are computed at run time."""
        stages = []
        for stage in self.stages:
            transform = stage.transform
            if isinstance(transform, FreeTransform):
                factors = tuple((read(factor), divides) for factor, divides in transform.factors)
                transform = replace(transform.with_lengths(of_number), factors=factors)
            stages.append(replace(stage, transform=transform))
        return replace(self, stages=tuple(stages))


def _attribute(node: Any, name: str, default: int) -> int:
    return int(node.attributes[name].value) if name in node.attributes else default


def _scalar(node: Any, index: int) -> Any:
    """An optional scalar input: its number, the value where it is computed at run time, or None."""
    value = node.inputs[index] if len(node.inputs) > index else None
    array = array_of(value)
    return value if array is None or array.size != 1 else int(array.reshape(()))


def read_stage(node: Any, opset: int, shape: tuple[int | None, ...] | None) -> Stage:
    """Read one node.

    Args:
        node: A DFT node.
        opset: Version of the default operator set.
        shape: Shape of its input, with None for what is known at run time only; None where not even the rank is.

    Returns:
        The transform with its axis.

    Raises:
        ArtifactError: The rank or the axis is not known before run time, or the node is invalid.
    """
    name = f"DFT node {node.name!r}"
    if shape is None or len(shape) < 2:
        raise ArtifactError(
            f"{name}: the shape of its input {node.inputs[0].name!r} is unknown; export at a fixed size (imgsz)"
        )
    rank = len(shape)
    axis = _scalar(node, 2) if opset >= 20 else _attribute(node, "axis", 1)
    axis = -2 if axis is None else axis
    if not isinstance(axis, int):
        raise ArtifactError(f"{name}: its axis is computed at run time; export at a fixed size (imgsz) to fix it")
    dim = axis + rank if axis < 0 else axis
    if not 0 <= dim < rank - 1:
        raise ArtifactError(
            f"{name}: axis {axis} is outside the signal dimensions of its input {node.inputs[0].name!r} {list(shape)}"
        )
    n_in, parts = shape[dim], shape[-1]
    if parts not in (1, 2):
        raise ArtifactError(f"{name}: the last dimension of its input must be 1 (real) or 2 (complex), not {parts}")
    inverse, onesided = bool(_attribute(node, "inverse", 0)), bool(_attribute(node, "onesided", 0))
    n_fft = _scalar(node, 1)
    if n_fft is None and n_in is not None:
        n_fft = 2 * (n_in - 1) if inverse and onesided else n_in
    if (isinstance(n_fft, int) and n_fft < 1) or (n_in is not None and n_in < 1):
        raise ArtifactError(f"{name}: a transform of length {n_fft} over {n_in} elements does not exist")
    half_in = inverse and onesided
    kind: dict[str, Any] = {
        "inverse": inverse,
        "complex_in": parts == 2,
        "complex_out": not half_in,
        "half_in": half_in,
        "half_out": onesided and not inverse,
    }
    if n_in is None or not isinstance(n_fft, int):
        return Stage(dim, FreeTransform(n_fft, **kind))
    return Stage(dim, Transform(n_in, n_fft, **kind))


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


def _free_factor(node: Any, value: Any) -> tuple[Any, bool] | None:
    """The one number, computed at run time, that a Mul or Div node scales a value by, and whether it divides."""
    if not is_op(node, "Mul", "Div"):
        return None
    place = [i for i, one in enumerate(node.inputs) if one is value]
    if len(place) != 1 or (node.op_type == "Div" and place != [0]):
        return None
    factor = node.inputs[1 - place[0]]
    shape = static_shape(factor)
    one = shape is not None and all(size == 1 for size in shape) and len(shape) <= len(value.shape or ())
    return (factor, node.op_type == "Div") if one and array_of(factor) is None else None


def find_chain(node: Any, opset: int, *, known: Container[Any] = ()) -> Chain:
    """Follow a DFT node to the transforms and constant factors that can be computed with it.

    Args:
        node: The first DFT node.
        opset: Version of the default operator set.
        known: Values to read as they are, without a look at what made them.

    Returns:
        The chain; it holds at least this node.

    Raises:
        ArtifactError: A rank or axis is not known before run time, or a node is invalid.
    """
    shape = list(static_shape(node.inputs[0]) or ())
    stage = read_stage(node, opset, static_shape(node.inputs[0]))
    source, stage = _peel(node.inputs[0], known, stage)
    stages = [stage]
    nodes, result = [node], node.outputs[0]
    free = shape.count(None) > 1
    while (follower := only_consumer(result)) is not None:
        scaled = _scaled(stages[-1], follower, result)
        if scaled is not None:
            stages[-1] = scaled
        elif is_op(follower, "DFT") and follower.inputs[0] is result:
            shape[stages[-1].dim], shape[-1] = stages[-1].n_out, 1 + stages[-1].transform.complex_out
            joined = read_stage(follower, opset, tuple(shape))
            if not _joins(joined, stages):
                break
            stages.append(joined)
        else:
            break
        nodes.append(follower)
        result = follower.outputs[0]
    complex_out = stages[-1].transform.complex_out
    free = free or any(isinstance(stage.transform, FreeTransform) for stage in stages)
    return _only_real(Chain(source, tuple(stages), tuple(nodes), result, complex_out, free))


def _joins(stage: Stage, stages: list[Stage]) -> bool:
    """Whether a transform may be computed with those before it: same direction, another axis."""
    same = stage.transform.inverse == stages[0].transform.inverse
    return same and stage.dim not in {one.dim for one in stages} and stages[-1].transform.complex_out


def _scaled(stage: Stage, node: Any, value: Any) -> Stage | None:
    """A stage with the factor that a node scales a value by, or None if it does something else."""
    factor, transform = scalar_factor(node, value), stage.transform
    if factor is not None:
        return replace(stage, transform=replace(transform, scale=transform.scale * factor))
    free = _free_factor(node, value) if isinstance(transform, FreeTransform) else None
    if free is None or not isinstance(transform, FreeTransform):
        return None
    return replace(stage, transform=replace(transform, factors=(*transform.factors, free)))


def _peel(value: Any, known: Container[Any], stage: Stage) -> tuple[Any, Stage]:
    """Walk up from a value through factors and zero imaginary parts, and take the factors into its transform."""
    while value not in known and (producer := value.producer()) is not None:
        if (real := _made_complex(producer)) is not None:
            value = real
            continue
        candidates = [one for one in producer.inputs if one is not None and _is_like(one, value)]
        found = ((one, _scaled(stage, producer, one)) for one in candidates)
        scaled, taken = next(((one, more) for one, more in found if more is not None), (None, None))
        if scaled is None or taken is None:
            break
        value, stage = scaled, taken
    return value, stage


def _is_like(one: Any, value: Any) -> bool:
    """Whether two values have the same type and, as far as is known, shape."""
    return one.dtype == value.dtype and static_shape(one) == static_shape(value)


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
