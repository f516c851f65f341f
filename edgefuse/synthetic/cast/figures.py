"""Walking people as both cameras see them: lit by the street in the visible, warm in the infrared."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgefuse.synthetic.cast.outfits import Outfit
from edgefuse.synthetic.cast.skeleton import SKIN_CELSIUS, Limb, body
from edgefuse.synthetic.drawing import Camera, Floats, Lighting, Sprite, noise_tile

__all__ = ["draw_person"]

_SMALLEST_PX = 4.0
_EVENLY = {count: np.linspace(0.0, 1.0, count) for count in (2, 3, 7)}


@dataclass(frozen=True)
class _Canvas:
    """What is known of each pixel of a figure.

    Args:
        label: Which limb is in front.  # [h, w]
        across: Horizontal part of the surface's normal, to the right.  # [h, w]
        upward: Vertical part of it.  # [h, w]
        alpha: How much of the pixel the figure covers.  # [h, w]
    """

    label: NDArray[np.uint8]
    across: Floats
    upward: Floats
    alpha: Floats

    @classmethod
    def empty(cls, rows: int, columns: int) -> _Canvas:
        """A canvas with nothing on it."""
        across, upward, alpha = np.zeros((3, rows, columns), np.float32)
        return cls(np.zeros((rows, columns), np.uint8), across, upward, alpha)

    def lay(self, number: int, ends: list[list[float]], radii: Floats, blunt: float) -> None:  # [K]
        """Lay one limb over the figure; only the outline against the background is softened to a pixel."""
        rows, columns = self.label.shape
        (u0, v0), (u1, v1) = ends
        reach = float(radii.max()) + 1.0
        left, top = max(0, int(min(u0, u1) - reach)), max(0, int(min(v0, v1) - reach))
        right, bottom = min(columns, int(max(u0, u1) + reach) + 2), min(rows, int(max(v0, v1) + reach) + 2)
        if left >= right or top >= bottom:
            return
        at = slice(top, bottom), slice(left, right)
        dx = np.arange(left, right, dtype=np.float32)[None, :] - np.float32(u0)
        dy = np.arange(top, bottom, dtype=np.float32)[:, None] - np.float32(v0)
        ax, ay = u1 - u0, v1 - v0
        squared = max(ax * ax + ay * ay, 1e-6)
        along = dx * np.float32(ax / squared) + dy * np.float32(ay / squared)
        part = np.minimum(np.maximum(along, 0.0), 1.0)
        nearest = part - np.float32(blunt) * (along - part) if blunt else part
        away_x, away_y = dx - nearest * np.float32(ax), dy - nearest * np.float32(ay)
        radius = np.interp(part, _EVENLY[len(radii)], radii).astype(np.float32)
        beyond = cv2.magnitude(away_x, away_y) - radius
        np.maximum(self.alpha[at], np.minimum(0.5 - beyond, 1.0), out=self.alpha[at])
        inside = beyond < 0.5
        inverse = 1.0 / np.maximum(radius, np.float32(0.6))
        np.copyto(self.label[at], number, where=inside)
        np.copyto(self.across[at], away_x * inverse, where=inside)
        np.copyto(self.upward[at], -away_y * inverse, where=inside)


def draw_person(
    camera: Camera, lighting: Lighting, outfit: Outfit, *, foot: Floats, heading: float, phase: float
) -> Sprite | None:
    """A person as both cameras see them.

    Args:
        camera: The view.
        lighting: What lights them.
        outfit: Who they are.
        foot: Point of the ground below them.  # [3]
        heading: Direction that they walk in, radians from the street's axis to the right.
        phase: Of the walking cycle, in radians.

    Returns:
        The sprite, or None when they are behind the camera, outside the picture or too small to see.
    """
    if camera.to_camera(foot[None])[0, 2] < 1.0:
        return None
    foot_u, foot_v, depth = (float(c) for c in camera.project(foot[None])[0])
    scale = camera.focal_px / depth
    size = outfit.height * scale
    left, top = int(foot_u - 0.40 * size) - 2, int(foot_v - 1.03 * size) - 2
    rows, columns = int(1.06 * size) + 5, int(0.80 * size) + 5
    if size < _SMALLEST_PX or left >= camera.width or left + columns <= 0 or top >= camera.height or top + rows <= 0:
        return None
    limbs = body(outfit, phase)
    canvas = _Canvas.empty(rows, columns)
    corner = np.array([foot_u - left, foot_v - top], np.float32)
    _pose(canvas, limbs, heading - camera.yaw_radians, scale, corner)
    radiance, temp = _shade(canvas, limbs, outfit, camera=camera, lighting=lighting, foot=foot)
    return Sprite(top, left, canvas.alpha, radiance, temp, depth, foot_v, person=True)


def _pose(canvas: _Canvas, limbs: list[Limb], turn: float, scale: float, foot: Floats) -> None:
    """Lay the limbs over the canvas from far to near, turned about the vertical by an angle."""
    axes = np.array([[np.cos(turn), 0, -np.sin(turn)], [0, 1, 0], [np.sin(turn), 0, np.cos(turn)]], np.float32)
    joints = np.array([(limb.start, limb.end) for limb in limbs], np.float32) @ axes  # [N, 2, 3]: right, up, away
    order = joints[:, :, 2].mean(axis=1) + np.array([limb.order for limb in limbs])
    points = joints[:, :, :2] * np.array([scale, -scale], np.float32) + foot
    for index in np.argsort(-order).tolist():
        limb = limbs[index]
        widths = np.array(limb.widths, np.float32)
        depths = widths if limb.depths is None else np.array(limb.depths, np.float32)
        radii = np.float32(scale) * np.hypot(widths * np.float32(np.cos(turn)), depths * np.float32(np.sin(turn)))
        canvas.lay(index, points[index].tolist(), radii, limb.blunt)


def _shade(
    canvas: _Canvas, limbs: list[Limb], outfit: Outfit, *, camera: Camera, lighting: Lighting, foot: Floats
) -> tuple[Floats, Floats]:
    """Radiance and temperature: light of the lamps, folds of cloth that each camera sees in its own way."""
    across, upward = canvas.across, canvas.upward
    toward = np.sqrt(np.clip(1.0 - across**2 - upward**2, 0.02, 1.0))
    rows, columns = across.shape
    start = outfit.seed % 97
    tile = noise_tile(outfit.seed % 2, slope=1.1)[start : start + 110, start : start + 90]
    folds = cv2.resize(tile, (columns, rows), interpolation=cv2.INTER_LINEAR)

    light = np.empty((rows, columns, 3), np.float32)
    light[:] = np.array(lighting.ambient, np.float32) * 0.7
    chest = foot + np.array([0.0, 0.65 * outfit.height, 0.0], np.float32)
    for direction, colour in lighting.arriving(chest, count=4):
        right, up, away = float(direction @ camera.right), float(direction[1]), float(direction @ camera.forward)
        facing = np.maximum(right * across + up * upward - away * toward + np.float32(0.08), 0.0)
        light += facing[..., None] * colour
    radiance = np.array([limb.albedo for limb in limbs], np.float32)[canvas.label] * light
    radiance *= (1.0 + 0.16 * folds)[..., None]

    celsius = np.array([limb.celsius for limb in limbs], np.float32)
    folding = np.where(celsius < SKIN_CELSIUS, np.float32(1.1), np.float32(0.2))
    # A surface seen at a grazing angle emits less and mirrors the cold surroundings.
    temp = celsius[canvas.label] + folding[canvas.label] * folds - 2.6 * (1.0 - toward) ** 2
    return np.asarray(radiance, np.float32), np.asarray(temp, np.float32)
