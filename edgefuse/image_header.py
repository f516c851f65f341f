"""What an image file says of itself before it is decoded: its size, and whether it is whole.

OpenCV decodes a truncated JPEG or PNG to a picture with a gray or torn end, and allocates whatever a header claims;
both are found here first.
"""

from __future__ import annotations

import struct
import zlib

__all__ = ["ImageHeaderError", "image_size"]


class ImageHeaderError(ValueError):
    """The bytes are no image of a known format, or not all of one."""


_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Start-of-frame markers of every JPEG process; C4, C8 and CC in that range are tables.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_STANDALONE = frozenset(range(0xD0, 0xD9)) | {0x01}
_TIFF_VALUE_FORMATS = {3: "H", 4: "I"}


def image_size(data: bytes) -> tuple[int, int]:
    """Read height and width of an encoded image and check that it is whole.

    Args:
        data: The whole file: PNG, JPEG, TIFF, BMP or WebP.

    Returns:
        Height and width in pixels.

    Raises:
        ImageHeaderError: Unknown format, damaged header, or a PNG or JPEG that ends early.
    """
    if not data:
        raise ImageHeaderError("the file is empty")
    try:
        if data.startswith(_PNG_SIGNATURE):
            return _png_size(data)
        if data.startswith(b"\xff\xd8"):
            return _jpeg_size(data)
        if data[:4] in (b"II*\0", b"MM\0*"):
            return _tiff_size(data)
        if data.startswith(b"BM"):
            width, height = struct.unpack_from("<ii", data, 18)
            return abs(height), abs(width)
        if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            return _webp_size(data)
    except (struct.error, IndexError) as error:
        raise ImageHeaderError("the file ends inside its header") from error
    raise ImageHeaderError("not an image (PNG, JPEG, TIFF, BMP or WebP)")


def _png_size(data: bytes) -> tuple[int, int]:
    if data[12:16] != b"IHDR":
        raise ImageHeaderError("the PNG has no header")
    width, height = struct.unpack_from(">II", data, 16)
    position = len(_PNG_SIGNATURE)
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        end = position + 8 + length
        if end + 4 > len(data):
            break
        kind = data[position + 4 : position + 8]
        if zlib.crc32(data[position + 4 : end]) != struct.unpack_from(">I", data, end)[0]:
            raise ImageHeaderError("the PNG is damaged (checksum)")
        if kind == b"IEND":
            return height, width
        position = end + 4
    raise ImageHeaderError("the PNG is truncated")


def _jpeg_size(data: bytes) -> tuple[int, int]:
    # Cameras append thumbnails and padding after the end marker, so it is looked for, not expected last.
    if b"\xff\xd9" not in data[-65536:]:
        raise ImageHeaderError("the JPEG is truncated")
    position = 2
    while True:
        if data[position] != 0xFF:
            raise ImageHeaderError("the JPEG is damaged (marker)")
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1
        elif marker in _JPEG_STANDALONE:
            position += 2
        elif marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, position + 5)
            return height, width
        else:
            position += 2 + struct.unpack_from(">H", data, position + 2)[0]


def _tiff_size(data: bytes) -> tuple[int, int]:
    order = "<" if data[:2] == b"II" else ">"
    (directory,) = struct.unpack_from(order + "I", data, 4)
    (entries,) = struct.unpack_from(order + "H", data, directory)
    size: dict[int, int] = {}
    for index in range(entries):
        offset = directory + 2 + 12 * index
        tag, kind = struct.unpack_from(order + "HH", data, offset)
        if tag in (256, 257) and kind in _TIFF_VALUE_FORMATS:
            size[tag] = struct.unpack_from(order + _TIFF_VALUE_FORMATS[kind], data, offset + 8)[0]
    if size.keys() != {256, 257}:
        raise ImageHeaderError("the TIFF states no size")
    return size[257], size[256]


def _webp_size(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return height & 0x3FFF, width & 0x3FFF
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return ((bits >> 14) & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    if kind == b"VP8X":
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
        return height, width
    raise ImageHeaderError("the WebP is damaged")
