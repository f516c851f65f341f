"""Types of the arrays that cross the public API."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Image"]

Image = NDArray[np.integer[Any] | np.floating[Any]]
"""An image of any bit depth: ``(H, W)`` or ``(H, W, 3)`` BGR."""
