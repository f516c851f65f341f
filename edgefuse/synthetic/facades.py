"""House fronts: masonry, windows of lit and dark rooms, shops with rooms behind the glass, and their signs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import cv2
import numpy as np

from edgefuse.synthetic.camera import Floats
from edgefuse.synthetic.surfaces import Hit, Surface
from edgefuse.synthetic.textures import fractal, hashed, lettering, sample_image, smoothstep

__all__ = ["Facade", "Shop", "Wall"]

Colour = tuple[float, float, float]

_WALL_CELSIUS = 6.2
_STALL_METRES = 0.45
_GLASS_TOP_METRES = 2.75
_SIGN_METRES = (2.95, 3.55)
_CEILING_METRES = 3.0
_ROOM_METRES = 3.2


@dataclass(frozen=True)
class Shop:
    """One shop of a ground floor.

    Args:
        start: Where it begins along the front, in metres.
        stop: Where it ends.
        name: Lettering of its sign.
        sign: Colour of the sign's light, linear BGR.
        boxed: True for dark letters on a glowing box, False for glowing letters on a dark board.
        room: Colour of the light inside, linear BGR; black for a closed shop.
        seed: Which goods are on the shelves.
    """

    start: float
    stop: float
    name: str
    sign: Colour
    boxed: bool
    room: Colour
    seed: int

    def shelves(self) -> Floats:
        """The picture of the back wall: shelves of goods, a picture, a counter."""  # [H, W, 3]
        rng = np.random.default_rng(self.seed)
        height, width = 240, round(240 * (self.stop - self.start) / _CEILING_METRES)
        wall = np.empty((height, width, 3), np.float32)
        wall[:] = rng.uniform(0.30, 0.50) * np.array([0.80, 0.92, 1.0], np.float32)
        hues = rng.uniform(0.06, 0.75, (5, 3)) * rng.uniform(0.5, 1.0, (5, 1))
        for top in (34, 76, 118):
            x = 5
            while x < width - 8:
                across, tall = int(rng.integers(3, 12)), int(rng.integers(16, 33))
                colour = (hues[int(rng.integers(5))] * rng.uniform(0.6, 1.1)).tolist()
                if rng.random() < 0.84:
                    cv2.rectangle(wall, (x, top + 38 - tall), (x + across - 2, top + 38), colour, -1)
                x += across
            cv2.rectangle(wall, (0, top + 39), (width, top + 41), (0.10, 0.13, 0.18), -1)
        left = int(rng.integers(10, max(11, width - 110)))
        cv2.rectangle(wall, (left - 8, 26), (left + 92, 164), (0.20, 0.26, 0.32), -1)
        cv2.rectangle(wall, (left, 40), (left + 84, 150), rng.uniform(0.3, 0.9, 3).tolist(), -1)
        cv2.circle(wall, (left + 42, 86), 26, rng.uniform(0.05, 0.5, 3).tolist(), -1, cv2.LINE_AA)
        cv2.rectangle(wall, (0, 180), (width, 239), (0.06, 0.10, 0.16), -1)
        cv2.rectangle(wall, (0, 175), (width, 180), (0.40, 0.46, 0.52), -1)
        for x in range(30, width - 10, 64):
            pool = np.hypot((np.arange(width) - x) / 26.0, ((np.arange(height) - 4) / 70.0)[:, None])
            wall *= (1.0 + 0.7 * np.exp(-(pool**2)))[..., None].astype(np.float32)
        return cv2.GaussianBlur(wall, (0, 0), 0.8)

    def lettering(self) -> Floats:
        """Coverage of the sign's letters."""  # [H, W]
        aspect = (self.stop - self.start - 0.5) / (_SIGN_METRES[1] - _SIGN_METRES[0])
        return lettering(self.name, height=96, aspect=aspect, weight=0.17, margin=0.14)


