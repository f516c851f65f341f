"""Reading every file of a data set once, before hours of training depend on it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edgefuse.data.decode import read_pair
from edgefuse.errors import InputError
from edgefuse.manifest import sha256_file
from edgefuse.pairs import PathPair

__all__ = ["CheckedData", "check_pairs"]


@dataclass(frozen=True)
class CheckedData:
    """The outcome of a check.

    Attributes:
        pairs: The pairs that can be used.
        problems: One line for each pair that cannot, naming the file.
        sha256: Hash over names and file contents of the usable pairs, in hex: the identity of the training data.
        images: Luminance of the pairs that fitted the memory allowed, by name.
    """

    pairs: tuple[PathPair, ...]
    problems: tuple[str, ...]
    sha256: str
    images: dict[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]] = field(default_factory=dict, repr=False)


def check_pairs(
    pairs: Sequence[PathPair],
    *,
    keep_bytes: int = 0,
    smallest_px: int = 1,
    on_pair: Callable[[], None] | None = None,
) -> CheckedData:
    """Read and decode both files of every pair.

    Args:
        pairs: The pairs.
        keep_bytes: Keep decoded images up to this many bytes in all, in the order given.
        smallest_px: Smallest height and width that is of use.
        on_pair: Called after each pair, for a progress bar.

    Returns:
        The usable pairs, and a line for each of the others.
    """
    digest = hashlib.sha256()
    usable: list[PathPair] = []
    problems: list[str] = []
    images: dict[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]] = {}
    kept_bytes = 0
    for pair in pairs:
        try:
            ir, vis, content_hash = _read_pair(pair, smallest_px)
        except InputError as error:
            problems.append(str(error))
        else:
            usable.append(pair)
            digest.update(f"{pair.name}\0{content_hash}\n".encode())
            if kept_bytes + ir.nbytes + vis.nbytes <= keep_bytes:
                images[pair.name] = (ir, vis)
                kept_bytes += ir.nbytes + vis.nbytes
        if on_pair is not None:
            on_pair()
    return CheckedData(tuple(usable), tuple(problems), digest.hexdigest(), images)


def _read_pair(pair: PathPair, smallest_px: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8], str]:
    """Luminance of both images, and a hash of both files."""
    ir, vis = read_pair(pair.ir, pair.vis)
    if min(ir.shape) < smallest_px:
        raise InputError(f"{pair.ir}: {ir.shape[1]}x{ir.shape[0]} is smaller than {smallest_px} px")
    for path, image in ((pair.ir, ir), (pair.vis, vis)):
        if image.min() == image.max():
            raise InputError(f"{path}: every pixel is {int(image.min())}; nothing can be learned from it")
    return ir, vis, sha256_file(pair.ir) + sha256_file(pair.vis)
