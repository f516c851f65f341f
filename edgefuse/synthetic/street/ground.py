"""Carriageway and pavements: asphalt with worn paint and puddles, paving stones, kerbs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgefuse.synthetic.drawing import (
    Colour,
    Floats,
    Hit,
    Surface,
    fractal,
    hashed,
    lettering,
    sample_image,
    smoothstep,
)

__all__ = ["CROSSING", "KERB_METRES", "ROAD_LEFT", "ROAD_RIGHT", "Carriageway", "Pavement", "kerbstone"]

ROAD_LEFT = -5.0
ROAD_RIGHT = 3.2
_CENTRE_LINE = 0.1
_PARKING_LINE = -2.95
KERB_METRES = 0.14
CROSSING = (7.4, 10.8)

_ASPHALT_CELSIUS = 9.6
_PAVEMENT_CELSIUS = 7.6
_WORD_X = (0.7, 2.7)
_WORD_Z = (3.75, 5.7)


def _stripe(x: Floats, centre: float, width: float, footprint: Floats) -> Floats:
    """Coverage of a painted stripe, its edges softened to the sample."""
    return np.asarray(np.clip((width / 2 - np.abs(x - centre)) / footprint + 0.5, 0.0, 1.0), np.float32)


def _span(x: Floats, low: float, high: float, footprint: Floats) -> Floats:
    """Coverage of the interval from low to high."""
    return _stripe(x, (low + high) / 2, high - low, footprint)


@dataclass(frozen=True)
class Carriageway:
    """The road; s runs along the street and t across it.

    Args:
        seed: Which puddles, patches and wear.
        word: Painted on the right-hand lane.
        origin: World z and x where s = t = 0.
    """

    seed: int
    word: str
    origin: tuple[float, float]

    def __call__(self, hit: Hit) -> Surface:
        """The road at N places."""
        z, x, size = hit.s + np.float32(self.origin[0]), hit.t + np.float32(self.origin[1]), hit.footprint
        fine = fractal(self.seed, z, x, slope=0.35, texels_per_metre=55.0) * np.clip(0.02 / size, 0.0, 1.0)
        broad = fractal(self.seed + 1, z, x, slope=1.2, texels_per_metre=14.0)
        blotch = fractal(self.seed + 2, z, x, slope=1.6, texels_per_metre=11.0)
        tracks = np.exp(-(((np.abs(x - 1.65) - 0.75) / 0.32) ** 2)) + np.exp(-(((np.abs(x + 1.45) - 0.75) / 0.32) ** 2))
        cracks = smoothstep(0.035, 0.0, np.abs(broad + 0.25 * blotch - 0.35) + 0.5 * size)
        patch = _span(z, 13.4, 16.2, size) * _span(x, 0.6, 2.9, size)
        tone = 0.062 * (1.0 + 0.30 * fine + 0.16 * broad - 0.12 * tracks) * (1.0 - 0.45 * cracks) * (1.0 - 0.30 * patch)
        albedo = np.maximum(tone, 0.008)[:, None] * np.array([1.04, 1.0, 0.98], np.float32)

        white = (self._paint(x, z, size) * smoothstep(-2.1, -0.4, fine + 0.9 * broad - 0.5 * tracks))[:, None]
        albedo += white * (np.array([0.55, 0.58, 0.59], np.float32) - albedo)
        cover, ring = _manhole(x, z, size)
        puddle = smoothstep(0.45, 1.0, blotch + 0.25 * broad)
        albedo *= ((1.0 - 0.45 * ring) * (1.0 - 0.45 * puddle))[:, None]
        # Tyres and the sewer warm the road, evaporation cools puddles; paint has the asphalt's temperature.
        temp = _ASPHALT_CELSIUS + 0.45 * broad + 0.12 * fine + 0.9 * tracks - 0.8 * patch
        temp += 2.6 * cover - 1.6 * puddle + 0.5 * cracks
        return Surface(
            albedo=np.asarray(albedo, np.float32),
            temp_celsius=np.asarray(temp, np.float32),
            wet=np.asarray(0.38 + 0.27 * smoothstep(-0.6, 0.5, blotch) + 0.35 * puddle, np.float32),
        )

    def _paint(self, x: Floats, z: Floats, size: Floats) -> Floats:
        """Coverage of white paint."""
        along = size * 3.0
        bars = _stripe((x + 0.25) % 1.0, 0.5, 0.5, size) * _span(x, ROAD_LEFT + 0.5, ROAD_RIGHT - 0.3, size)
        crossing = bars * _span(z, *CROSSING, along)
        outside = 1.0 - _span(z, CROSSING[0] - 1.6, CROSSING[1] + 1.6, along)
        dashes = _stripe(z % 6.0, 3.0, 3.2, along) * _stripe(x, _CENTRE_LINE, 0.14, size) * outside
        edge = _stripe(x, _PARKING_LINE, 0.11, size) * outside
        bays = _stripe(z % 5.6, 2.8, 0.11, along) * _span(x, ROAD_LEFT, _PARKING_LINE, size) * (z > CROSSING[1] + 1.6)
        stop = _span(z, CROSSING[0] - 1.2, CROSSING[0] - 0.85, along) * _span(x, 0.2, ROAD_RIGHT - 0.25, size)
        stop += _span(z, CROSSING[1] + 0.95, CROSSING[1] + 1.35, along) * _span(x, _PARKING_LINE, 0.0, size)
        return np.asarray(np.clip(crossing + dashes + edge + bays + stop + self._word(x, z), 0.0, 1.0), np.float32)

    def _word(self, x: Floats, z: Floats) -> Floats:
        """Coverage of the word on the right-hand lane."""
        (left, right), (near, far) = _WORD_X, _WORD_Z
        picture = lettering(self.word, height=512, aspect=0.62, weight=0.2, margin=0.02)[:, :, None]
        ink = sample_image(picture, (x - left) / (right - left), (far - z) / (far - near)).reshape(x.shape)
        return np.asarray(ink * ((x > left) & (x < right) & (z > near) & (z < far)), np.float32)


def _manhole(x: Floats, z: Floats, size: Floats) -> tuple[Floats, Floats]:
    """Coverage of the manhole covers, and how dark they and their rims are."""
    radius = np.hypot(x + 1.9, (z % 19.0) - 14.0)
    cover = np.clip((0.36 - radius) / size + 0.5, 0.0, 1.0)
    rim = np.clip((0.05 - np.abs(radius - 0.34)) / size + 0.5, 0.0, 1.0)
    return np.asarray(cover, np.float32), np.asarray(np.maximum(rim, 0.45 * cover), np.float32)


@dataclass(frozen=True)
class Pavement:
    """Paving stones; s runs along the street and t across it.

    Args:
        seed: Which stones.
        stone_metres: Length and width of a stone.
        tint: Albedo in linear BGR.
    """

    seed: int
    stone_metres: tuple[float, float]
    tint: Colour

    def __call__(self, hit: Hit) -> Surface:
        """The pavement at N places."""
        length, width = self.stone_metres
        lane = np.floor(hit.t / width)
        shifted = hit.s / length + 0.5 * (lane % 2)
        stone = np.floor(shifted)
        detail = np.clip(1.6 - hit.footprint / (0.25 * width), 0.0, 1.0)
        shade = (hashed(stone, lane, seed=self.seed) - 0.5) * detail
        along = np.abs(shifted - stone - 0.5) * length
        across = np.abs(hit.t / width - lane - 0.5) * width
        joint = np.maximum(smoothstep(0.022, 0.004, length / 2 - along), smoothstep(0.022, 0.004, width / 2 - across))
        joint *= np.clip(0.02 / hit.footprint, 0.0, 1.0)
        fine = fractal(self.seed, hit.s, hit.t, slope=0.5, texels_per_metre=60.0)
        broad = fractal(self.seed + 3, hit.s, hit.t, slope=1.4, texels_per_metre=12.0)
        tone = (1.0 + 0.34 * shade + 0.13 * broad + 0.07 * fine) * (1.0 - 0.6 * joint)
        albedo = np.maximum(tone, 0.1)[:, None] * np.array(self.tint, np.float32)
        temp = _PAVEMENT_CELSIUS + 0.45 * broad + 0.45 * shade + 0.6 * joint
        return Surface(
            albedo=albedo.astype(np.float32),
            temp_celsius=temp.astype(np.float32),
            wet=np.asarray(0.10 + 0.22 * smoothstep(0.4, 1.4, broad), np.float32),
        )


def kerbstone(hit: Hit) -> Surface:
    """Granite kerb; s runs along the street."""
    joint = smoothstep(0.03, 0.008, np.abs(hit.s % 1.0 - 0.5) * -1 + 0.5) * np.clip(0.03 / hit.footprint, 0, 1)
    tone = (0.26 + 0.05 * hashed(np.floor(hit.s), np.zeros(len(hit)), seed=7)) * (1 - joint)
    return Surface(
        albedo=np.asarray(np.maximum(tone, 0.04)[:, None] * np.array([1.0, 0.99, 0.96]), np.float32),
        temp_celsius=np.asarray(8.8 - 0.5 * joint, np.float32),
    )
