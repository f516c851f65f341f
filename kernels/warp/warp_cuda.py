"""Registration and colour of a pair on an NVIDIA GPU, by the CUDA library, on memory that the caller holds.

The library is built where nvcc is (CMake's ``EDGEFUSE_CUDA``). It takes device addresses and a stream's handle, so
pycuda, PyTorch and TensorRT can all call it, and it needs none of them.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgefuse.errors import EdgeFuseError, MissingDependencyError
from edgefuse.kernels import _native
from edgefuse.kernels.warp.pair_warp import PairWarp

__all__ = ["CudaPairWarp", "FrameAddresses", "cuda_library_path", "cuda_library_problem", "gain_values"]

_LIBRARY = "libedgefuse_cuda.so"


class _Tables(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_void_p) for name in ("offsets", "right", "down", "inside_from", "inside_to"))


class _Geometry(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_int32) for name in ("ir_width", "height", "width", "channels", "padded_height", "padded_width")
    )


@dataclass(frozen=True)
class FrameAddresses:
    """Device memory of one pair.

    Attributes:
        ir: Infrared frame.  # [h, w]
        ir_bytes: Of an infrared pixel: 1 (uint8), 2 (uint16) or 4 (float32).
        vis: Visible frame.  # [H, W] or [H, W, 3] uint8
        channels: Of the visible frame, 1 or 3.
        gain: What :func:`gain_values` returns.  # [2] float32
        ir_input: Takes the infrared input.  # [H', W'] float32
        vis_input: Takes the visible input.  # [H', W'] float32
    """

    ir: int
    ir_bytes: int
    vis: int
    channels: int
    gain: int
    ir_input: int
    vis_input: int


def gain_values(low: float, high: float) -> NDArray[np.float32]:
    """Gain as the kernel reads it from device memory, where a captured graph finds that of each frame.

    Args:
        low: Infrared value that becomes 0.
        high: Infrared value that becomes 1, above ``low`` in float32 too.

    Returns:
        ``low`` and ``1 / (high - low)``, rounded as the C++ code rounds them.  # [2]
    """
    low_value, high_value = np.float32(low), np.float32(high)
    return np.array([low_value, np.float32(1.0) / (high_value - low_value)], np.float32)


def cuda_library_path() -> Path | None:
    """Where the CUDA library is, or None where it was not built."""
    path = Path(_native.__file__).with_name(_LIBRARY)
    return path if path.is_file() else None


def cuda_library_problem() -> str | None:
    """Why the CUDA library does not serve, in one line with what helps; None where it loads."""
    try:
        _library()
    except MissingDependencyError as error:
        return str(error)
    return None


@functools.cache
def _library() -> ctypes.CDLL:
    path = cuda_library_path()
    if path is None:
        raise MissingDependencyError(
            "this installation has no CUDA library: install from source on a machine with nvcc"
        )
    pointer, number = ctypes.c_void_p, ctypes.c_int
    tables, geometry = ctypes.POINTER(_Tables), ctypes.POINTER(_Geometry)
    signatures: dict[str, list[Any]] = {
        "edgefuse_check_device": [],
        "edgefuse_register_pair": [pointer, number, pointer, pointer, tables, geometry, pointer, pointer, pointer],
        "edgefuse_colour_pair": [pointer, pointer, number, number, number, number, pointer, pointer],
    }
    try:
        library = ctypes.CDLL(str(path))
        functions = [getattr(library, name) for name in signatures]
    except OSError as error:
        raise MissingDependencyError(f"the CUDA library does not load ({error}): install EdgeFuse again") from error
    except AttributeError as error:
        raise MissingDependencyError("the CUDA library is older than this code: install EdgeFuse again") from error
    for function, arguments in zip(functions, signatures.values(), strict=True):
        function.argtypes, function.restype = arguments, ctypes.c_char_p
    return library


class CudaPairWarp:
    """A :class:`PairWarp` whose tables lie on a GPU. Work is enqueued on the caller's stream; nobody waits for it.

    Args:
        warp: The geometry.
        upload: Copies an array to the GPU and returns its address; the caller keeps the memory as long as this object.

    Raises:
        MissingDependencyError: The CUDA library was not built, or not from this code.
    """

    def __init__(self, warp: PairWarp, upload: Callable[[NDArray[Any]], int]) -> None:
        self._library = _library()
        self._ir_size, self._vis_size = warp.ir_size, warp.vis_size
        self._tables = _Tables(*(upload(table) for table in warp.tables()))

    @staticmethod
    def check_device() -> None:
        """Load the kernels on the GPU whose context is current.

        Raises:
            MissingDependencyError: The CUDA library was not built, or not from this code.
            EdgeFuseError: CUDA refuses: it was not built for this GPU, or the driver is older than it.
        """
        error = _library().edgefuse_check_device()
        if error is not None:
            raise EdgeFuseError(f"the GPU does not take the CUDA library: {error.decode(errors='replace')}")

    def enqueue_inputs(self, frames: FrameAddresses, *, size: tuple[int, int], stream: int) -> None:
        """Make the network inputs of one pair.

        Args:
            frames: Where the pair is and where the inputs go.
            size: Height and width of the inputs.
            stream: Handle of the CUDA stream.

        Raises:
            EdgeFuseError: CUDA refuses the work.
        """
        geometry = _Geometry(self._ir_size[1], *self._vis_size, frames.channels, *size)
        _check(
            self._library.edgefuse_register_pair(
                frames.ir,
                frames.ir_bytes,
                frames.vis,
                frames.gain,
                ctypes.byref(self._tables),
                ctypes.byref(geometry),
                frames.ir_input,
                frames.vis_input,
                stream,
            )
        )

    def enqueue_colour(self, frames: FrameAddresses, fused: int, out: int, *, fused_width: int, stream: int) -> None:
        """Put fused luminance into a visible frame.

        Args:
            frames: Where the visible frame is.
            fused: Address of the fused luminance.  # [H', W'] float32
            out: Address that takes the fused frame, in the shape of the visible one.  # [H, W] or [H, W, 3] uint8
            fused_width: W'.
            stream: Handle of the CUDA stream.

        Raises:
            EdgeFuseError: CUDA refuses the work.
        """
        _check(
            self._library.edgefuse_colour_pair(
                frames.vis, fused, fused_width, *self._vis_size, frames.channels, out, stream
            )
        )


def _check(error: bytes | None) -> None:
    if error is not None:
        raise EdgeFuseError(f"the GPU does not take the work: {error.decode(errors='replace')}")