@dataclass(frozen=True)
class Wall:
    """Plain masonry; s runs along the wall and t up.

    Args:
        seed: Which stones.
        tint: Albedo, linear BGR.
        bond: ``brick`` courses, smooth ``plaster`` with stains, or ``concrete`` panels.
        celsius: Mean apparent temperature.
    """

    seed: int
    tint: Colour
    bond: Literal["brick", "plaster", "concrete"]
    celsius: float = _WALL_CELSIUS

    def __call__(self, hit: Hit) -> Surface:
        """The wall at N places."""
        broad = fractal(self.seed, hit.s, hit.t * 0.6, slope=1.5, texels_per_metre=16.0)
        streak = fractal(self.seed + 1, hit.s, hit.t * 0.08, slope=1.0, texels_per_metre=40.0)
        tone = 1.0 + 0.14 * broad + 0.07 * streak
        relief = np.zeros_like(tone)
        if self.bond == "brick":
            shade, relief = self._courses(hit, 0.24, 0.085, 0.011)
            tone = tone * (1.0 + 0.55 * shade) * (1.0 - 0.35 * relief)
        elif self.bond == "concrete":
            shade, relief = self._courses(hit, 2.4, 1.2, 0.02)
            tone = tone * (1.0 + 0.16 * shade) * (1.0 - 0.5 * relief)
        albedo = np.maximum(tone, 0.08)[:, None] * np.array(self.tint, np.float32)
        temp = self.celsius + 0.45 * broad + 0.20 * streak + 0.35 * relief - 0.10 * hit.t
        return Surface(albedo.astype(np.float32), np.asarray(temp, np.float32), np.zeros((len(hit), 3), np.float32))

    def _courses(self, hit: Hit, length: float, height: float, joint: float) -> tuple[Floats, Floats]:
        """Shade of each stone around 0, and coverage of the joints; both fade where they are finer than a sample."""
        row = np.floor(hit.t / height)
        shifted = hit.s / length + 0.5 * (row % 2)
        column = np.floor(shifted)
        detail = np.clip(1.5 - hit.footprint / (0.6 * height), 0.0, 1.0)
        shade = hashed(row.astype(np.int64) + 4096, column.astype(np.int64) + 4096, seed=self.seed) - 0.5
        along = np.abs(shifted - column - 0.5) * length
        upward = np.abs(hit.t / height - row - 0.5) * height
        gap = np.maximum(
            smoothstep(1.6 * joint, 0.4 * joint, length / 2 - along),
            smoothstep(1.6 * joint, 0.4 * joint, height / 2 - upward),
        )
        visible = np.clip(joint / hit.footprint, 0.0, 1.0)
        return np.asarray(shade * detail, np.float32), np.asarray(gap * visible, np.float32)


