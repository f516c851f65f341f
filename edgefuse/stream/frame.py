"""One picture of one camera, with its times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgefuse.arrays import Image

__all__ = ["Frame", "Role"]

Role = Literal["ir", "vis"]


@dataclass(frozen=True)
class Frame:
    """A captured frame.

    Args:
        role: Which camera took it.
        image: ``(H, W)`` uint8 or uint16, or ``(H, W, 3)`` BGR uint8.
        sequence: Number among the frames of this camera, from 0; one that is missing was dropped before it came here.
        pts_seconds: Presentation time that the source states, or None.
        captured_seconds: When it was captured, on the monotonic clock of the machine, without the camera's offset.
        changed_seconds: Capture time of the first frame with this content. A shutter that is closed repeats
            its last frame, whose age counts from here.
        offset_seconds: The camera's offset, taken off both times.
    """

    role: Role
    image: Image
    sequence: int
    pts_seconds: float | None
    captured_seconds: float
    changed_seconds: float
    offset_seconds: float = 0.0
