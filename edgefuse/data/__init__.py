"""Image pairs for training: found in folders, checked, decoded, augmented. Importing this imports no torch."""

from __future__ import annotations

from edgefuse.data.augment import Augmentation, complementary_masks
from edgefuse.data.check import CheckedData, check_pairs
from edgefuse.data.decode import read_pair
from edgefuse.data.discover import Discovery, discover, require_split
from edgefuse.data.samples import PairSamples, Sample

__all__ = [
    "Augmentation",
    "CheckedData",
    "Discovery",
    "PairSamples",
    "Sample",
    "check_pairs",
    "complementary_masks",
    "discover",
    "read_pair",
    "require_split",
]
