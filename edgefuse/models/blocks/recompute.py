"""Recomputing activations in the backward pass, where keeping them would cost the memory that is short."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint

__all__ = ["recomputed", "recomputing"]

_recomputing: ContextVar[bool] = ContextVar("recomputing", default=False)


def recomputing() -> bool:
    """Whether a module now runs for the second time: what it keeps count of must not be counted again."""
    return _recomputing.get()


def recomputed(module: nn.Module, *inputs: Any) -> Any:
    """Run a module and keep its inputs alone for the backward pass, which runs it once more.

    Values, gradients and running statistics are those of a plain call. The module must draw no random numbers.

    Args:
        module: What to run. Normalisation in it is ``StatisticsBatchNorm2d``, which leaves its running statistics as
            they are where ``recomputing()``.
        inputs: Its arguments.

    Returns:
        What the module returns.
    """
    return checkpoint(module, *inputs, use_reentrant=False, preserve_rng_state=False, context_fn=_contexts)


def _contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """What the first and what the second run happen in."""
    return nullcontext(), _second_run()


@contextmanager
def _second_run() -> Iterator[None]:
    token = _recomputing.set(True)
    try:
        yield
    finally:
        _recomputing.reset(token)
