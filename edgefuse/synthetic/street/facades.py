"""House fronts: masonry, and windows of lit and dark rooms above the ground floor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from edgefuse.synthetic.drawing import Colour, Floats, Hit, Surface, fractal, hashed, smoothstep
from edgefuse.synthetic.street.shops import SHOP_METRES, Shop

__all__ = ["Bond", "Facade", "Wall"]

Bond = Literal["brick", "plaster", "concrete"]

_WALL_CELSIUS = 6.2
_GROUND_FLOOR_METRES = 3.9
_STOREY_METRES = 3.1
_PANE_METRES = (0.56, 0.92)
_STONE = np.array([0.25, 0.27, 0.29], np.float32)


@dataclass(frozen=True)
class Wall:
    """Plain masonry; s runs along the wall and t up.

    Args:
        seed: Which stones.
        tint: Albedo, linear BGR.
        bond: ``brick`` courses, smooth ``plaster`` with stains, or ``concrete`` panels.
        celsius: Apparent temperature at its foot.
    """

    seed: int
    tint: Colour
    bond: Bond
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
        return Surface(np.asarray(albedo, np.float32), np.asarray(temp, np.float32))

    def _courses(self, hit: Hit, length: float, height: float, joint: float) -> tuple[Floats, Floats]:
        """Shade of each stone around 0, and coverage of the joints; both fade where they are finer than a sample."""
        row = np.floor(hit.t / height)
        shifted = hit.s / length + 0.5 * (row % 2)
        column = np.floor(shifted)
        detail = np.clip(1.5 - hit.footprint / (0.6 * height), 0.0, 1.0)
        shade = hashed(row, column, seed=self.seed) - 0.5
        along = length / 2 - np.abs(shifted - column - 0.5) * length
        upward = height / 2 - np.abs(hit.t / height - row - 0.5) * height
        gap = smoothstep(1.6 * joint, 0.4 * joint, np.minimum(along, upward))
        visible = np.clip(joint / hit.footprint, 0.0, 1.0)
        return np.asarray(shade * detail, np.float32), np.asarray(gap * visible, np.float32)


@dataclass(frozen=True)
class _Cells:
    """Places of a front told by the window that they belong to: x and y run from its middle."""

    x: Floats
    y: Floats
    column: Floats
    floor: Floats
    there: Floats
    soft: Floats

    def box(self, half_width: float, half_height: float, y: float = 0.0) -> Floats:
        """Coverage of a rectangle in each cell."""
        edge = np.minimum(half_width - np.abs(self.x), half_height - np.abs(self.y - y))
        return np.asarray(np.clip(edge / self.soft + 0.5, 0.0, 1.0) * self.there, np.float32)

    def bar(self, across: Floats) -> Floats:
        """1 less the coverage of a glazing bar, which fades where it is finer than a sample."""
        cover = np.clip((0.035 - np.abs(across)) / self.soft + 0.5, 0.0, 1.0) * np.clip(0.05 / self.soft, 0.0, 1.0)
        return np.asarray(1.0 - cover, np.float32)

    def chance(self, seed: int) -> Floats:
        """A random number for each window."""
        return hashed(self.column, self.floor, seed=seed)


@dataclass(frozen=True)
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

    def __call__(self, hit: Hit) -> Surface:
        """The front at N places."""
        surface = self.wall(hit)
        self._windows(self._cells(hit), surface)
        self._ledges(hit, surface)
        for shop in self.shops:
            inside = np.flatnonzero((hit.s >= shop.start) & (hit.s < shop.stop) & (hit.t < SHOP_METRES))
            if inside.size:
                front = shop.front(hit.part(inside))
                surface.albedo[inside] = front.albedo
                surface.temp_celsius[inside] = front.temp_celsius
                surface.emission[inside] = front.emission
        return surface

    def _cells(self, hit: Hit) -> _Cells:
        """The grid of windows above the ground floor."""
        bays = max(1, int(self.length / self.bay))
        along = hit.s - (self.length - bays * self.bay) / 2
        above = hit.t - _GROUND_FLOOR_METRES
        column, floor = np.floor(along / self.bay), np.floor(above / _STOREY_METRES)
        whole = (floor >= 0) & ((floor + 1) * _STOREY_METRES < self.height - _GROUND_FLOOR_METRES)
        return _Cells(
            x=along - (column + 0.5) * np.float32(self.bay),
            y=above - (floor + 0.5) * np.float32(_STOREY_METRES),
            column=column,
            floor=floor,
            there=np.asarray(whole & (column >= 0) & (column < bays), np.float32),
            soft=np.maximum(hit.footprint, np.float32(0.012)),
        )

    def _windows(self, cells: _Cells, surface: Surface) -> None:
        """Sash windows, changed in place: trim and glass, the rooms behind, and where heat leaks."""
        width, height = _PANE_METRES
        frame, sill = cells.box(width + 0.09, height + 0.09), cells.box(width + 0.18, 0.06, -height - 0.13)
        trim = np.maximum(frame, sill)
        glass = cells.box(width, height) * cells.bar(cells.x) * cells.bar(cells.y - np.float32(0.25))
        surface.albedo += trim[:, None] * (_STONE - surface.albedo)
        surface.albedo += glass[:, None] * (np.array([0.030, 0.024, 0.020], np.float32) - surface.albedo)

        chance, kind, level = (cells.chance(self.seed + k) for k in range(3))
        surface.emission += self._rooms(cells, chance, kind, level) * glass[:, None]
        heated = np.where(chance < self.lit + 0.22, 9.5 + 3.5 * level, 2.8 + 1.8 * level)
        radiator = cells.box(0.5, 0.30, -height - 0.55) * (level > 0.5) * (chance < self.lit + 0.22)
        surface.temp_celsius += 2.0 * radiator + 0.5 * trim
        surface.temp_celsius += np.asarray(glass * (heated - 0.6 * cells.y - surface.temp_celsius), np.float32)

    def _rooms(self, cells: _Cells, chance: Floats, kind: Floats, level: Floats) -> Floats:
        """Light from behind the glass: curtained, half blinded and open rooms, or the sky mirrored by dark panes."""
        warm, cool = np.array([0.24, 0.58, 1.0], np.float32), np.array([0.95, 0.92, 0.80], np.float32)
        curtain = 0.55 + 0.45 * smoothstep(0.12, 0.30, np.abs(cells.x)) * (0.8 + 0.2 * np.sin(cells.x * 70.0))
        blind = smoothstep(-0.3, -0.2, cells.y - (1.4 * level - 1.0) * _PANE_METRES[1])
        open_room = 0.55 + 0.45 * np.exp(-(((cells.y - 0.45) / 0.8) ** 2 + (cells.x / 0.6) ** 2))
        room = np.where(kind < 0.45, 0.45 * curtain, open_room * (1.0 - 0.55 * blind * (kind < 0.7)))
        lit = (chance < self.lit) * (0.16 + 0.46 * level**2) * room
        sky = (chance >= self.lit) * (0.5 + 0.7 * kind)
        tint = np.where((kind > 0.82)[:, None], cool, warm)
        return np.asarray(lit[:, None] * tint + sky[:, None] * np.array([0.0105, 0.0075, 0.0055]), np.float32)

    def _ledges(self, hit: Hit, surface: Surface) -> None:
        """String course above the ground floor and cornice below the eaves; floor slabs leak heat."""
        soft = np.maximum(hit.footprint, 0.02)
        ground = _GROUND_FLOOR_METRES
        for low, high in ((ground - 0.15, ground + 0.08), (self.height - 0.45, self.height)):
            ledge = np.clip(np.minimum(hit.t - low, high - hit.t) / soft + 0.5, 0.0, 1.0)
            shadow = np.clip(np.minimum(hit.t - low + 0.22, low - hit.t) / (3 * soft) + 0.5, 0.0, 1.0) * (1.0 - ledge)
            surface.albedo += np.asarray(ledge[:, None] * (_STONE - surface.albedo), np.float32)
            surface.albedo *= np.asarray(1.0 - 0.45 * shadow[:, None], np.float32)
            surface.temp_celsius -= np.asarray(1.2 * ledge, np.float32)
        slab = np.exp(-((((hit.t - ground) % _STOREY_METRES) / 0.22) ** 2)) * (hit.t > ground)
        surface.temp_celsius += np.asarray(1.0 * slab, np.float32)
