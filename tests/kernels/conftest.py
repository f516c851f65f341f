"""Fixtures of the kernel tests."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Protocol

import pytest
import torch
from torch import Tensor


class AsGoodAsEager(Protocol):
    """Check of a result against an exact one, with eager PyTorch's own error as the measure."""

    def __call__(
        self, actual: Tensor, *, eager: Tensor, exact: Tensor, scale: float = 0.0, spared: float = 0.0
    ) -> None:
        """Fail where ``actual`` is further from ``exact`` than twice ``eager`` and a rounding of values of a scale.

        A share of the elements is spared, those that are furthest off.
        """


@pytest.fixture(scope="session")
def as_good_as_eager() -> AsGoodAsEager:
    """The check that an error is at most twice eager PyTorch's in the same type, or a rounding of the largest value."""

    def check(actual: Tensor, *, eager: Tensor, exact: Tensor, scale: float = 0.0, spared: float = 0.0) -> None:
        assert actual.shape == exact.shape
        assert torch.isfinite(actual).all()
        rounding = 2 * torch.finfo(actual.dtype).eps * max(scale, float(exact.abs().max()))

        def error(result: Tensor) -> float:
            differences = (result.double() - exact).abs().flatten()
            return float(differences.topk(1 + int(spared * differences.numel())).values[-1])

        assert error(actual) <= 2 * error(eager) + rounding

    return check


@pytest.fixture
def poisoned_memory() -> Iterator[None]:
    """Fill what ``torch.empty`` returns with NaN, so that an element that is never written is noticed."""
    # On a GPU some of PyTorch's own operations say that they are not deterministic, which is not asked here.
    warnings.filterwarnings("ignore", message=".*deterministic", category=UserWarning)
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(before)
