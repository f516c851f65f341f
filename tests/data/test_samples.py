"""Samples as functions of seed, epoch and position."""

from __future__ import annotations

import numpy as np
import pytest

from edgefuse.data import Augmentation, PairSamples, check_pairs, discover
from edgefuse.errors import InputError


@pytest.fixture
def pairs(tmp_path, write_pairs):
    """Three small pairs."""
    return discover(write_pairs(tmp_path, "abc")).pairs


def same(one, other):
    """Whether two samples are equal in every array and in name."""
    return one.name == other.name and all(np.array_equal(a, b) for a, b in zip(one[:4], other[:4], strict=True))


def test_a_sample_depends_on_seed_epoch_and_position_alone(pairs):
    """Images from memory and from disk, and any order of access, give the same samples."""
    augmentation = Augmentation(crop_px=16, mask_px=8, ir_gain=(0.5, 2.0))
    cached = PairSamples(check_pairs(pairs, keep_bytes=1 << 20), augmentation, crops_per_pair=2, seed=3)
    from_disk = PairSamples(check_pairs(pairs), augmentation, crops_per_pair=2, seed=3)
    cached.epoch = from_disk.epoch = 4
    assert len(cached) == 6
    first = [cached[index] for index in range(6)]
    assert all(same(first[index], from_disk[index]) for index in reversed(range(6)))
    assert cached.order() == from_disk.order()
    assert sorted(cached.order()) == list(range(6))


@pytest.mark.parametrize(("seed", "epoch"), [(3, 5), (4, 4)])
def test_another_epoch_or_seed_draws_anew(pairs, seed, epoch):
    """No sample of another epoch or seed is the same."""
    augmentation = Augmentation(crop_px=16)
    one = PairSamples(check_pairs(pairs), augmentation, seed=3)
    other = PairSamples(check_pairs(pairs), augmentation, seed=seed)
    one.epoch, other.epoch = 4, epoch
    assert not any(same(one[index], other[index]) for index in range(3))


def test_masks_change_what_the_network_sees_and_not_what_losses_compare_with(pairs):
    """Masked inputs equal the pictures where they are shown and are black where they are hidden."""
    sample = PairSamples(check_pairs(pairs), Augmentation(crop_px=16, mask_px=16))[0]
    for picture, seen in ((sample.ir, sample.ir_input), (sample.vis, sample.vis_input)):
        hidden = seen != picture
        assert hidden.any()
        assert not seen[hidden].any()
    assert not ((sample.ir_input != sample.ir) & (sample.vis_input != sample.vis)).any()


def test_no_pair_is_an_error():
    """Samples of nothing are refused."""
    with pytest.raises(InputError, match="no usable image pair"):
        PairSamples(check_pairs([]), Augmentation())
