"""Infrared and visible frames to network inputs in one pass: gain, warp, luminance and padding.

Example:
    >>> import numpy as np
    >>> from edgefuse.kernels.warp import PairWarp
    >>> warp = PairWarp(np.eye(3), ir_size=(30, 40), vis_size=(30, 40))
    >>> ir, vis = np.full((30, 40), 500, np.uint16), np.zeros((30, 40, 3), np.uint8)
    >>> ir_input, vis_input = warp(ir, vis, low=0, high=1000, size=(32, 40))
    >>> ir_input.shape, float(ir_input.mean())
    ((1, 1, 32, 40), 0.5)
"""

from edgefuse.kernels.warp.pair_warp import PairWarp

__all__ = ["PairWarp"]
