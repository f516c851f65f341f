"""Chains of transforms over several axes: which axis goes first, and where the axes lie between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from edgefuse.export.dft._cost import Target
from edgefuse.export.dft._free import FreeTransform
from edgefuse.export.dft._layout import Axis, Emitter, Laid
from edgefuse.export.dft._matrices import Transform
from edgefuse.export.dft._nodes import Chain, Stage
from edgefuse.export.dft._stages import Signal, best_factor, dense_stage, two_step_stage

__all__ = ["Form", "emit_chain"]

Form = Literal["dense", "radix"]

# Below this many channels a product over them is too thin for the CPU's vector units; the first axis' frequencies
# serve.
_FEW_CHANNELS = 8


def emit_chain(emitter: Emitter, chain: Chain, source: Laid, *, form: Form, target: Target, force: bool) -> Laid:
    """Emit a chain of transforms as matrix products.

    Args:
        emitter: Where nodes go.
        chain: The chain.
        source: Its laid input.
        form: "dense": one product an axis, axes stay where they are, parts end before the spectrum. "radix": one or two
            products an axis, whichever is cheaper, with the channels innermost. A free chain is always dense: into
            which factors a length falls apart is not known.
        target: Kind of machine.
        force: With "radix", two products wherever a length has a factor.

    Returns:
        The laid result.
    """
    source = emitter.settle(source)
    signal = Signal(source, source.dims[-1][0] if source.dims[-1] else None)
    stages = _in_order(signal, list(chain.stages))
    if form == "dense" or chain.free:
        signal = _emit_dense(emitter, signal, stages, to_real=not chain.complex_out)
    else:
        signal = _emit_radix(emitter, signal, stages, to_real=not chain.complex_out, target=target, force=force)
    last = () if signal.part is None else (signal.part,)
    dims = signal.laid.dims[:-1] if chain.drops_part else (*signal.laid.dims[:-1], last)
    return replace(signal.laid, dims=dims)


def _in_order(signal: Signal, stages: list[Stage]) -> list[Stage]:
    """Transforms of complex signals commute: take inverse ones from the first axis on, where their forward ones end."""
    if stages[0].transform.inverse and not any(stage.transform.half_in for stage in stages) and signal.part is not None:
        return sorted(stages, key=lambda stage: stage.dim)
    return stages


def _emit_dense(emitter: Emitter, signal: Signal, stages: list[Stage], *, to_real: bool) -> Signal:
    waiting = list(stages)
    while waiting:
        stage = _beside_part(signal, waiting)
        waiting.remove(stage)
        signal = dense_stage(
            emitter,
            signal,
            signal.laid.dims[stage.dim][0],
            _at_its_turn(stage, signal, to_real=to_real and not waiting),
            part_first=not stage.transform.inverse,
        )
    return signal


def _beside_part(signal: Signal, waiting: Sequence[Stage]) -> Stage:
    """The transform to do next: among those that commute, one whose axis lies beside the parts."""
    free = [stage for stage in waiting if not stage.transform.half_in] or list(waiting)
    if signal.part is None:
        return waiting[0]
    place = signal.laid.stored.index(signal.part)
    beside = signal.laid.stored[max(place - 1, 0) : place + 2]
    return next((stage for stage in free if signal.laid.dims[stage.dim][0] in beside), free[0])


def _at_its_turn(stage: Stage, signal: Signal, *, to_real: bool) -> Transform | FreeTransform:
    """A transform as it is when its turn comes, on a signal that is real or complex by then."""
    return replace(stage.transform, complex_in=signal.part is not None, complex_out=not to_real)


def _emit_radix(
    emitter: Emitter, signal: Signal, stages: list[Stage], *, to_real: bool, target: Target, force: bool
) -> Signal:
    """The first axis with the others innermost, then the others with the channels innermost; inverse in reverse."""
    inverse = stages[0].transform.inverse
    dims = [stage.dim for stage in (stages[::-1] if inverse else stages)]
    batch, channels = _batch_and_channels(signal, dims)
    for stage in stages:
        signal = _arrange(emitter, signal, stage.dim, dims, batch=batch, channels=channels, inverse=inverse)
        transform = _at_its_turn(stage, signal, to_real=to_real and stage is stages[-1])
        axis = signal.laid.dims[stage.dim][0]
        assert isinstance(transform, Transform), "a free chain is dense"
        n1 = best_factor(transform, target, force=force)
        if n1 is None:
            signal = dense_stage(emitter, signal, axis, transform, part_first=inverse)
        else:
            signal = two_step_stage(emitter, signal, axis, transform, n1)
    return signal


def _batch_and_channels(signal: Signal, dims: Sequence[int]) -> tuple[list[Axis], list[Axis]]:
    """Split the axes that are not transformed into those that stay outermost and those that may go innermost."""
    others = [axis for i, dim in enumerate(signal.laid.dims[:-1]) if i not in dims for axis in dim]
    if len(others) <= 1:
        return ([], others) if all(axis.length is not None for axis in others) else (others, [])
    dynamic = [axis for axis in others if axis.length is None]
    batch = dynamic or others[:1]
    return batch, [axis for axis in others if axis not in batch]


def _arrange(
    emitter: Emitter,
    signal: Signal,
    dim: int,
    dims: list[int],
    *,
    batch: list[Axis],
    channels: list[Axis],
    inverse: bool,
) -> Signal:
    """Store the axes as the transform of one dimension wants them.

    With transforms over a1, a2, ... and channels C: a1 is transformed as [batch, C, part, a1, a2, ...], every other one
    as [batch, A1, .., part, ai, .., C]; upper case stands for frequencies.
    """
    current = [signal.laid.dims[i][0] for i in dims]
    turn = dims.index(dim)
    part = [signal.part] if signal.part is not None else []
    here = [current[turn], *part] if inverse else [*part, current[turn]]
    done, rest = current[:turn], current[turn + 1 :]
    if turn == 0 and len(dims) > 1 and inverse:
        # What moves before and after it are plain matrices then, (a2, C) to (C, a2) and (a1, rest) to (rest, a1).
        order = [*batch, *here, *channels, *rest]
    elif turn == 0 and len(dims) > 1:
        order = [*batch, *channels, *here, *rest]
    elif turn == 0:
        order = [*batch, *here, *channels]
    elif _count(channels) >= _FEW_CHANNELS:
        order = [*batch, *done, *here, *rest, *channels]
    else:
        order = [*batch, *channels, *done[1:], *here, *rest, *done[:1]]
    return replace(signal, laid=emitter.arrange(signal.laid, order))


def _count(axes: Sequence[Axis]) -> int:
    product = 1
    for axis in axes:
        product *= axis.length or 1
    return product
