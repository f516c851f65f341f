"""Image pairs on disk, checked, and a recipe that takes a second."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgefuse.data import CheckedData, check_pairs, discover
from edgefuse.images import write_image
from edgefuse.train import Recipe, load_recipe


def _scene(seed: int) -> np.ndarray:
    """Smooth shapes with some texture, so that no two crops are alike."""
    random = np.random.default_rng(seed)
    coarse = cv2.resize(random.random((6, 6)).astype(np.float32), (64, 48), interpolation=cv2.INTER_CUBIC)
    return np.clip(255 * (0.8 * coarse + 0.2 * random.random((48, 64))), 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def pair_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with six pairs of 64×48 px."""
    folder = tmp_path_factory.mktemp("pairs") / "street" / "train"
    for number in range(6):
        write_image(folder / "ir" / f"{number}.png", _scene(2 * number))
        write_image(folder / "vis" / f"{number}.png", cv2.merge([_scene(2 * number + 1)] * 3))
    return folder


@pytest.fixture(scope="session")
def data(pair_folder: Path) -> CheckedData:
    """The pairs, in memory."""
    return check_pairs(discover(pair_folder).pairs, keep_bytes=1 << 20)


@pytest.fixture
def tiny() -> Recipe:
    """The lite recipe on crops of 32 px: three epochs of three steps."""
    changes = [
        "model.channels=4",
        "augmentation.crop_px=32",
        "train.epochs=3",
        "train.batch=2",
        "train.crops_per_pair=1",
    ]
    return load_recipe("lite", overrides=[*changes, "train.sheet_px=32", "train.schedule.warmup_steps=2"])
