"""Labelled pictures side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgefuse.arrays import Image
from edgefuse.errors import InputError

__all__ = ["contact_sheet"]

_GAP_PX = 4
_BACKGROUND = 24
_TEXT_COLOUR = (230, 230, 230)
# Captions are drawn larger and reduced: Hershey strokes of one pixel are ragged.
_OVERSAMPLE = 4


def contact_sheet(
    panels: Sequence[tuple[str, Image]], *, columns: int = 3, height_px: int | None = None
) -> NDArray[np.uint8]:
    """Lay out pictures in a grid, each under its caption.

    Args:
        panels: Caption and picture, row by row: ``(H, W)`` or ``(H, W, 3)`` BGR, uint8 or uint16. Of 16 bits colour
            shows the high byte; gray, as raw thermal counts are, shows its range from percentile 0.5 to 99.5. All are
            scaled to one height.
        columns: Panels a row.
        height_px: Height of every picture; None takes that of the first.

    Returns:
        BGR uint8 picture.

    Raises:
        InputError: There is no panel, or a picture has another shape or dtype.

    Example:
        >>> import numpy as np
        >>> contact_sheet([("ir", np.zeros((48, 64), np.uint8)), ("vis", np.zeros((48, 64, 3), np.uint8))]).ndim
        3
    """
    if not panels or columns < 1:
        raise InputError("a sheet needs at least one panel and one column")
    height = height_px or panels[0][1].shape[0]
    cells = [_cell(caption, picture, height) for caption, picture in panels]
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    width = max(sum(cell.shape[1] + _GAP_PX for cell in row) for row in rows) + _GAP_PX
    cell_height = cells[0].shape[0]
    sheet = np.full((len(rows) * (cell_height + _GAP_PX) + _GAP_PX, width, 3), _BACKGROUND, np.uint8)
    for index, row in enumerate(rows):
        top, left = _GAP_PX + index * (cell_height + _GAP_PX), _GAP_PX
        for cell in row:
            sheet[top : top + cell_height, left : left + cell.shape[1]] = cell
            left += cell.shape[1] + _GAP_PX
    return sheet


def _cell(caption: str, picture: Image, height: int) -> NDArray[np.uint8]:
    """A picture in colour at the given height, under a bar with its caption."""
    shown = _to_bgr(caption, picture)
    width = max(1, round(shown.shape[1] * height / shown.shape[0]))
    method = cv2.INTER_AREA if height < shown.shape[0] else cv2.INTER_CUBIC
    scaled = shown if shown.shape[:2] == (height, width) else cv2.resize(shown, (width, height), interpolation=method)
    return np.concatenate([_caption_bar(caption, width, height), np.asarray(scaled, np.uint8)])


def _to_bgr(caption: str, picture: Image) -> NDArray[np.uint8]:
    if picture.dtype == np.uint16:
        eight_bit = _stretched(picture) if picture.ndim == 2 else (picture // 256).astype(np.uint8)
    elif picture.dtype == np.uint8:
        eight_bit = picture.astype(np.uint8)
    else:
        raise InputError(f"panel {caption!r} must be uint8 or uint16, not {picture.dtype}")
    if eight_bit.ndim == 2:
        return np.repeat(eight_bit[..., None], 3, axis=2)
    if eight_bit.ndim == 3 and eight_bit.shape[2] == 3:
        return eight_bit
    raise InputError(f"panel {caption!r} must have shape (H, W) or (H, W, 3), not {picture.shape}")


def _stretched(counts: NDArray[Any]) -> NDArray[np.uint8]:
    """Raw counts in 8 bits: their range is a small part of 16 bits, and a few hot pixels must not set it."""
    low, high = np.percentile(counts, (0.5, 99.5))
    unit = (counts.astype(np.float32) - low) / max(float(high - low), 1.0)
    return np.asarray(np.rint(255.0 * np.clip(unit, 0.0, 1.0)), np.uint8)


def _caption_bar(caption: str, width: int, height: int) -> NDArray[np.uint8]:
    """A dark bar with the caption, its letters a twentieth of the picture's height but legible."""
    bar_height = int(np.clip(height // 14, 16, 48))
    large = np.full((bar_height * _OVERSAMPLE, width * _OVERSAMPLE, 3), _BACKGROUND, np.uint8)
    thickness = max(1, bar_height * _OVERSAMPLE // 16)
    scale = cv2.getFontScaleFromHeight(cv2.FONT_HERSHEY_DUPLEX, bar_height * _OVERSAMPLE // 2, thickness)
    text_width = cv2.getTextSize(caption, cv2.FONT_HERSHEY_DUPLEX, scale, thickness)[0][0]
    origin = (bar_height * _OVERSAMPLE // 4, bar_height * _OVERSAMPLE * 3 // 4)
    scale *= min(1.0, (large.shape[1] - 2 * origin[0] - thickness) / max(1, text_width))
    cv2.putText(large, caption, origin, cv2.FONT_HERSHEY_DUPLEX, scale, _TEXT_COLOUR, thickness, cv2.LINE_AA)
    return np.asarray(cv2.resize(large, (width, bar_height), interpolation=cv2.INTER_AREA), np.uint8)
