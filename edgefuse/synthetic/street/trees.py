"""Street trees: a trunk, boughs and leaves drawn once into a picture that stands upright in the street."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from edgefuse.synthetic.drawing import Floats, Hit, Surface, sample_image

__all__ = ["Tree"]

_ROWS, _COLUMNS = 512, 448
_KINDS = 4


@lru_cache(maxsize=_KINDS)
def _drawing(kind: int) -> Floats:
    """Coverage, leafiness and shade of a tree that fills the picture."""  # [h, w, 3]
    rng = np.random.default_rng([kind, 0x7EE])
    picture = np.zeros((_ROWS, _COLUMNS, 3), np.float32)
    twigs: list[tuple[float, float]] = []

    def bough(x: float, y: float, angle: float, length: float, thick: float) -> None:
        tip = x + float(np.sin(angle)) * length, y - float(np.cos(angle)) * length
        shade = 0.35 + 0.25 * float(rng.random())
        ends = (round(x), round(y)), (round(tip[0]), round(tip[1]))
        cv2.line(picture, *ends, (1.0, 0.0, shade), max(1, round(thick)), cv2.LINE_AA)
        if thick < 6.5:
            twigs.append(tip)
        if thick < 1.7:
            return
        for spread in rng.uniform(-0.75, 0.75, 2 if rng.random() < 0.55 else 3).tolist():
            grown = length * float(rng.uniform(0.68, 0.84)), thick * float(rng.uniform(0.54, 0.70))
            bough(*tip, angle * 0.72 + spread, *grown)

    bough(_COLUMNS / 2, _ROWS, float(rng.uniform(-0.05, 0.05)), _ROWS * 0.245, _ROWS * 0.030)
    _leaves(picture, np.array(twigs), rng)
    return picture


def _leaves(picture: Floats, twigs: Floats, rng: np.random.Generator) -> None:
    """Leaves around the twigs, lighter toward the top of each clump, none beyond a rounded crown."""
    chosen = twigs[rng.integers(0, len(twigs), 2600)]
    places = chosen + rng.normal(0.0, 15.0, chosen.shape)
    lit = np.clip(0.5 + 0.25 * rng.standard_normal(len(places)) - 0.012 * (places - chosen)[:, 1], 0.06, 1.0)
    around = np.hypot((places[:, 0] - _COLUMNS / 2) / (_COLUMNS * 0.47), (places[:, 1] - _ROWS * 0.37) / (_ROWS * 0.36))
    inside = around < 1.0 + 0.05 * rng.standard_normal(len(places))
    sizes = rng.integers((4, 2), (8, 5), (len(places), 2))
    turns = rng.uniform(0, 180, len(places))
    for (x, y), shade, size, turn in zip(
        places[inside].tolist(), lit[inside].tolist(), sizes[inside].tolist(), turns[inside].tolist(), strict=True
    ):
        cv2.ellipse(picture, (round(x), round(y)), size, turn, 0, 360, (1.0, 1.0, shade), -1)


@dataclass(frozen=True)
class Tree:
    """A tree; s runs across it and t up, in metres.

    Args:
        seed: Which tree: of a few, as drawn or the other way round.
        size: Width and height in metres.
    """

    seed: int
    size: tuple[float, float]

    def __call__(self, hit: Hit) -> Surface:
        """The tree at N places."""
        across = hit.s / self.size[0]
        if self.seed // _KINDS % 2:
            across = 1.0 - across
        seen = sample_image(_drawing(self.seed % _KINDS), across, 1.0 - hit.t / self.size[1])
        leaf, shade = seen[:, 1:2], seen[:, 2:3]
        bark = np.array([0.05, 0.065, 0.08], np.float32)
        green = np.array([0.030, 0.095, 0.070], np.float32)
        albedo = (bark + leaf * (green - bark)) * (0.25 + 1.15 * shade)
        temp = 8.6 - 1.6 * leaf[:, 0] + 1.3 * (shade[:, 0] - 0.5)
        return Surface(
            albedo=np.asarray(albedo, np.float32),
            temp_celsius=np.asarray(temp, np.float32),
            opaque=seen[:, 0] > 0.5,
        )
