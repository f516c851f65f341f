from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

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
def luminance_bgr(bgr: NDArray[np.uint8]) -> NDArray[np.float32]: ...
def replace_luminance_bgr(bgr: NDArray[np.uint8], fused: NDArray[np.float32]) -> NDArray[np.uint8]: ...
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
