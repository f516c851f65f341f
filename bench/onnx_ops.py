"""Operations that an ONNX graph performs: multiply-accumulates apart from floating-point operations.

The conventions, one for every runtime and paper:

- A **MAC** is one multiply-accumulate of a convolution or a matrix product (Conv, Gemm, MatMul, Einsum and their
  integer forms). Products with padding zeros count, as they do in PyTorch's and fvcore's counters.
- **FLOPs** are all arithmetic operations on the activations. A MAC is two; its accumulator starts from the bias, so a
  bias is free. Everything else counts one an operation: an addition, a comparison, a call of exp, tanh or sqrt.
  Composite operators count what their definition does: Sigmoid 4 (negate, exp, add, divide), Softmax 5, layer and
  instance normalisation 7 an element.
- A **DFT** operator counts what a fast Fourier transform takes, 5 N log2 N for complex and 2.5 N log2 N for real data,
  as FFTW's authors count. A DFT written as matrix products counts as those products: that is what then runs.
- Moving data (reshape, transpose, concatenation, padding, gathering, casts, nearest-neighbour resizing) counts nothing.
- What depends on weights and shapes alone is done once, when the graph is loaded, and counts nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edgefuse.bench.onnx_rules import COST_RULES, FREE_OPERATORS, Cost, is_integer_arithmetic
from edgefuse.bench.onnx_shapes import GraphShapes, Shape

if TYPE_CHECKING:
    import onnx

__all__ = ["OperationCount", "OperatorTotal", "count_operations"]


@dataclass(frozen=True)
class OperatorTotal:
    """What all nodes of one operator do together."""

    nodes: int = 0
    macs: int = 0
    flops: int = 0


@dataclass(frozen=True)
class OperationCount:
    """What one inference of a graph does.

    Attributes:
        macs: Multiply-accumulates of convolutions and matrix products.
        flops: Arithmetic operations, two for each multiply-accumulate.
        initializer_elements: Floating-point numbers stored in the graph: weights, normalisation statistics and
            constants such as DFT matrices.
        moved_bytes: Bytes that the nodes read and write when each runs alone and nothing is fused.
        least_bytes: Bytes of the graph's inputs, outputs and initialisers: what any implementation has to move.
        by_operator: The totals of every operator, by its name.
        uncounted: Operators whose work is unknown and missing in the sums, with the number of their nodes.
    """

    macs: int
    flops: int
    initializer_elements: int
    moved_bytes: int
    least_bytes: int
    by_operator: dict[str, OperatorTotal] = field(default_factory=dict)
    uncounted: dict[str, int] = field(default_factory=dict)


def count_operations(
    model: onnx.ModelProto | str | os.PathLike[str], *, shapes: Mapping[str, Shape] | None = None
) -> OperationCount:
    """Count the operations of an ONNX graph.

    Args:
        model: The graph, or the path of its file.
        shapes: Shapes of inputs, by name, where the graph leaves them open.

    Returns:
        The counts of one inference.

    Raises:
        InputError: An input's shape is open and not given, or a given one contradicts the graph.
        ArtifactError: The file is missing or no ONNX graph.
        MissingDependencyError: onnx is not installed.

    Example:
        >>> count = count_operations("model.onnx", shapes={"ir": (1, 1, 480, 640), "vis": (1, 1, 480, 640)})
        ... # doctest: +SKIP
    """
    graph = GraphShapes(_load(model), shapes=shapes or {})
    totals: dict[str, OperatorTotal] = {}
    uncounted: dict[str, int] = {}
    moved_bytes = 0
    for node in graph.running_nodes():
        name = node.operator
        moved_bytes += node.moved_bytes
        rule = COST_RULES.get(name)
        cost: Cost | None = Cost()
        if name not in FREE_OPERATORS and not is_integer_arithmetic(node):
            cost = rule(node) if rule is not None and node.shapes_known else None
        if cost is None:
            uncounted[name] = uncounted.get(name, 0) + 1
            continue
        sofar = totals.get(name, OperatorTotal())
        totals[name] = OperatorTotal(sofar.nodes + 1, sofar.macs + cost.macs, sofar.flops + cost.flops)
    return OperationCount(
        macs=sum(total.macs for total in totals.values()),
        flops=sum(total.flops for total in totals.values()),
        initializer_elements=graph.initializer_elements,
        moved_bytes=moved_bytes,
        least_bytes=graph.least_bytes,
        by_operator=dict(sorted(totals.items(), key=lambda item: -item[1].flops)),
        uncounted=uncounted,
    )


def _load(model: Any) -> Any:
    """Take a graph as it is, or read it with its weights, since shapes may be computed from constants among them."""
    if not isinstance(model, (str, os.PathLike)):
        return model
    from edgefuse.export.trusted_graph import load_graph

    return load_graph(model)
