"""Houses: shops and flats on the lit side, darker houses behind the trees, and one that closes the street."""

from __future__ import annotations

import numpy as np

from edgefuse.synthetic.drawing import Colour, lettering, linear
from edgefuse.synthetic.street.builder import FRONT_RIGHT, StreetBuilder
from edgefuse.synthetic.street.facades import Bond, Facade, Wall
from edgefuse.synthetic.street.ground import KERB_METRES
from edgefuse.synthetic.street.materials import Awning, Plate
from edgefuse.synthetic.street.shops import Shop

__all__ = ["STREET_METRES", "add_blades", "add_dark_side", "add_far_end", "add_lit_side"]

STREET_METRES = 130.0

_NAMES = (
    "CAFE LUNA", "NIGHT BOOKS", "RAMEN", "BAKERY", "VINYL", "PHARMACY", "TAPAS", "CAMERAS", "FLOWERS", "GROCER",
    "TEA ROOM", "CINEMA", "OPTICIAN", "BICYCLES", "GALLERY", "TAILOR",
)  # fmt: skip
_BLADES = ("HOTEL", "BAR", "24H", "PIZZA", "BOOKS", "JAZZ")
_SIGN_COLOURS: tuple[Colour, ...] = (
    (0.22, 0.35, 1.0), (0.95, 0.75, 0.25), (0.45, 1.0, 0.35), (0.75, 0.30, 1.0), (0.30, 0.75, 1.0), (0.9, 0.95, 1.0),
)  # fmt: skip
_WALLS: tuple[tuple[Colour, Bond], ...] = (
    ((0.095, 0.120, 0.235), "brick"),
    ((0.20, 0.26, 0.30), "plaster"),
    ((0.12, 0.15, 0.19), "brick"),
    ((0.25, 0.26, 0.25), "concrete"),
    ((0.15, 0.21, 0.27), "plaster"),
)
_TUNGSTEN, _DAYLIGHT = np.array([0.40, 0.72, 1.0]), np.array([0.85, 0.95, 0.95])
# Beyond this nobody reads a sign; before the second mark every shop is open, since they make the picture.
_SHOPS_METRES, _OPEN_METRES = 45.0, 22.0


def _height(builder: StreetBuilder, low: int, high: int) -> float:
    """Metres to the eaves of a house of a random number of storeys."""
    return 4.6 + 3.1 * int(builder.rng.integers(low, high))


def _wall(builder: StreetBuilder, number: int) -> Wall:
    """Masonry of the house with that number."""
    tint, bond = _WALLS[(number + builder.seed) % len(_WALLS)]
    return Wall(builder.seed + 11 * number, tint, bond)


def add_lit_side(builder: StreetBuilder) -> None:
    """The right-hand side: shops below, flats above."""
    names = [str(name) for name in builder.rng.permutation(_NAMES)]
    z = -5.0
    for index, length in enumerate((11.4, 9.6, 13.0, 10.4, 14.0, 12.0, 18.0, 16.0)):
        height = _height(builder, 2, 6)
        wall = _wall(builder, index)
        shops = _shops(builder, names, length, z) if z < _SHOPS_METRES else ()
        bay = 2.3 + 0.5 * float(builder.rng.random())
        front = Facade(wall, length, height, shops, bay, 0.36, builder.seed + index)
        builder.face((FRONT_RIGHT, KERB_METRES, z), (0, 0, length), (0, height, 0), front)
        builder.face((FRONT_RIGHT + 12, 0, z), (-12, 0, 0), (0, height, 0), wall)
        z += length


