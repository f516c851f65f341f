"""What stands in a street: lamps, signs on poles, bollards, cabinets, a park wall and trees."""

from __future__ import annotations

import cv2
import numpy as np

from edgefuse.synthetic.drawing import Light, lettering, linear
from edgefuse.synthetic.street.builder import FRONT_RIGHT, WALL_LEFT, StreetBuilder
from edgefuse.synthetic.street.facades import Wall
from edgefuse.synthetic.street.ground import KERB_METRES, ROAD_LEFT, ROAD_RIGHT
from edgefuse.synthetic.street.houses import STREET_METRES
from edgefuse.synthetic.street.materials import Plain, Plate
from edgefuse.synthetic.street.trees import Tree

__all__ = ["add_lamps", "add_park", "add_road_sign", "add_small_things"]

_SODIUM = np.array([0.26, 0.60, 1.0])
_STEEL = Plain((0.055, 0.06, 0.06), 5.6)
_LAMP_METRES = 6.9


def add_lamps(builder: StreetBuilder) -> None:
    """Street lamps on both sides; the near one on the left is out of order, so that side lies in the dark."""
    for z in np.arange(18.5, 105.0, 21.0).tolist():
        _lamp(builder, ROAD_RIGHT + 0.55, z, reach=-1.9, working=True)
    for z in np.arange(27.0, 115.0, 21.0).tolist():
        _lamp(builder, ROAD_LEFT - 0.55, z, reach=1.9, working=z > 30.0)


def _pole(builder: StreetBuilder, x: float, z: float, *, radius: float, top: float, number: int) -> None:
    """An upright as a square prism."""
    builder.box((x - radius, 0, z - radius), (2 * radius, top, 2 * radius), _STEEL, occluder=number)


def _lamp(builder: StreetBuilder, x: float, z: float, *, reach: float, working: bool) -> None:
    """One lamp with its pole, arm and luminaire."""
    number = builder.occluder(x, z)
    top, head = _LAMP_METRES, x + reach
    _pole(builder, x, z, radius=0.085, top=top, number=number)
    builder.face((min(x, head), top - 0.05, z), (abs(reach), 0, 0), (0, 0.09, 0), _STEEL, occluder=number)
    glass = Plain((0.1, 0.1, 0.1), 21.0, (2.2, 5.2, 8.7)) if working else Plain((0.1, 0.1, 0.1), 5.0)
    builder.face((head - 0.38, top - 0.10, z - 0.1), (0.76, 0, 0), (0, 0.08, 0), glass, occluder=number)
    builder.face((head - 0.38, top - 0.02, z - 0.1), (0.76, 0, 0), (0, 0.10, 0), _STEEL, occluder=number)
    if working:
        builder.lights.append(Light((head, top - 0.1, z), linear(48.0 * _SODIUM), "lamp"))


def add_park(builder: StreetBuilder) -> None:
    """The dark side: a low wall, and trees before and behind it."""
    wall = Wall(builder.seed + 90, (0.10, 0.11, 0.12), "brick", celsius=6.0)
    length = STREET_METRES
    builder.face((WALL_LEFT, 0, length), (0, 0, -length), (0, 1.05, 0), wall)
    builder.face((WALL_LEFT + 0.05, 1.05, length), (0, 0, -length), (0, 0.12, 0), Plain((0.15, 0.15, 0.15), 4.8))
    for number, z in enumerate((13.0, 20.5, 30.5, 39.0, 48.0, 58.0, 70.0)):
        shift, height = float(builder.rng.uniform(-0.8, 0.8)), float(builder.rng.uniform(7.8, 9.6))
        _tree(builder, ROAD_LEFT - 0.75, z + shift, height, number)
    for number in range(7):
        x, height = float(builder.rng.uniform(-17, -11)), float(builder.rng.uniform(8, 11))
        _tree(builder, x, 12.0 + 7.5 * number, height, 20 + number)


def _tree(builder: StreetBuilder, x: float, z: float, height: float, number: int) -> None:
    """One tree, standing about square to the camera."""
    width = 0.875 * height
    turned = np.array([0.97, 0.0, -0.24])
    foot = np.array([x, 0.0, z]) - turned * width / 2
    tree = Tree(builder.seed + number, (width, height))
    occluder = builder.occluder(x, z)
    builder.face(linear(foot), linear(turned * width), (0, height, 0), tree, occluder=occluder, two_sided=True)


def add_road_sign(builder: StreetBuilder) -> None:
    """A speed limit on a pole: its ring and figures are paint, so the infrared shows a blank disc."""
    disc = np.zeros((256, 256), np.float32)
    cv2.circle(disc, (128, 128), 126, 1.0, -1, cv2.LINE_AA)
    ring = disc.copy()
    cv2.circle(ring, (128, 128), 98, 0.0, -1, cv2.LINE_AA)
    digits = lettering(str(builder.rng.choice(["20", "30"])), height=256, aspect=1.0, weight=0.2, margin=0.26)
    white, red, black = (0.55, 0.55, 0.55), (0.06, 0.05, 0.55), (0.02, 0.02, 0.02)
    x, z, side = ROAD_RIGHT + 0.55, 11.4, 0.62
    number = builder.occluder(x, z)
    _pole(builder, x, z, radius=0.035, top=2.75, number=number)
    for plate, ahead in (
        (Plate(ring, disc, (side, side), white, red, 4.6, glow=0.10), 0.06),
        (Plate(digits, digits, (side, side), black, black, 4.6), 0.07),
    ):
        builder.face((x - side / 2, 2.1, z - ahead), (side, 0, 0), (0, side, 0), plate, occluder=number)


def add_small_things(builder: StreetBuilder) -> None:
    """Bollards, a litter bin, a cabinet that its electronics keep warm, and vents of warm kitchens."""
    post, band = Plain((0.05, 0.05, 0.05), 5.2), Plain((0.45, 0.48, 0.5), 5.2)
    x = ROAD_RIGHT + 0.55
    for z in (6.2, 7.6, 10.6, 12.0, 13.4):
        number = builder.occluder(x, z)
        for low, high, material in ((0.0, 0.72, post), (0.72, 0.80, band), (0.80, 0.92, post)):
            corner = (x - 0.06, KERB_METRES + low, z - 0.06)
            builder.box(corner, (0.12, high - low, 0.12), material, occluder=number)
    cabinet, bin_colour = Plain((0.09, 0.12, 0.09), 13.5), Plain((0.05, 0.07, 0.04), 5.4)
    number = builder.occluder(x, 19.4)
    builder.box((x - 0.30, KERB_METRES, 19.4), (0.7, 1.15, 0.4), cabinet, occluder=number)
    z = float(builder.rng.uniform(13.0, 14.0))
    number = builder.occluder(6.2, z)
    builder.box((5.95, KERB_METRES, z), (0.42, 0.85, 0.42), bin_colour, occluder=number)
    for along, up in ((7.6, 4.55), (15.8, 4.5), (24.1, 4.6)):
        vent = Plain((0.02, 0.02, 0.02), float(builder.rng.uniform(19, 24)))
        builder.face((FRONT_RIGHT - 0.02, up, along), (0, 0, 0.5), (0, 0.35, 0), vent)
