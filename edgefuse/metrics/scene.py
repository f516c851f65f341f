"""One fused image and its two sources, with everything that several metrics need computed once."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgefuse.errors import EdgeFuseError
from edgefuse.metrics.gray import Gray

__all__ = ["SOURCES", "ImageName", "Real", "Scene", "SourceName", "UndefinedError", "sum_of_products"]

Real = NDArray[np.float64]
SourceName = Literal["ir", "vis"]
ImageName = Literal["ir", "vis", "fused"]
SOURCES: tuple[SourceName, SourceName] = ("ir", "vis")
_T = TypeVar("_T")

# Just under the largest size that glibc takes for its threshold between heap and mmap.
_REUSE_BYTES = 32 * 1024 * 1024 - 65536


class UndefinedError(EdgeFuseError):
    """A metric has no value for these images; the text says why. :func:`~edgefuse.metrics.evaluate` makes it NaN."""


class Scene:
    """Gray planes of a fused image and its sources.

    Args:
        fused: Fused image.  # [H, W]
        ir: Infrared image.  # [H, W]
        vis: Visible image.  # [H, W]
    """

    def __init__(self, fused: Gray, ir: Gray, vis: Gray) -> None:
        _keep_freed_memory()
        # OpenCV takes no views that run backwards.
        images: dict[ImageName, Gray] = {"fused": fused, "ir": ir, "vis": vis}
        self._planes = {name: np.ascontiguousarray(image) for name, image in images.items()}
        self._kept: dict[Hashable, Any] = {}
        self.height, self.width = fused.shape
        self.pixels = fused.size

    def keep(self, key: Hashable, make: Callable[[], _T]) -> _T:
        """Return an intermediate, computing it at its first use.

        Args:
            key: Its name, with every parameter that it depends on.
            make: Computes it.

        Returns:
            The intermediate; not to be written to.
        """
        if key not in self._kept:
            self._kept[key] = make()
        value: _T = self._kept[key]
        return value

    def plane(self, name: ImageName) -> Gray:
        """One image as uint8.  # [H, W]"""
        return self._planes[name]

    def real(self, name: ImageName) -> Real:
        """One image as float64 in 0..255.  # [H, W]"""
        return self.keep(("real", name), lambda: self._planes[name].astype(np.float64))

    def is_constant(self, name: ImageName) -> bool:
        """Whether every pixel of an image has the same level."""
        return self.keep(("constant", name), lambda: int(np.count_nonzero(self.counts(name))) == 1)

    def counts(self, name: ImageName) -> NDArray[np.int64]:
        """Histogram of 256 levels.  # [256]"""
        return self.keep(("counts", name), lambda: np.bincount(self._planes[name].reshape(-1), minlength=256))

    def joint_counts(self, source: SourceName) -> NDArray[np.int64]:
        """Joint histogram of a source and the fused image.  # [256, 256]"""

        def count() -> NDArray[np.int64]:
            cell = self._planes[source].astype(np.intp) << 8
            cell |= self._planes["fused"]
            return np.bincount(cell.reshape(-1), minlength=1 << 16).reshape(256, 256)

        return self.keep(("joint", source), count)

    def total(self, name: ImageName) -> int:
        """Sum of all levels, exact."""
        return self.keep(("total", name), lambda: int(self.counts(name) @ np.arange(256)))

    def inner(self, first: ImageName, second: ImageName) -> int:
        """Sum of the products of two images, exact: every partial sum is an integer below 2^53."""
        one, two = sorted((first, second))
        return self.keep(("inner", one, two), lambda: int(sum_of_products(self.real(first), self.real(second))))

    def covariance(self, first: ImageName, second: ImageName) -> int:
        """Covariance of two images times the squared number of pixels, exact."""
        return self.pixels * self.inner(first, second) - self.total(first) * self.total(second)


def sum_of_products(first: Real, second: Real) -> float:
    """Inner product of two arrays of one shape, without BLAS, whose idle threads cost more than this sum."""
    return float(np.einsum("i,i->", first.reshape(-1), second.reshape(-1)))


def _keep_freed_memory() -> None:
    """Let temporaries reuse each other's memory.

    glibc hands a freed array back to the kernel until it has seen a larger one freed, and the page faults of the next
    one cost more than the arithmetic on it. An array that is freed untouched raises that limit and costs nothing.
    """
    np.empty(_REUSE_BYTES, np.uint8)
