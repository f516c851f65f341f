"""Training samples that depend on nothing but a seed, an epoch and a position."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgefuse.data.augment import Augmentation, complementary_masks
from edgefuse.data.check import CheckedData
from edgefuse.data.decode import read_pair
from edgefuse.errors import InputError

__all__ = ["PairSamples", "Sample"]


class Sample(NamedTuple):
    """One training sample; arrays are [1, crop_px, crop_px] in [0, 1].

    ``ir`` and ``vis`` are what the losses compare with; ``ir_input`` and ``vis_input`` are what the network sees, and
    differ from them only under complementary masks.
    """

    ir: NDArray[np.float32]
    vis: NDArray[np.float32]
    ir_input: NDArray[np.float32]
    vis_input: NDArray[np.float32]
    name: str


class PairSamples:
    """A sequence of samples for one epoch.

    Sample ``i`` is a function of ``(seed, epoch, i)`` alone: the same on any worker, on any process and after a resume.

    Args:
        data: Checked pairs; images that it does not hold in memory are read when needed.
        augmentation: How a sample is drawn from its pair.
        crops_per_pair: Samples of each pair in an epoch.
        seed: Seed of the run.
    """

    def __init__(
        self, data: CheckedData, augmentation: Augmentation, *, crops_per_pair: int = 1, seed: int = 0
    ) -> None:
        if not data.pairs:
            raise InputError("there is no usable image pair to train on")
        self.data = data
        self.augmentation = augmentation
        self.crops_per_pair = crops_per_pair
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.data.pairs) * self.crops_per_pair

    def __getitem__(self, index: int) -> Sample:
        """Draw one sample of the current epoch."""
        random = np.random.default_rng((self.seed, self.epoch, index))
        pair = self.data.pairs[index % len(self.data.pairs)]
        images = self.data.images.get(pair.name)
        ir, vis = images if images is not None else read_pair(pair.ir, pair.vis)
        ir_unit, vis_unit = self.augmentation.apply(ir, vis, random)
        ir_input, vis_input = ir_unit, vis_unit
        if self.augmentation.mask_px:
            height, width = ir_unit.shape
            masks = complementary_masks((height, width), mask_px=self.augmentation.mask_px, random=random)
            ir_input, vis_input = ir_unit * masks[0], vis_unit * masks[1]
        return Sample(ir_unit[None], vis_unit[None], ir_input[None], vis_input[None], pair.name)

    def order(self) -> list[int]:
        """A random order of the current epoch's samples, the same for the same seed and epoch."""
        # The third number keeps this stream apart from the samples' own.
        return [int(i) for i in np.random.default_rng((self.seed, self.epoch, 2**32)).permutation(len(self))]
