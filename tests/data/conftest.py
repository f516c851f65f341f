"""Image pairs on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgefuse.images import write_image


def _scene(seed: int, height: int, width: int) -> np.ndarray:
    """Smooth shapes with some texture, so that no two crops are alike."""
    random = np.random.default_rng(seed)
    coarse = cv2.resize(random.random((6, 6)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(255 * (0.8 * coarse + 0.2 * random.random((height, width))), 0, 255).astype(np.uint8)


@pytest.fixture
def write_pairs() -> Callable[..., Path]:
    """Writes some pairs into ``folder/ir`` and ``folder/vis``: gray infrared, colour visible."""

    def write(folder: Path, names: str = "ab", *, size: tuple[int, int] = (48, 64), seed: int = 0) -> Path:
        for number, name in enumerate(names):
            write_image(folder / "ir" / f"{name}.png", _scene(seed + 2 * number, *size))
            visible = _scene(seed + 2 * number + 1, *size)
            write_image(folder / "vis" / f"{name}.png", cv2.merge([visible, visible, 255 - visible]))
        return folder

    return write
