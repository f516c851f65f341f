"""Pictures for the tests of losses, and a Sobel operator written out loop by loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest

torch = pytest.importorskip("torch")

if TYPE_CHECKING:
    from torch import Tensor

FloatArray = np.ndarray
Pictures = Callable[..., "tuple[Tensor, Tensor, Tensor]"]


@pytest.fixture
def pictures() -> Pictures:
    """A maker of (fused, ir, vis) in float64, random with a seed, smooth enough to have edges in both sources."""

    def make(height: int = 13, width: int = 17, *, batch: int = 2, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        noise = torch.rand(3, batch, 1, height, width, generator=generator, dtype=torch.float64)
        return noise[0], noise[1], noise[2]

    return make


@pytest.fixture
def slow_sobel() -> Callable[[FloatArray], tuple[FloatArray, FloatArray]]:
    """Sobel x and y of one (H, W) plane, zeros outside, every sum written out."""

    def derivatives(plane: FloatArray) -> tuple[FloatArray, FloatArray]:
        height, width = plane.shape

        def at(row: int, column: int) -> float:
            return float(plane[row, column]) if 0 <= row < height and 0 <= column < width else 0.0

        along_x, along_y = np.zeros(plane.shape), np.zeros(plane.shape)
        for row in range(height):
            for column in range(width):
                for offset, weight in ((-1, 1.0), (0, 2.0), (1, 1.0)):
                    along_x[row, column] += weight * (at(row + offset, column + 1) - at(row + offset, column - 1))
                    along_y[row, column] += weight * (at(row + 1, column + offset) - at(row - 1, column + offset))
        return along_x, along_y

    return derivatives
