"""Random changes to a training pair that keep its two images registered."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgefuse.errors import UsageError

__all__ = ["Augmentation", "complementary_masks"]

Plane = NDArray[np.float32]  # [H, W] in [0, 1]


@dataclass(frozen=True)
class Augmentation:
    """How training samples are drawn from a pair.

    Attributes:
        crop_px: Side of the square crop; a smaller image is reflected at its borders up to it.
        flip: Mirror left-right with probability a half, and upside down likewise.
        rotate: Turn by 0, 90, 180 or 270°, each as likely.
        ir_gain: Range of a factor on the infrared image, drawn evenly on a logarithmic scale.
        ir_gamma: Range of an exponent on the infrared image, drawn likewise: cameras and their gain control differ.
        vis_gain: Range of a factor on the visible image, drawn likewise: night and day.
        ir_stretch: Probability of stretching the infrared crop to its full range, as automatic gain control does.
        vis_haze: Probability of laying a smooth bright veil over the visible image, as smoke, fog and glare do.
        vis_smoke: Probability of a dense white cloud over the visible image, where the infrared one is hottest.
        mask_px: Side of the square in which complementary masks hide each pixel of one image (AngularFuse Eq. 5), or 0.
    """

    crop_px: int = 128
    flip: bool = True
    rotate: bool = True
    ir_gain: tuple[float, float] = (1.0, 1.0)
    ir_gamma: tuple[float, float] = (1.0, 1.0)
    vis_gain: tuple[float, float] = (1.0, 1.0)
    ir_stretch: float = 0.0
    vis_haze: float = 0.0
    vis_smoke: float = 0.0
    mask_px: int = 0

    def __post_init__(self) -> None:
        if self.crop_px < 1:
            raise UsageError(f"augmentation: crop_px must be at least 1, not {self.crop_px}")
        if not 0 <= self.mask_px <= self.crop_px:
            raise UsageError(f"augmentation: mask_px must lie between 0 and crop_px={self.crop_px}, not {self.mask_px}")
        for name in ("ir_gain", "ir_gamma", "vis_gain"):
            bounds = tuple(getattr(self, name))
            if len(bounds) != 2 or not 0 < bounds[0] <= bounds[1]:
                raise UsageError(f"augmentation: {name} must be two positive numbers in order, not {bounds}")
            object.__setattr__(self, name, bounds)
        for name in ("ir_stretch", "vis_haze", "vis_smoke"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"augmentation: {name} is a probability, not {getattr(self, name)}")

    def apply(self, ir: NDArray[np.uint8], vis: NDArray[np.uint8], random: np.random.Generator) -> tuple[Plane, Plane]:
        """Draw a crop of a pair and change it.

        Args:
            ir: Infrared luminance.  # [H, W]
            vis: Visible luminance.  # [H, W]
            random: Source of all randomness.

        Returns:
            The infrared and the visible crop in [0, 1].  # [crop_px, crop_px]
        """
        cropped = [_crop(image, self.crop_px, draw) for image, draw in zip((ir, vis), _same_draws(random), strict=True)]
        turned = [_turn(image, self, draw) for image, draw in zip(cropped, _same_draws(random), strict=True)]
        ir_unit, vis_unit = (np.ascontiguousarray(image, np.float32) / np.float32(255) for image in turned)
        if random.random() < self.ir_stretch:
            ir_unit = _stretch(ir_unit)
        gain, gamma = _log_uniform(self.ir_gain, random), _log_uniform(self.ir_gamma, random)
        ir_unit = np.clip(gain * ir_unit**gamma, 0, 1)
        vis_unit = np.clip(_log_uniform(self.vis_gain, random) * vis_unit, 0, 1)
        if random.random() < self.vis_haze:
            vis_unit = _veil(vis_unit, random)
        # Nothing is drawn where there is no smoke: recipes without it keep their samples.
        if self.vis_smoke and random.random() < self.vis_smoke:
            vis_unit = _smoke(vis_unit, ir_unit, random)
        return ir_unit.astype(np.float32), vis_unit.astype(np.float32)


def complementary_masks(shape: tuple[int, int], *, mask_px: int, random: np.random.Generator) -> tuple[Plane, Plane]:
    """Draw the complementary masks of AngularFuse (§III-B, Eq. 5).

    In a square of side ``mask_px`` at a random place each pixel is hidden, with even odds, from one of the two images;
    what one image misses there the other has. Outside the square nothing is hidden.

    Args:
        shape: Height and width of the images.
        mask_px: Side of the square; the paper calls it k and does not state it.
        random: Source of all randomness.

    Returns:
        Factors of 0 and 1 for the infrared and for the visible image.  # [H, W]
    """
    height, width = shape
    side = min(mask_px, height, width)
    top, left = random.integers(0, height - side + 1), random.integers(0, width - side + 1)
    hidden = random.integers(0, 2, (side, side)).astype(np.float32)
    ir, vis = np.ones(shape, np.float32), np.ones(shape, np.float32)
    ir[top : top + side, left : left + side] = hidden
    vis[top : top + side, left : left + side] = 1 - hidden
    return ir, vis


def _same_draws(random: np.random.Generator) -> tuple[np.random.Generator, np.random.Generator]:
    """Two generators with equal draws, so that both images of a pair get the same crop and turn."""
    seed = int(random.integers(0, 2**63))
    return np.random.default_rng(seed), np.random.default_rng(seed)


def _crop(image: NDArray[np.uint8], side: int, random: np.random.Generator) -> NDArray[np.uint8]:
    """Cut a random square, after reflecting an image that is too small at its lower and right border."""
    missing = [max(0, side - length) for length in image.shape]
    if any(missing):
        border = cv2.BORDER_REFLECT
        image = np.asarray(cv2.copyMakeBorder(image, 0, missing[0], 0, missing[1], border), np.uint8)
    top, left = (int(random.integers(0, length - side + 1)) for length in image.shape)
    return image[top : top + side, left : left + side]


def _turn(image: NDArray[np.uint8], augmentation: Augmentation, random: np.random.Generator) -> NDArray[np.uint8]:
    if augmentation.flip:
        image = image[:, ::-1] if random.integers(2) else image
        image = image[::-1] if random.integers(2) else image
    return np.rot90(image, int(random.integers(4))) if augmentation.rotate else image


def _stretch(image: Plane) -> Plane:
    low, high = np.percentile(image, (0.5, 99.5))
    # A nearly flat crop holds only noise; stretching it would teach the network to show noise.
    return np.asarray(np.clip((image - low) / max(float(high - low), 0.25), 0, 1), np.float32)


def _veil(image: Plane, random: np.random.Generator) -> Plane:
    """Blend towards a bright level by a smooth opacity: light scattered by smoke or fog adds, and hides texture."""
    coarse = random.random((5, 5)).astype(np.float32)
    smooth = cv2.resize(coarse, image.shape[::-1], interpolation=cv2.INTER_CUBIC)
    # The steeper the slope, the sharper the edge of the cloud; its middle is as dense as smoke can be, or a thin haze.
    slope = random.uniform(1.0, 4.0)
    # The square root makes dense and bright clouds common: they are what hides a person.
    opacity = np.clip(0.5 + slope * (smooth - 0.5), 0, 1) * np.sqrt(random.uniform(0.2, 1.0))
    level = np.sqrt(random.uniform(0.25, 1.0))
    return np.asarray(image * (1 - opacity) + level * opacity, np.float32)


def _smoke(vis: Plane, ir: Plane, random: np.random.Generator) -> Plane:
    """Hide the hottest place behind a white cloud with a torn edge, as a person lies in a smoke screen."""
    height, width = vis.shape
    spot = max(1, min(vis.shape) // 12)
    warmth = cv2.blur(ir, (spot, spot)) + 0.05 * random.random((height, width)).astype(np.float32)
    row, column = np.unravel_index(int(np.argmax(warmth)), vis.shape)
    radii = min(vis.shape) * random.uniform(0.15, 0.8, 2)
    rows, columns = np.ogrid[:height, :width]
    distance = np.hypot((rows - row) / radii[0], (columns - column) / radii[1])
    tears = cv2.resize(random.random((9, 9)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    # 2 at the spot and 0 on the rim, so that the middle is closed whatever the tears are.
    cloud = 2 * (1 - distance) + 1.5 * (tears - 0.5)
    opacity = np.clip(cloud * random.uniform(1.0, 6.0), 0, 1) * random.uniform(0.85, 1.0)
    level = random.uniform(0.6, 1.0)
    return np.asarray(vis * (1 - opacity) + level * opacity, np.float32)


def _log_uniform(bounds: tuple[float, float], random: np.random.Generator) -> float:
    low, high = np.log(bounds)
    return float(np.exp(random.uniform(low, high)))
