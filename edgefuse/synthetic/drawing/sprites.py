"""Pictures of moving things: what both cameras see of one of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from edgefuse.synthetic.drawing.camera import Floats

__all__ = ["Sprite", "Window"]

Window = tuple[slice, slice]


@dataclass(frozen=True)
class Sprite:
    """One thing as seen by the camera.

    Args:
        top: First row in the image; may lie outside it.
        left: First column.
        alpha: Coverage.  # [h, w]
        radiance: Visible light, linear BGR, valid where alpha > 0.  # [h, w, 3]
        temp_celsius: Apparent temperature, valid where alpha > 0.  # [h, w]
        depth: Metres along the optical axis.
        foot_row: Row where it stands on the ground, about which wet ground mirrors it.
        person: True for people, whose pixels are the target mask.
    """

    top: int
    left: int
    alpha: Floats
    radiance: Floats
    temp_celsius: Floats
    depth: float
    foot_row: float
    person: bool

    def window(self, height: int, width: int) -> tuple[Window, Window] | None:
        """Where the sprite meets an image: slices of the image and of the sprite, or None outside it."""
        rows, columns = self.alpha.shape
        top, left = max(0, self.top), max(0, self.left)
        bottom, right = min(height, self.top + rows), min(width, self.left + columns)
        if top >= bottom or left >= right:
            return None
        inner = slice(top - self.top, bottom - self.top), slice(left - self.left, right - self.left)
        return (slice(top, bottom), slice(left, right)), inner

    def mirrored(self) -> Sprite:
        """What level water at its foot shows of it."""
        return replace(
            self,
            top=round(2.0 * self.foot_row) - (self.top + self.alpha.shape[0] - 1),
            alpha=self.alpha[::-1],
            radiance=self.radiance[::-1],
            temp_celsius=self.temp_celsius[::-1],
        )

    def faded(self, opacity: float) -> Sprite:
        """The same, more transparent."""
        return self if opacity >= 1.0 else replace(self, alpha=self.alpha * np.float32(opacity))
