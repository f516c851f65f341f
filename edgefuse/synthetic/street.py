"""The street itself: which houses, lamps, trees and signs stand where, drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from edgefuse.synthetic.facades import Facade, Shop, Wall
from edgefuse.synthetic.ground import KERB_METRES, ROAD_LEFT, ROAD_RIGHT, Carriageway, Pavement, kerbstone
from edgefuse.synthetic.lighting import Light, Lighting
from edgefuse.synthetic.signs import Plain, Plate
from edgefuse.synthetic.surfaces import Face, rectangle
from edgefuse.synthetic.textures import lettering
from edgefuse.synthetic.vegetation import Tree

__all__ = ["FRONT_RIGHT", "WALL_LEFT", "Street", "build_street"]

FRONT_RIGHT = 6.6
WALL_LEFT = -8.0
_FAR = 130.0
_SODIUM = (0.30, 0.62, 1.0)
_LED = (0.80, 0.92, 1.0)
_STEEL = Plain((0.055, 0.06, 0.06), 5.6)

_NAMES = (
    "CAFE LUNA", "NIGHT BOOKS", "RAMEN", "BAKERY", "VINYL", "PHARMACY", "TAPAS", "CAMERAS", "FLOWERS", "GROCER",
    "TEA ROOM", "CINEMA", "OPTICIAN", "BICYCLES",
)  # fmt: skip
_SIGN_COLOURS = (
    (0.22, 0.35, 1.0), (0.95, 0.75, 0.25), (0.45, 1.0, 0.35), (0.75, 0.30, 1.0), (0.30, 0.75, 1.0), (0.9, 0.95, 1.0),
)  # fmt: skip
_WALLS = (
    ((0.095, 0.120, 0.235), "brick"),
    ((0.20, 0.26, 0.30), "plaster"),
    ((0.12, 0.15, 0.19), "brick"),
    ((0.25, 0.26, 0.25), "concrete"),
    ((0.15, 0.21, 0.27), "plaster"),
)


@dataclass(frozen=True)
class Street:
    """Everything that stands still.

    Args:
        ground: Carriageway and pavements.
        faces: All other surfaces.
        lighting: Its lights.
        occluders: World position of the foot of each thing that something moving may pass behind; number 1 comes first.
    """

    ground: tuple[Face, ...]
    faces: tuple[Face, ...]
    lighting: Lighting
    occluders: tuple[tuple[float, float, float], ...]


class _Builder:
    """Collects faces, lights and occluders."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng([seed, 0x57])
        self.seed = int(self.rng.integers(1, 1 << 20))
        self.faces: list[Face] = []
        self.lights: list[Light] = []
        self.occluders: list[tuple[float, float, float]] = []
        self.names = list(self.rng.permutation(_NAMES))

    def occluder(self, x: float, z: float) -> int:
        """Register a thing that things may pass behind; gives its number."""
        self.occluders.append((x, 0.0, z))
        return len(self.occluders)

    def ground(self) -> None:
        """Carriageway, kerbs and pavements."""
        near, far = -4.0, _FAR
        length, kerb = far - near, KERB_METRES
        road = Carriageway(self.seed, str(self.rng.choice(["SLOW", "BUS", "TAXI"])))
        self.faces.append(
            Face(
                np.array(
                    [[ROAD_LEFT, 0, near], [ROAD_LEFT, 0, far], [ROAD_RIGHT, 0, far], [ROAD_RIGHT, 0, near]], np.float32
                ),
                np.zeros(3, np.float32),
                np.array([0, 0, 1], np.float32),
                np.array([1, 0, 0], np.float32),
                road,
            )
        )
        stones = Pavement(self.seed + 5, (0.62, 0.42), (0.135, 0.145, 0.155))
        setts = Pavement(self.seed + 6, (0.5, 0.5), (0.10, 0.11, 0.115))
        for x0, x1, material in ((ROAD_RIGHT + 0.3, FRONT_RIGHT, stones), (WALL_LEFT - 30, ROAD_LEFT - 0.3, setts)):
            self.faces.append(rectangle((x0, kerb, near), (0, 0, length), (x1 - x0, 0, 0), material))
        for x0 in (ROAD_RIGHT, ROAD_LEFT - 0.3):
            self.faces.append(rectangle((x0, kerb, near), (0, 0, length), (0.3, 0, 0), kerbstone))
        self.faces.append(rectangle((ROAD_RIGHT, 0, near), (0, 0, length), (0, kerb, 0), kerbstone))
        self.faces.append(rectangle((ROAD_LEFT, 0, far), (0, 0, -length), (0, kerb, 0), kerbstone))

    def houses_right(self) -> None:
        """The lit side: shops below, flats above."""
        z = -5.0
        for index, length in enumerate((11.4, 9.6, 13.0, 10.4, 14.0, 12.0, 18.0, 16.0)):
            tint, bond = _WALLS[(index + self.seed) % len(_WALLS)]
            height = 3.9 + 3.1 * int(self.rng.integers(2, 6)) + 0.7
            wall = Wall(self.seed + 11 * index, tint, bond)  # type: ignore[arg-type]
            shops = self._shops(length, z) if z < 45 else ()
            front = Facade(wall, length, height, shops, 2.3 + 0.5 * self.rng.random(), 0.34, self.seed + index)
            self.faces.append(rectangle((FRONT_RIGHT, KERB_METRES, z), (0, 0, length), (0, height, 0), front))
            self.faces.append(rectangle((FRONT_RIGHT + 12, 0, z), (-12, 0, 0), (0, height, 0), wall))
            z += length

    def _shops(self, length: float, z: float) -> tuple[Shop, ...]:
        """Two shops to a front, with the light that they throw on the pavement and a blade sign between them."""
        shops = []
        half = (length - 0.6) / 2
        for k in range(2):
            start = 0.3 + k * half
            colour = _SIGN_COLOURS[int(self.rng.integers(len(_SIGN_COLOURS)))]
            is_open = z + start < 22.0 or self.rng.random() < 0.7
            tone = np.array([0.42, 0.72, 1.0]) if self.rng.random() < 0.7 else np.array([0.85, 0.95, 0.95])
            room = tuple(float(c) for c in tone * self.rng.uniform(0.55, 1.0)) if is_open else (0.0, 0.0, 0.0)
            name = self.names.pop() if self.names else "OPEN"
            shop = Shop(start, start + half - 0.25, name, colour, bool(self.rng.random() < 0.4), room, self.seed + k)  # type: ignore[arg-type]
            shops.append(shop)
            middle = z + start + half / 2
            if is_open:
                self._glow((FRONT_RIGHT - 0.15, 1.7, middle), np.array(room) * 5.0, facing=(-1.0, 0.0, 0.0))
            self._glow((FRONT_RIGHT - 0.25, 3.2, middle), np.array(colour) * 1.3, facing=(-1.0, 0.0, 0.0))
        return tuple(shops)

    def _glow(self, position: tuple[float, float, float], colour: np.ndarray, *, facing: tuple[float, float, float]) -> None:  # type: ignore[type-arg]
        """A soft light on a house front."""
        blue, green, red = (float(c) for c in colour)
        self.lights.append(Light(position, (blue, green, red), "panel", facing=facing, haze=0.0))

    def blades(self) -> None:
        """Signs that stand out from the fronts and face the traffic."""
        words = list(self.rng.permutation(["HOTEL", "BAR", "24H", "PIZZA", "BOOKS", "JAZZ"]))
        for z, bottom, vertical in ((10.6, 4.3, True), (17.2, 4.0, False), (27.5, 4.4, True), (39.0, 4.2, True)):
            word = str(words.pop())
            size = (0.75, 0.66 * len(word)) if vertical else (0.5 * len(word), 0.8)
            picture = lettering(word, height=256, aspect=size[0] / size[1], weight=0.18, margin=0.1, vertical=vertical)
            colour = np.array(_SIGN_COLOURS[int(self.rng.integers(len(_SIGN_COLOURS)))])
            back, front = tuple(colour * 0.9), (0.03, 0.03, 0.03)
            if self.rng.random() < 0.5:
                back, front = tuple(colour * 0.06), tuple(colour * 1.6)
            plate = Plate(picture, np.ones_like(picture), size, back, front, 9.5, glow=1.0)  # type: ignore[arg-type]
            x = FRONT_RIGHT - 0.25 - size[0]
            self.faces.append(rectangle((x, bottom, z), (size[0], 0, 0), (0, size[1], 0), plate))
            self._glow((x + size[0] / 2, bottom + size[1] / 2, z - 0.2), colour * 1.6, facing=(0.0, 0.0, -1.0))

    def lamps(self) -> None:
        """Street lamps on both sides; the near one on the left is out of order."""
        for side, first, count in ((1, 16.5, 5), (-1, 27.0, 5)):
            for k in range(count):
                z = first + 21.0 * k
                x = ROAD_RIGHT + 0.55 if side > 0 else ROAD_LEFT - 0.55
                self._lamp(x, z, side, working=not (side < 0 and k == 0))

    def _lamp(self, x: float, z: float, side: int, *, working: bool) -> None:
        """One lamp with its pole, arm and luminaire."""
        number = self.occluder(x, z)
        reach, top = x - 1.9 * side, 6.9
        self._pole(x, z, 0.085, top, number)
        self.faces.append(
            rectangle((min(x, reach), top - 0.05, z), (abs(x - reach), 0, 0), (0, 0.09, 0), _STEEL, occluder=number)
        )
        glow = (2.6, 5.4, 8.7) if working else (0.0, 0.0, 0.0)
        head = Plain((0.1, 0.1, 0.1), 21.0 if working else 5.0, glow)
        for low, high, material in ((-0.10, -0.02, head), (-0.02, 0.08, _STEEL)):
            self.faces.append(
                rectangle((reach - 0.38, top + low, z - 0.1), (0.76, 0, 0), (0, high - low, 0), material, occluder=number)
            )
        if working:
            colour = tuple(40.0 * c for c in _SODIUM)
            self.lights.append(Light((reach, top - 0.1, z), colour, "lamp"))  # type: ignore[arg-type]

    def _pole(self, x: float, z: float, radius: float, top: float, number: int) -> None:
        """An upright as a square prism: the sides that the camera sees."""
        for x0, z0, dx, dz in ((x - radius, z - radius, 2 * radius, 0.0), (x - radius, z + radius, 0.0, -2 * radius)):
            self.faces.append(rectangle((x0, 0, z0), (dx, 0, dz), (0, top, 0), _STEEL, occluder=number))
        self.faces.append(rectangle((x + radius, 0, z - radius), (0, 0, 2 * radius), (0, top, 0), _STEEL, occluder=number))

    def park_left(self) -> None:
        """The dark side: a low wall, trees, and houses far behind them."""
        wall = Wall(self.seed + 90, (0.10, 0.11, 0.12), "brick", celsius=6.6)
        self.faces.append(rectangle((WALL_LEFT, 0, _FAR), (0, 0, -_FAR), (0, 1.05, 0), wall))
        coping = Plain((0.15, 0.15, 0.15), 5.4)
        self.faces.append(rectangle((WALL_LEFT + 0.05, 1.05, _FAR), (0, 0, -_FAR), (0, 0.12, 0), coping))
        z = 8.0
        for index in range(5):
            length = float(self.rng.uniform(14, 26))
            height = 3.9 + 3.1 * int(self.rng.integers(2, 5)) + 0.7
            tint, bond = _WALLS[(index + self.seed + 2) % len(_WALLS)]
            house = Facade(Wall(self.seed + 70 + index, tint, bond), length, height, (), 2.6, 0.22, self.seed + 40 + index)  # type: ignore[arg-type]
            self.faces.append(rectangle((-27.0, 0, z + length), (0, 0, -length), (0, height, 0), house))
            z += length + float(self.rng.uniform(0, 5))
        for k, z in enumerate((13.0, 20.5, 30.5, 39.0, 48.0, 58.0, 70.0)):
            self.tree(-5.75, z + float(self.rng.uniform(-0.8, 0.8)), 7.6 + float(self.rng.uniform(-0.8, 1.2)), k)
        for k in range(7):
            self.tree(float(self.rng.uniform(-17, -11)), 12.0 + 7.5 * k, 9.0 + float(self.rng.uniform(-1, 2)), 20 + k)

    def tree(self, x: float, z: float, height: float, index: int) -> None:
        """One tree, standing square to the camera."""
        width = 0.85 * height
        number = self.occluder(x, z)
        tree = Tree(self.seed + 100 + index, (width, height))
        turned = np.array([0.97, 0.0, -0.24], np.float32)
        foot = np.array([x, 0.0, z], np.float32) - turned * width / 2
        side = tuple(float(c) for c in turned * width)
        self.faces.append(
            rectangle(tuple(float(c) for c in foot), side, (0, height, 0), tree, occluder=number, two_sided=True)  # type: ignore[arg-type]
        )

    def road_signs(self) -> None:
        """Painted plates on poles: their symbols are paint, so the infrared shows blank plates."""
        outline = np.zeros((256, 256), np.float32)
        cv2.circle(outline, (128, 128), 126, 1.0, -1, cv2.LINE_AA)
        ring = outline.copy()
        cv2.circle(ring, (128, 128), 98, 0.0, -1, cv2.LINE_AA)
        speed = str(self.rng.choice(["20", "30"]))
        digits = lettering(speed, height=256, aspect=1.0, weight=0.2, margin=0.26)
        x, z = ROAD_RIGHT + 0.5, 10.2
        number = self.occluder(x, z)
        self._pole(x, z, 0.035, 3.0, number)
        white, red, black = (0.55, 0.55, 0.55), (0.06, 0.05, 0.55), (0.02, 0.02, 0.02)
        disc = Plate(ring, outline, (0.62, 0.62), white, red, 4.6, glow=0.10)
        text = Plate(digits, digits, (0.62, 0.62), black, black, 4.6)
        self.faces.append(rectangle((x - 0.31, 2.35, z - 0.06), (0.62, 0, 0), (0, 0.62, 0), disc, occluder=number))
        self.faces.append(rectangle((x - 0.31, 2.35, z - 0.07), (0.62, 0, 0), (0, 0.62, 0), text, occluder=number))

    def far_end(self) -> None:
        """The house that closes the street."""
        wall = Wall(self.seed + 60, (0.2, 0.2, 0.2), "plaster")
        front = Facade(wall, 70.0, 16.0, (), 2.8, 0.3, self.seed + 61)
        self.faces.append(rectangle((-35.0, 0, _FAR), (70.0, 0, 0), (0, 16.0, 0), front))


def build_street(seed: int) -> Street:
    """Lay out a street.

    Args:
        seed: Which street; the same seed gives the same street.

    Returns:
        Its faces, lights and occluders.
    """
    builder = _Builder(seed)
    builder.ground()
    ground = tuple(builder.faces)
    builder.faces.clear()
    builder.houses_right()
    builder.blades()
    builder.park_left()
    builder.lamps()
    builder.road_signs()
    builder.far_end()
    return Street(
        ground, tuple(builder.faces), Lighting(tuple(builder.lights), (0.0125, 0.0080, 0.0055)), tuple(builder.occluders)
    )
