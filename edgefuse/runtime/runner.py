"""What every inference runtime offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgefuse.manifest import Manifest

if TYPE_CHECKING:
    from edgefuse.runtime.device_pairs import DevicePairs

__all__ = ["Runner"]

SomeRunner = TypeVar("SomeRunner", bound="Runner")


class Runner(ABC):
    """One network on one runtime: activate, infer any number of times, deactivate.

    A runner is also a context manager that does the first and the last. It serves one thread at a time.

    Attributes:
        name: Runtime and device, as in ``"onnxruntime-cpu"``.
        inputs: Names of the inputs, in order.
        imgsz: Height and width in pixels that the network takes, or None where both are free.
        size_multiple: Height and width must be multiples of it.
        min_size: Smallest height and width that the network takes.
        manifest: What is known of the file, or None for a network without a manifest.
        pairs: Fuses whole frames where the network runs; None where the CPU makes its inputs, or it is not active.
        frame_path: While active, where frames become inputs and the fused picture, and why, in one line; None where
            nothing but the CPU does it.
    """

    name: str
    inputs: tuple[str, ...] = ("ir", "vis")
    imgsz: tuple[int, int] | None = None
    size_multiple: int = 1
    min_size: int = 1
    manifest: Manifest | None = None
    pairs: DevicePairs | None = None
    frame_path: str | None = None

    @abstractmethod
    def activate(self) -> None:
        """Load the network. Activating twice does nothing."""

    @abstractmethod
    def infer(self, ir: NDArray[np.float32], vis: NDArray[np.float32]) -> NDArray[np.float32]:
        """Fuse a batch.

        Args:
            ir: Infrared luminance in [0, 1].  # [B, 1, H, W]
            vis: Visible luminance in [0, 1].  # [B, 1, H, W]

        Returns:
            Fused luminance, nominally in [0, 1]; the caller may keep it.  # [B, 1, H, W]
        """

    @abstractmethod
    def deactivate(self) -> None:
        """Free what the network holds. Deactivating twice does nothing."""

    def __enter__(self: SomeRunner) -> SomeRunner:
        self.activate()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.deactivate()