@dataclass
class Facade:
    """A house front; s runs along the street and t up from the pavement.

    Args:
        wall: Its masonry.
        length: Metres along the street.
        height: Metres up to the eaves.
        shops: Shops of the ground floor; none leaves masonry there.
        bay: Metres from window to window.
        lit: Part of the windows with a lit room.
        seed: Which windows.
    """

    wall: Wall
    length: float
    height: float
    shops: tuple[Shop, ...]
    bay: float
    lit: float
    seed: int
    storey: float = 3.1
    ground_floor: float = 3.9
    _pictures: list[tuple[Floats, Floats]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._pictures = [(shop.shelves(), shop.lettering()) for shop in self.shops]

    def __call__(self, hit: Hit) -> Surface:
        """The front at N places."""
        surface = self.wall(hit)
        self._windows(hit, surface)
        self._ledges(hit, surface)
        for shop, (shelves, letters) in zip(self.shops, self._pictures, strict=True):
            inside = np.flatnonzero((hit.s >= shop.start) & (hit.s < shop.stop) & (hit.t < self.ground_floor - 0.15))
            if inside.size:
                part = Hit(*(getattr(hit, name)[inside] for name in ("s", "t", "point", "direction", "footprint")))
                front = self._shop_front(shop, shelves, letters, part)
                assert surface.emission is not None
                assert front.emission is not None
                surface.albedo[inside] = front.albedo
                surface.temp_celsius[inside] = front.temp_celsius
                surface.emission[inside] = front.emission
        return surface

    def _ledges(self, hit: Hit, surface: Surface) -> None:
        """String course above the ground floor and cornice below the eaves; floor slabs leak heat."""
        soft = np.maximum(hit.footprint, 0.02)
        for low, high in ((self.ground_floor - 0.15, self.ground_floor + 0.08), (self.height - 0.45, self.height)):
            ledge = np.clip(np.minimum(hit.t - low, high - hit.t) / soft + 0.5, 0.0, 1.0)
            shadow = np.clip(np.minimum(hit.t - low + 0.22, low - hit.t) / (3 * soft) + 0.5, 0.0, 1.0)
            stone = np.array([0.24, 0.26, 0.28], np.float32)
            surface.albedo += ledge[:, None] * (stone - surface.albedo)
            surface.albedo *= (1.0 - 0.45 * shadow * (1 - ledge))[:, None]
            surface.temp_celsius -= 1.2 * ledge.astype(np.float32)
        slab = np.exp(-((((hit.t - self.ground_floor) % self.storey) / 0.22) ** 2)) * (hit.t > self.ground_floor)
        surface.temp_celsius += 1.0 * slab.astype(np.float32)

    def _windows(self, hit: Hit, surface: Surface) -> None:
        """Rows of sash windows above the ground floor, changed in place."""
        assert surface.emission is not None
        above = hit.t - self.ground_floor
        floor = np.floor(above / self.storey)
        bays = max(1, int(self.length / self.bay))
        offset = (self.length - bays * self.bay) / 2
        column = np.floor((hit.s - offset) / self.bay)
        x = (hit.s - offset) - (column + 0.5) * self.bay
        y = above - (floor + 0.5) * self.storey
        there = (above > 0) & (column >= 0) & (column < bays) & ((floor + 1) * self.storey < self.height - self.ground_floor)
        half_width, half_height = 0.56, 0.92
        soft = np.maximum(hit.footprint, 0.012)

        def box(width: float, height: float, dy: float = 0.0) -> Floats:
            edge = np.minimum(width - np.abs(x), height - np.abs(y - dy))
            return np.asarray(np.clip(edge / soft + 0.5, 0.0, 1.0) * there, np.float32)

        frame = box(half_width + 0.09, half_height + 0.09)
        glass = box(half_width, half_height)
        glass *= 1.0 - np.clip((0.035 - np.abs(x)) / soft + 0.5, 0, 1) * np.clip(0.05 / soft, 0, 1)
        glass *= 1.0 - np.clip((0.035 - np.abs(y - 0.25)) / soft + 0.5, 0, 1) * np.clip(0.05 / soft, 0, 1)
        sill = box(half_width + 0.18, 0.06, -half_height - 0.13)
        keys = column.astype(np.int64) + 512, floor.astype(np.int64) + 512
        chance, kind, level = (hashed(*keys, seed=self.seed + k) for k in (0, 1, 2))

        trim = np.maximum(frame, sill)[:, None]
        surface.albedo += trim * (np.array([0.26, 0.28, 0.30], np.float32) - surface.albedo)
        surface.albedo += glass[:, None] * (np.array([0.030, 0.024, 0.020], np.float32) - surface.albedo)
        surface.albedo *= (1.0 - 0.5 * box(half_width, 0.10, half_height) * (1 - frame))[:, None]

        warm = np.array([0.26, 0.60, 1.0], np.float32)
        cool = np.array([0.95, 0.92, 0.80], np.float32)
        tint = np.where((kind > 0.82)[:, None], cool, warm)
        curtain = 0.55 + 0.45 * smoothstep(0.12, 0.30, np.abs(x)) * (0.8 + 0.2 * np.sin(x * 70.0))
        blind = smoothstep(-0.3, -0.2, y - (1.4 * level - 1.0) * half_height)
        fall = 0.55 + 0.45 * np.exp(-(((y - 0.45) / 0.8) ** 2 + (x / 0.6) ** 2))
        room = np.where(kind < 0.45, 0.45 * curtain, fall * (1.0 - 0.55 * blind * (kind < 0.7)))
        on = (chance < self.lit) * (0.14 + 0.42 * level**2) * glass
        surface.emission += (on * room)[:, None] * tint
        sky = np.array([0.0105, 0.0075, 0.0055], np.float32)
        surface.emission += ((glass * (chance >= self.lit)) * (0.5 + 0.7 * kind))[:, None] * sky

        heated = np.where(chance < self.lit + 0.22, 9.5 + 3.5 * level, 2.8 + 1.8 * level)
        radiator = box(0.5, 0.30, -half_height - 0.55) * (level > 0.5) * (chance < self.lit + 0.22)
        surface.temp_celsius += 2.0 * radiator
        surface.temp_celsius += np.maximum(frame, sill) * 0.5
        surface.temp_celsius += (glass * (heated - 0.6 * y - surface.temp_celsius)).astype(np.float32)

    def _shop_front(self, shop: Shop, shelves: Floats, letters: Floats, hit: Hit) -> Surface:
        """Stall riser, display window, door and sign of one shop."""
        soft = np.maximum(hit.footprint, 0.01)
        width = shop.stop - shop.start
        x = hit.s - shop.start
        door = np.abs(x - (width - 0.95)) < 0.55
        low = np.where(door, 0.12, _STALL_METRES)
        inner = np.minimum(np.minimum(x - 0.18, width - 0.18 - x), np.minimum(hit.t - low, _GLASS_TOP_METRES - hit.t))
        inner = np.minimum(inner, np.abs(np.abs(x - (width - 0.95)) - 0.60) - 0.05)
        panes = np.abs((x - 0.18) % 1.45 - 0.725)
        inner = np.where(door, inner, np.minimum(inner, 0.70 - panes))
        glass = np.clip(inner / soft + 0.5, 0.0, 1.0).astype(np.float32)[:, None]

        rng = np.random.default_rng(shop.seed + 1)
        joinery = np.array(rng.choice([[0.05, 0.06, 0.05], [0.10, 0.05, 0.03], [0.04, 0.05, 0.13], [0.06, 0.09, 0.06]]))
        albedo = np.broadcast_to(joinery.astype(np.float32), (len(hit), 3)).copy()
        emission = self._room(shop, shelves, hit) * glass
        albedo += glass * (np.array([0.02, 0.02, 0.02], np.float32) - albedo)
        open_shop = max(shop.room) > 0
        inside_celsius = 12.0 if open_shop else 4.0
        temp = 6.6 + glass[:, 0] * (inside_celsius + 1.8 * smoothstep(0.4, 2.6, hit.t) - 6.6)

        on_sign = (hit.t > _SIGN_METRES[0]) & (hit.t < _SIGN_METRES[1]) & (x > 0.2) & (x < width - 0.2)
        # From the street, s runs from right to left.
        u = 1.0 - (x - 0.25) / (width - 0.5)
        v = (_SIGN_METRES[1] - hit.t) / (_SIGN_METRES[1] - _SIGN_METRES[0])
        ink = sample_image(letters[:, :, None], u, v).reshape(-1) * ((u > 0) & (u < 1))
        light = np.array(shop.sign, np.float32)
        if shop.boxed:
            glow = (light * 0.95) * (1.0 - 0.96 * ink[:, None])
        else:
            glow = light * (0.02 + 1.5 * ink[:, None])
        emission = np.where(on_sign[:, None], glow, emission)
        albedo = np.where(on_sign[:, None], np.float32(0.03), albedo)
        # The lamps behind the letters warm the whole board: its lettering cannot be read in the infrared.
        temp = np.where(on_sign, 10.2 + 0.5 * v, temp)
        return Surface(albedo.astype(np.float32), temp.astype(np.float32), emission.astype(np.float32))

    @staticmethod
    def _room(shop: Shop, shelves: Floats, hit: Hit) -> Floats:
        """The room seen through the glass: each ray goes on to the first of its walls, floor and ceiling."""
        inward = np.maximum(np.abs(hit.direction[:, 0]), 1e-4)
        along, upward = hit.direction[:, 2], hit.direction[:, 1]
        with np.errstate(divide="ignore", invalid="ignore"):
            to_back = _ROOM_METRES / inward
            to_side = np.where(along > 0, (shop.stop - hit.s) / along, (shop.start - hit.s) / np.minimum(along, -1e-6))
            to_level = np.where(upward > 0, (_CEILING_METRES - hit.t) / upward, -hit.t / np.minimum(upward, -1e-6))
        reach = np.minimum(np.minimum(to_back, to_side), to_level)
        s, t, deep = hit.s + reach * along, hit.t + reach * upward, reach * inward
        back = sample_image(shelves, (s - shop.start) / (shop.stop - shop.start), 1.0 - t / _CEILING_METRES)
        side = sample_image(shelves, deep / _ROOM_METRES * 0.6, 1.0 - t / _CEILING_METRES) * 0.7
        lamps = (np.abs((s - shop.start) % 1.5 - 0.75) < 0.16) & (np.abs(deep - 1.5) < 0.9)
        ceiling = np.where(lamps[:, None], np.float32(3.2), np.float32(0.40))
        floor = np.full((len(hit), 1), 0.16, np.float32) + 0.05 * ((np.floor(s * 2) + np.floor(deep * 2)) % 2)[:, None]
        level = np.where((upward > 0)[:, None], ceiling, floor)
        seen = np.where((reach >= to_back)[:, None], back, np.where((reach >= to_side)[:, None], side, level))
        falloff = 0.55 + 0.45 * np.exp(-deep / 2.0)
        return np.asarray(seen * falloff[:, None] * np.array(shop.room, np.float32), np.float32)
