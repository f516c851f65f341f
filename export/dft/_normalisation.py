"""Rules for normalisation of a laid value: by stored statistics, or by those of the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from edgefuse.export.dft._layout import Emitter, Laid
from edgefuse.export.dft._matrices import Array
from edgefuse.export.dft._pointwise import elementwise
from edgefuse.export.dft._reductions import reduce_dims
from edgefuse.export.graph_editing import array_of

__all__ = ["batch_norm", "instance_norm"]


def batch_norm(emitter: Emitter, node: Any, inputs: Sequence[Laid | Array | None]) -> Laid | None:
    """Normalisation by given statistics, stored ones or those of the image."""
    training = "training_mode" in node.attributes and node.attributes["training_mode"].value
    laid, *given = inputs
    if training or not isinstance(laid, Laid) or any(one is None for one in given):
        return None
    dtype, rank = laid.value.dtype.numpy(), len(laid.dims)
    epsilon = _epsilon(node)
    scale, bias, mean, variance = (_per_channel(one, rank) for one in given if one is not None)
    if all(isinstance(one, np.ndarray) for one in (scale, bias, mean, variance)):
        scale64, bias64, mean64, variance64 = (
            np.asarray(one, dtype=np.float64) for one in (scale, bias, mean, variance)
        )
        factor: Laid | Array | None = (scale64 / np.sqrt(variance64 + epsilon)).astype(dtype)
        shift: Laid | Array | None = (bias64 - mean64 * scale64 / np.sqrt(variance64 + epsilon)).astype(dtype)
    else:
        widened = elementwise(emitter, "Add", [variance, np.array(epsilon, dtype=dtype)])
        factor = None if widened is None else elementwise(emitter, "Div", [scale, _sqrt(emitter, widened)])
        product = None if factor is None else elementwise(emitter, "Mul", [mean, factor])
        shift = None if product is None else elementwise(emitter, "Sub", [bias, product])
    if factor is None or shift is None:
        return None
    scaled = elementwise(emitter, "Mul", [laid, factor])
    return None if scaled is None else elementwise(emitter, "Add", [scaled, shift])


def _per_channel(one: Laid | Array, rank: int) -> Laid | Array:
    """Statistics of the channels, as dimension 1 of so many."""
    if isinstance(one, Laid):
        return replace(one, dims=((), *one.dims, *((),) * (rank - 2)))
    return one.reshape(1, -1, *(1,) * (rank - 2))


def _sqrt(emitter: Emitter, laid: Laid) -> Laid:
    return replace(laid, value=emitter.emit("Sqrt", [laid.value], emitter.shape_of(laid.value)))


def instance_norm(emitter: Emitter, node: Any, laid: Laid) -> Laid | None:
    """Normalisation of every channel by its own mean and variance over the spectrum."""
    arrays = [array_of(value) for value in node.inputs[1:3]]
    if any(array is None for array in arrays) or len(laid.dims) < 3:
        return None
    rank, dtype = len(laid.dims), laid.value.dtype.numpy()
    scale, bias = (np.asarray(array).reshape(1, -1, *(1,) * (rank - 2)) for array in arrays)
    places = range(2, rank)
    mean = reduce_dims(emitter, "ReduceMean", laid, places)
    centred = None if mean is None else elementwise(emitter, "Sub", [laid, mean])
    square = None if centred is None else elementwise(emitter, "Mul", [centred, centred])
    variance = None if square is None else reduce_dims(emitter, "ReduceMean", square, places)
    if centred is None or variance is None:
        return None
    widened = elementwise(emitter, "Add", [variance, np.array(_epsilon(node), dtype=dtype)])
    factor = None if widened is None else elementwise(emitter, "Div", [scale, _sqrt(emitter, widened)])
    scaled = None if factor is None else elementwise(emitter, "Mul", [centred, factor])
    return None if scaled is None else elementwise(emitter, "Add", [scaled, bias])


def _epsilon(node: Any) -> float:
    return float(node.attributes["epsilon"].value) if "epsilon" in node.attributes else 1e-5
