"""Samples as batches of tensors, resumable in the middle of an epoch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from edgefuse.data import PairSamples, Sample
from edgefuse.errors import UsageError
from edgefuse.wording import counted

__all__ = ["Batch", "BatchOrder", "batch_loader"]


class Batch(NamedTuple):
    """A batch; tensors are [B, 1, H, W] in [0, 1].

    ``ir`` and ``vis`` are what the losses compare with, ``ir_input`` and ``vis_input`` what the network sees.
    """

    ir: torch.Tensor
    vis: torch.Tensor
    ir_input: torch.Tensor
    vis_input: torch.Tensor
    names: list[str]


class BatchOrder(Sampler[list[int]]):
    """Batches of sample positions in an epoch's order, from a given batch on; an incomplete last batch is left out."""

    def __init__(self, samples: PairSamples, batch: int) -> None:
        if len(samples) < batch:
            raise UsageError(
                f"an epoch has {counted(len(samples), 'sample')}, fewer than a batch of {batch}: "
                "raise train.crops_per_pair or lower train.batch"
            )
        self.samples = samples
        self.batch_size = batch
        self.drop_last = True
        self.first = 0

    def __len__(self) -> int:
        return len(self.samples) // self.batch_size

    def __iter__(self) -> Iterator[list[int]]:
        order = self.samples.order()
        for number in range(self.first, len(self)):
            yield order[number * self.batch_size : (number + 1) * self.batch_size]


class _Samples(Dataset[Sample]):
    def __init__(self, samples: PairSamples) -> None:
        self._samples = samples

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Sample:
        return self._samples[index]


def batch_loader(samples: PairSamples, order: BatchOrder, *, workers: int = 0, pin: bool = False) -> DataLoader[Sample]:
    """Build the loader; each pass over it reads ``samples.epoch`` and ``order.first`` anew.

    Args:
        samples: The samples.
        order: Their order and batches.
        workers: Processes that draw samples beside the training; 0 draws them in it.
        pin: Keep batches in page-locked memory, for a GPU.

    Returns:
        A loader of `Batch`.
    """
    # A generator of its own: otherwise each pass would draw from torch's and change the network's random numbers.
    return DataLoader(
        _Samples(samples),
        batch_sampler=order,
        num_workers=workers,
        collate_fn=_stack,
        pin_memory=pin,
        generator=torch.Generator(),
    )


def _stack(samples: list[Sample]) -> Batch:
    planes = [torch.from_numpy(np.stack([sample[position] for sample in samples])) for position in range(4)]
    return Batch(planes[0], planes[1], planes[2], planes[3], [sample.name for sample in samples])
