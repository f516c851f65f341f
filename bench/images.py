"""The images that every row is measured on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["network_inputs", "sample_pair"]


def sample_pair(batch: int, imgsz: tuple[int, int], *, seed: int = 0) -> tuple[NDArray[Any], NDArray[Any]]:
    """A pair of structured 8-bit images, the same for every runtime and process.

    Args:
        batch: Number of pairs.
        imgsz: Height and width in pixels.
        seed: Another seed gives other images.

    Returns:
        Infrared luminance and visible BGR, uint8.  # [B, H, W] and [B, H, W, 3]
    """
    height, width = imgsz
    random = np.random.default_rng(seed)
    rows = np.linspace(0.0, 1.0, height)[:, None]
    columns = np.linspace(0.0, 1.0, width)[None, :]
    planes = []
    for _ in range(4 * batch):
        waves = np.zeros((height, width))
        for frequency in (3.0, 11.0, 37.0):
            angle, phase = random.uniform(0.0, np.pi), random.uniform(0.0, 2 * np.pi)
            waves += np.sin(2 * np.pi * frequency * (np.cos(angle) * rows + np.sin(angle) * columns) + phase)
        noisy = 0.5 + waves / 8.0 + random.normal(0.0, 0.03, size=waves.shape)
        planes.append((np.clip(noisy, 0.0, 1.0) * 255.0).astype(np.uint8))
    stack = np.stack(planes).reshape(batch, 4, height, width)
    return stack[:, 0], np.ascontiguousarray(stack[:, 1:].transpose(0, 2, 3, 1))


def network_inputs(ir: NDArray[Any], vis: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The network's inputs for 8-bit images, as the runtime prepares them.

    Args:
        ir: Infrared, uint8.  # [B, H, W]
        vis: Visible BGR, uint8.  # [B, H, W, 3]

    Returns:
        Infrared and visible luminance in [0, 1].  # [B, 1, H, W]
    """
    from edgefuse.fuser import luminance
    from edgefuse.thermal import to_unit

    ir_planes = np.stack([to_unit(image) for image in ir])[:, None]
    vis_planes = np.stack([luminance(image) for image in vis])[:, None]
    return np.ascontiguousarray(ir_planes, np.float32), np.ascontiguousarray(vis_planes, np.float32)
