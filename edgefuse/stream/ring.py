"""Frames from one process to another through shared memory, without a lock that a killed process could hold.

A slot belongs to one side at a time and changes hands by a message through a pipe, whose system calls also order the
memory accesses on processors with a weak memory model. A writer without a free slot drops its frame; nothing is ever
overwritten while it is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from multiprocessing.shared_memory import SharedMemory

import numpy as np
from numpy.typing import NDArray

from edgefuse.arrays import Image
from edgefuse.errors import InputError
from edgefuse.images import LARGEST_IMAGE_PIXELS, SMALLEST_SIDE

__all__ = ["Layout", "Ring"]

_FEWEST_SLOTS, _MOST_SLOTS = 4, 8
_RING_BYTES = 32 << 20


@dataclass(frozen=True)
class Layout:
    """Shape and type of every frame in a ring; checked, since the other side may be broken."""

    shape: tuple[int, ...]
    dtype: str

    def __post_init__(self) -> None:
        height, width, *channels = self.shape
        if channels not in ([], [3]) or self.dtype not in ("uint8", "uint16", "float32"):
            raise InputError(f"a camera gives frames of {self.dtype} {self.shape}; needed are (H, W) or (H, W, 3)")
        if min(height, width) < SMALLEST_SIDE or height * width > LARGEST_IMAGE_PIXELS:
            raise InputError(
                f"a camera gives frames of {width}x{height}: each side needs at least {SMALLEST_SIDE}, "
                f"and all together at most {LARGEST_IMAGE_PIXELS} pixels"
            )

    @classmethod
    def of(cls, image: Image) -> Layout:
        """The layout of an array."""
        return cls(tuple(image.shape), str(image.dtype))

    @property
    def size_bytes(self) -> int:
        """Bytes of one frame."""
        return int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize

    @property
    def slots(self) -> int:
        """Frames that a ring of this layout holds.

        Eight bridge a pause of a quarter of a second at 30 Hz. Large frames get fewer: containers give little shared
        memory.
        """
        return min(_MOST_SLOTS, max(_FEWEST_SLOTS, _RING_BYTES // self.size_bytes))

    def __str__(self) -> str:
        return f"{self.shape[1]}x{self.shape[0]} {self.dtype}{' BGR' if len(self.shape) == 3 else ''}"


class Ring:
    """A shared block of ``layout.slots`` frames. The side that creates it also removes it.

    Args:
        layout: What a frame is.
        name: Name of a block to attach to, or None to create one.
    """

    def __init__(self, layout: Layout, *, name: str | None = None) -> None:
        self.layout = layout
        self._owner = name is None
        size = max(1, layout.size_bytes * layout.slots)
        self._closed = False
        self._memory = SharedMemory(name=name, create=name is None, size=size if name is None else 0)

    @property
    def name(self) -> str:
        """Name of the block."""
        return self._memory.name

    def _slot(self, slot: int) -> NDArray[np.generic]:
        offset = slot * self.layout.size_bytes
        return np.ndarray(self.layout.shape, self.layout.dtype, self._memory.buf, offset)

    def write(self, slot: int, image: Image) -> None:
        """Copy a frame into a slot that this side holds."""
        self._slot(slot)[...] = image

    def read(self, slot: int) -> Image:
        """Copy a frame out of a slot that this side holds."""
        copied: Image = self._slot(slot).copy()  # type: ignore[assignment]
        return copied

    def close(self) -> None:
        """Let go of the block; the creator removes it. Closing twice does nothing."""
        if self._closed:
            return
        self._closed = True
        self._memory.close()
        if self._owner:
            self._memory.unlink()
