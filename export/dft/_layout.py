"""Tensors whose axes are stored in another order than the graph names them, and the nodes that move between the two.

Lowering a DFT pays when the axes may stay where the matrix products leave them. So a value of the graph can be
*laid*: its memory holds ``stored`` axes in that order, while ``dims`` says which of them make up each dimension the
graph knows. Transposes, reshapes, slices and shifts of a laid value cost nothing: they rewrite ``dims`` and
``picks``. Nodes are emitted only when a value is needed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgefuse.export.dft._cost import Cost
from edgefuse.export.graph_editing import NodeEmitter

__all__ = ["Axis", "Emitter", "Laid"]

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Axis:
    """One axis in memory; two axes are the same only if they are one object.

    Attributes:
        length: Length that the graph sees, or None where it is dynamic.
        order: For a spectrum, the frequency held at each stored position; None stands for the natural order.
        spectral: Whether it is the axis of a spectrum, whose order may change freely.
        extent: Where the length is dynamic, its length at run time as a value of the graph, int64 of shape [1].
    """

    length: int | None
    order: NDArray[np.int64] | None = None
    spectral: bool = False
    extent: Any = None

    @property
    def size(self) -> int | None:
        """Stored length, which exceeds ``length`` where a spectrum holds a frequency twice."""
        return self.length if self.order is None else len(self.order)

    @property
    def holds_duplicates(self) -> bool:
        """Whether some frequency is stored at two positions."""
        return self.order is not None and len(self.order) != self.length

    def first_positions(self) -> NDArray[np.int64]:
        """For every index that the graph knows, the first position that holds it."""
        if self.order is None:
            return np.arange(self.length or 0)
        return np.unique(self.order, return_index=True)[1].astype(np.int64)


@dataclass(frozen=True)
class Laid:
    """A value of the graph with its own axis order.

    Attributes:
        value: The emitted value; its memory holds ``stored`` in order, whatever its shape.
        stored: Axes in memory order.
        dims: For every dimension of the graph's value the axes that make it up, outer first; an empty one has length 1.
        picks: Indices still to be selected along an axis. An axis in no dimension has exactly one.
    """

    value: Any
    stored: tuple[Axis, ...]
    dims: tuple[tuple[Axis, ...], ...]
    picks: Mapping[Axis, NDArray[np.int64]] = field(default_factory=dict)

    @property
    def free(self) -> bool:
        """Whether more than one axis is dynamic: lengths cannot be told by counting elements then."""
        return sum(axis.length is None for axis in self.stored) > 1

    def length(self, axis: Axis) -> int | None:
        """Length of an axis after its pick."""
        return len(self.picks[axis]) if axis in self.picks else axis.length

    def shape(self) -> tuple[int | None, ...]:
        """Shape that the graph sees."""
        return tuple(_product(self.length(axis) for axis in dim) for dim in self.dims)

    def with_pick(self, axis: Axis, index: NDArray[np.int64]) -> Laid:
        """Select along an axis, on top of an earlier selection."""
        index = self.picks[axis][index] if axis in self.picks else index
        picks = {key: pick for key, pick in self.picks.items() if key is not axis}
        if not np.array_equal(index, np.arange(axis.length or 0)):
            picks[axis] = index
        return replace(self, picks=picks)


def _product(lengths: Any) -> int | None:
    product = 1
    for length in lengths:
        if length is None:
            return None
        product *= length
    return product


class Emitter(NodeEmitter):
    """Inserts nodes that compute laid values.

    Args:
        graph: Graph to extend.
        cost: Where to add up the work of the emitted nodes.
        numbers: Where names take their numbers from.
        constants: Initializers by content, so that equal matrices are stored once.
    """

    def __init__(
        self, graph: Any, cost: Cost, *, numbers: Iterator[int], constants: dict[tuple[Any, ...], Any]
    ) -> None:
        super().__init__(graph, prefix="lower_dft", numbers=numbers, constants=constants, count=cost.add)
        self.cost = cost
        self._selections: dict[Any, tuple[Any, Axis]] = {}
        self._renamed: dict[Any, Axis] = {}
        self._grouped: dict[Any, list[list[Axis]]] = {}
        self._free_views: dict[Any, Any] = {}

    def axes_of(self, value: Any, extent: Callable[[Any, int], Any]) -> tuple[Axis, ...]:
        """An axis for every dimension of a value of the graph, with its extent where it is dynamic."""
        shape = self.shape_of(value)
        axes = tuple(Axis(size, extent=extent(value, dim) if size is None else None) for dim, size in enumerate(shape))
        self.hold(value, *([axis] for axis in axes))
        return axes

    def extent_of(self, axis: Axis) -> Any:
        """Length of an axis as a value of the graph.  # [1], int64"""
        return axis.extent if axis.length is None else self.constant(np.array([axis.length]))

    def hold(self, value: Any, *groups: Sequence[Axis]) -> Any:
        """Note which axes make up each dimension of a value; empty groups have none."""
        self._grouped[value] = [list(group) for group in groups if group]
        return value

    def grouped(self, laid: Laid, *groups: Sequence[Axis]) -> Any:
        """View the memory of a settled value as one dimension a group of its stored axes; empty groups are left out."""
        return self._view(laid.value, [group for group in groups if group])

    def _view(self, value: Any, groups: Sequence[Sequence[Axis]]) -> Any:
        """View memory as one dimension a group; at run time, where counting elements does not tell every dimension."""
        shape = tuple(_product(axis.size for axis in group) for group in groups)
        if shape.count(None) <= 1:
            return self.view(value, shape)
        wanted = [list(group) for group in groups]
        if self._grouped.get(value) == wanted:
            return value
        key = (value, tuple(map(tuple, groups)))
        if key not in self._free_views:
            # The group with the most free axes is told by counting: what is left over.
            counted = max(range(len(groups)), key=lambda i: sum(axis.length is None for axis in groups[i]))
            dims = [
                self.constant(np.array([-1])) if i == counted else self._extent_of_group(group)
                for i, group in enumerate(groups)
            ]
            target = self.emit("Concat", dims, (len(dims),), attributes={"axis": 0})
            self._free_views[key] = self.hold(self.emit("Reshape", [value, target], shape), *groups)
        return self._free_views[key]

    def _extent_of_group(self, group: Sequence[Axis]) -> Any:
        fixed = self.constant(np.array([math.prod(axis.size or 1 for axis in group)]))
        for axis in group:
            if axis.length is None:
                fixed = self.emit("Mul", [fixed, axis.extent], (1,))
        return fixed

    def arrange(self, laid: Laid, order: Sequence[Axis]) -> Laid:
        """Store the axes in another order, moving as few and as large blocks as possible.

        Args:
            laid: The value.
            order: All of its stored axes in the order wanted.

        Returns:
            The rearranged value; the same one if nothing moves.
        """
        order = tuple(order)
        if order == laid.stored:
            return laid
        place = {axis: i for i, axis in enumerate(order)}
        blocks: list[list[Axis]] = []
        for axis in laid.stored:  # runs that stay together move as one block
            if axis.size == 1:
                continue
            if blocks and _follows(blocks[-1][-1], axis, order):
                blocks[-1].append(axis)
            else:
                blocks.append([axis])
        if len(blocks) <= 1:
            return replace(laid, stored=order)
        perm = sorted(range(len(blocks)), key=lambda i: place[blocks[i][0]])
        if perm == list(range(len(blocks))):
            return replace(laid, stored=order)
        value = self.hold(self.transpose(self.grouped(laid, *blocks), perm), *(blocks[i] for i in perm))
        return replace(laid, value=value, stored=order)

    def settle(self, laid: Laid, *, natural: bool = False) -> Laid:
        """Carry out pending selections and drop axes that no dimension has; a shifted spectrum is only renamed.

        Args:
            laid: The value.
            natural: Also bring every spectrum into its natural order.

        Returns:
            The value without picks.
        """
        for axis in laid.stored:
            index = laid.picks.get(axis)
            if index is not None and axis.spectral and not natural and _is_permutation(index, axis):
                laid = self._rename(laid, axis, index)
                continue
            if index is None and natural and axis.order is not None:
                index = np.arange(axis.length or 0)
            if index is not None:
                laid = self._select(laid, axis, index)
        hidden = {axis for axis in laid.stored if not any(axis in dim for dim in laid.dims)}
        return replace(laid, stored=tuple(axis for axis in laid.stored if axis not in hidden))

    def _select(self, laid: Laid, axis: Axis, index: NDArray[np.int64]) -> Laid:
        key = (laid.value, laid.stored, axis, index.tobytes())
        if key not in self._selections:
            place = laid.stored.index(axis)
            before, after = laid.stored[:place], laid.stored[place + 1 :]
            positions = axis.first_positions()[index]
            value = self.take(self.grouped(laid, before, [axis], after), 1 if before else 0, positions)
            self._selections[key] = value, Axis(len(index))
        value, chosen = self._selections[key]
        return replace(_exchanged(laid, axis, chosen), value=value)

    def _rename(self, laid: Laid, axis: Axis, index: NDArray[np.int64]) -> Laid:
        """Take a permutation of a spectrum into its order."""
        key = (axis, index.tobytes())
        if key not in self._renamed:
            order = np.arange(axis.length or 0) if axis.order is None else axis.order
            self._renamed[key] = Axis(axis.length, np.argsort(index)[order], spectral=True)
        return _exchanged(laid, axis, self._renamed[key])

    def materialise(self, laid: Laid) -> Any:
        """The value as the graph sees it: its dimensions, in its order, in natural frequency order."""
        laid = self.settle(laid, natural=True)
        laid = self.arrange(laid, [axis for dim in laid.dims for axis in dim])
        return self._view(laid.value, laid.dims)


def _exchanged(laid: Laid, axis: Axis, new: Axis) -> Laid:
    """Put one axis in the place of another, without its pick."""
    picks = {key: pick for key, pick in laid.picks.items() if key is not axis}
    dims = tuple(tuple(new if one is axis else one for one in dim) for dim in laid.dims)
    return Laid(laid.value, tuple(new if one is axis else one for one in laid.stored), dims, picks)


def _is_permutation(index: NDArray[np.int64], axis: Axis) -> bool:
    return len(index) == axis.length and len(np.unique(index)) == axis.length


def _follows(left: Axis, right: Axis, order: tuple[Axis, ...]) -> bool:
    """Whether an axis comes right after another in an order, axes of length 1 aside."""
    kept = [axis for axis in order if axis.size != 1]
    place = kept.index(left)
    return place + 1 < len(kept) and kept[place + 1] is right
