from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from edgefuse.arrays import Image

def gradient_loss(
    fused: Tensor | NDArray[np.float32],
    ir: Tensor | NDArray[np.float32],
    vis: Tensor | NDArray[np.float32],
    gradient: Tensor | NDArray[np.float32] | None,
    *,
    magnitude: float,
    squared: bool,
    angle: float,
    direction: float,
    scale_weights: Sequence[float],
    max_magnitude: float,
    angle_epsilon: float,
    threads: int,
) -> list[float]: ...
def cell_change(frame: NDArray[np.uint8], state: NDArray[np.float32], *, threads: int = 0) -> NDArray[np.float32]: ...
def luminance_bgr(bgr: NDArray[np.uint8]) -> NDArray[np.float32]: ...
def replace_luminance_bgr(
    bgr: NDArray[np.uint8], fused: NDArray[np.float32], *, threads: int = 0
) -> NDArray[np.uint8]: ...
def ssim(
    image: Tensor | NDArray[np.float32],
    reference: Tensor | NDArray[np.float32],
    gradient: Tensor | NDArray[np.float32] | None,
    *,
    window: Sequence[float],
    c1: float,
    c2: float,
    threads: int,
) -> float: ...
def temporal_step(
    fused: NDArray[np.uint8], state: NDArray[np.float32], share: NDArray[np.float32], *, threads: int = 0
) -> None: ...

class WarpMap:
    def __init__(
        self, inverse: NDArray[np.float64], *, source: tuple[int, int], target: tuple[int, int], stretch: bool
    ) -> None: ...
    @property
    def source(self) -> tuple[int, int]: ...
    @property
    def target(self) -> tuple[int, int]: ...
    @property
    def offsets(self) -> NDArray[np.int32]: ...
    @property
    def right(self) -> NDArray[np.uint8]: ...
    @property
    def down(self) -> NDArray[np.uint8]: ...
    @property
    def inside_from(self) -> NDArray[np.int32]: ...
    @property
    def inside_to(self) -> NDArray[np.int32]: ...

def warp_pair(
    table: WarpMap,
    ir: Image,
    vis: NDArray[np.uint8],
    ir_input: NDArray[np.float32],
    vis_input: NDArray[np.float32],
    *,
    low: float,
    high: float,
    threads: int = 0,
) -> None: ...
