"""Sizes and damage read from encoded images."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgefuse.image_header import ImageHeaderError, image_size

SUFFIXES = [".png", ".jpg", ".tif", ".bmp", ".webp"]


def encode(suffix: str, height: int, width: int, *, channels: int = 3, depth: type = np.uint8) -> bytes:
    """A noise image in the given format, as OpenCV writes it."""
    rng = np.random.default_rng(height * 1000 + width)
    shape = (height, width) if channels == 1 else (height, width, channels)
    encoded, data = cv2.imencode(suffix, rng.integers(0, np.iinfo(depth).max, shape).astype(depth))
    assert encoded
    return data.tobytes()


@pytest.mark.parametrize("suffix", SUFFIXES)
@given(height=st.integers(1, 70), width=st.integers(1, 70))
def test_size_is_that_of_the_encoded_image(suffix: str, height: int, width: int) -> None:
    """Height and width come out as they went in, for every format."""
    assert image_size(encode(suffix, height, width)) == (height, width)


def test_sixteen_bit_formats_are_read() -> None:
    """Raw thermal PNG and TIFF files are known."""
    for suffix in (".png", ".tif"):
        assert image_size(encode(suffix, 21, 33, channels=1, depth=np.uint16)) == (21, 33)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
def test_truncated_files_are_refused(suffix: str, kept: float) -> None:
    """A file that ends early is an error, though OpenCV would decode it."""
    data = encode(suffix, 64, 64)
    with pytest.raises(ImageHeaderError):
        image_size(data[: int(len(data) * kept)])


def test_a_flipped_byte_in_a_png_is_found() -> None:
    """PNG chunks carry checksums, and they are used."""
    data = bytearray(encode(".png", 64, 64))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(ImageHeaderError, match="damaged"):
        image_size(bytes(data))


def test_a_huge_header_is_read_without_decoding() -> None:
    """The claimed size comes out, so that the caller can refuse it."""
    body = b"IHDR" + struct.pack(">IIBBBBB", 20000, 20000, 8, 0, 0, 0, 0)
    chunks = [body, b"IEND"]
    encoded = b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks
    )
    assert image_size(b"\x89PNG\r\n\x1a\n" + encoded) == (20000, 20000)


@given(st.binary(max_size=400))
def test_garbage_never_raises_anything_else(data: bytes) -> None:
    """Whatever the bytes, the answer is a size or the one exception."""
    for prefix in (b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8", b"II*\0", b"MM\0*", b"BM", b"RIFF0000WEBP"):
        try:
            height, width = image_size(prefix + data)
        except ImageHeaderError:
            continue
        assert height >= 0
        assert width >= 0
