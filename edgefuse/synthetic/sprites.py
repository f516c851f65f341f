"""Pictures of moving things: what both cameras see of one of them, and how it is laid over the frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgefuse.synthetic.camera import Floats

__all__ = ["Sprite"]


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

    def window(self, height: int, width: int) -> tuple[tuple[slice, slice], tuple[slice, slice]] | None:
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
        rows = self.alpha.shape[0]
        top = round(2.0 * self.foot_row) - (self.top + rows - 1)
        return Sprite(
            top, self.left, self.alpha[::-1], self.radiance[::-1], self.temp_celsius[::-1], self.depth, self.foot_row, self.person
        )

    def faded(self, opacity: float) -> Sprite:
        """The same, more transparent."""
        alpha = np.asarray(self.alpha * np.float32(opacity), np.float32)
        return Sprite(
            self.top, self.left, alpha, self.radiance, self.temp_celsius, self.depth, self.foot_row, self.person
        )
