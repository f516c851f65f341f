"""Padding to a network's size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgefuse.errors import InputError
from edgefuse.padding import pad_to, padded_size


@given(
    height=st.integers(8, 300),
    width=st.integers(8, 300),
    multiple=st.sampled_from([1, 2, 8, 32]),
    minimum=st.integers(1, 128),
)
def test_padding_is_enough_and_no_more(height: int, width: int, multiple: int, minimum: int) -> None:
    """Both sides become multiples, at least the minimum, and grow by less than one step beyond need."""
    for side, padded in zip(
        (height, width), padded_size(height, width, multiple=multiple, minimum=minimum), strict=True
    ):
        assert padded % multiple == 0
        assert padded >= max(side, minimum)
        assert padded < max(side, minimum) + multiple


@given(height=st.integers(2, 40), width=st.integers(2, 40), down=st.integers(0, 90), right=st.integers(0, 90))
def test_the_image_is_the_corner_of_the_padded_one(height: int, width: int, down: int, right: int) -> None:
    """Cropping takes the padding off exactly, and the padding mirrors the image however far it goes."""
    image = np.random.default_rng(0).random((height, width), np.float32)
    padded = pad_to(image, (height + down, width + right))
    np.testing.assert_array_equal(padded[:height, :width], image)
    np.testing.assert_array_equal(padded, np.pad(image, ((0, down), (0, right)), mode="reflect"))


def test_a_fixed_size_takes_smaller_images_only() -> None:
    """A larger image gets the export command that would take it."""
    assert padded_size(100, 200, fixed=(480, 640)) == (480, 640)
    with pytest.raises(InputError, match="--imgsz 500 200"):
        padded_size(500, 200, fixed=(480, 640))