def _shops(builder: StreetBuilder, names: list[str], length: float, z: float) -> tuple[Shop, ...]:
    """Two shops to a front, with the light that they throw on the pavement, and some awnings."""
    rng = builder.rng
    shops = []
    half = (length - 0.6) / 2
    for k in range(2):
        start = 0.3 + k * half
        sign = np.array(_SIGN_COLOURS[int(rng.integers(len(_SIGN_COLOURS)))])
        is_open = rng.random() < 0.7 or z + start < _OPEN_METRES
        tone = _TUNGSTEN if rng.random() < 0.7 else _DAYLIGHT
        room = tone * rng.uniform(0.6, 1.0) if is_open else np.zeros(3)
        name = names.pop() if names else "OPEN"
        boxed = bool(rng.random() < 0.4)
        shops.append(Shop(start, start + half - 0.25, name, linear(sign), boxed, linear(room), builder.seed + 7 * k))
        middle = z + start + half / 2
        outward = (-1.0, 0.0, 0.0)
        builder.glow((FRONT_RIGHT - 0.15, 1.7, middle), 6.0 * room, facing=outward)
        builder.glow((FRONT_RIGHT - 0.25, 3.2, middle), 1.3 * sign, facing=outward)
        if rng.random() < 0.4:
            _awning(builder, z + start, half - 0.25)
    return tuple(shops)


def _awning(builder: StreetBuilder, z: float, length: float) -> None:
    """A striped awning with a valance over one shop."""
    hue = np.array(_SIGN_COLOURS[int(builder.rng.integers(len(_SIGN_COLOURS)))]) * 0.25
    cloth = Awning(linear(hue), length / round(length / 0.45))
    out, drop, top = 1.2, 0.5, KERB_METRES + 2.93
    edge = (FRONT_RIGHT - out, top - drop, z)
    builder.face(edge, (0, 0, length), (out, drop, 0), cloth, two_sided=True)
    builder.face((edge[0], edge[1] - 0.2, z), (0, 0, length), (0, 0.2, 0), cloth, two_sided=True)


def add_blades(builder: StreetBuilder) -> None:
    """Glowing signs that stand out from the fronts and face the traffic."""
    rng = builder.rng
    words = [str(word) for word in rng.permutation(_BLADES)]
    for z, bottom, vertical in ((10.9, 4.3, True), (17.6, 4.4, False), (27.5, 4.4, True), (39.0, 4.2, True)):
        word = words.pop()
        size = (0.75, 0.66 * len(word)) if vertical else (0.37 * len(word), 0.65)
        picture = lettering(word, height=256, aspect=size[0] / size[1], weight=0.18, margin=0.1, vertical=vertical)
        colour = np.array(_SIGN_COLOURS[int(rng.integers(len(_SIGN_COLOURS)))])
        back, front = (linear(0.9 * colour), (0.03, 0.03, 0.03))
        if rng.random() < 0.5:
            back, front = linear(0.06 * colour), linear(1.6 * colour)
        plate = Plate(picture, np.ones_like(picture), size, back, front, 9.5, glow=1.0)
        x = FRONT_RIGHT - 0.25 - size[0]
        builder.face((x, bottom, z), (size[0], 0, 0), (0, size[1], 0), plate)
        builder.glow((x + size[0] / 2, bottom + size[1] / 2, z - 0.2), 1.6 * colour, facing=(0.0, 0.0, -1.0))


def add_dark_side(builder: StreetBuilder) -> None:
    """Houses far behind the trees of the left-hand side."""
    z = 8.0
    for index in range(6):
        length, height = float(builder.rng.uniform(14, 26)), _height(builder, 2, 5)
        house = Facade(_wall(builder, index + 20), length, height, (), 2.6, 0.22, builder.seed + 40 + index)
        builder.face((-27.0, 0, z + length), (0, 0, -length), (0, height, 0), house)
        z += length + float(builder.rng.uniform(0, 5))


def add_far_end(builder: StreetBuilder) -> None:
    """The house that closes the street."""
    wall = Wall(builder.seed + 60, (0.2, 0.2, 0.2), "plaster")
    front = Facade(wall, 90.0, 16.0, (), 2.8, 0.3, builder.seed + 61)
    builder.face((-45.0, 0, STREET_METRES), (90.0, 0, 0), (0, 16.0, 0), front)
