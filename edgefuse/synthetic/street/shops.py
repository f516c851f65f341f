"""Shop fronts: glass with a room behind it, joinery, and a lit sign."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from edgefuse.synthetic.drawing import Colour, Floats, Hit, Surface, lettering, sample_image, smoothstep

__all__ = ["SHOP_METRES", "Shop"]

SHOP_METRES = 3.75
_STALL_METRES = 0.45
_GLASS_TOP_METRES = 2.75
_SIGN_METRES = (2.95, 3.55)
_CEILING_METRES = 3.0
_ROOM_METRES = 3.2
_DOOR_METRES = 1.1
_JOINERY = ((0.05, 0.06, 0.05), (0.10, 0.05, 0.03), (0.04, 0.05, 0.13), (0.06, 0.09, 0.06))


@lru_cache(maxsize=64)
def _back_wall(seed: int, width_metres: float) -> Floats:
    """The picture of a shop's back wall: shelves of goods, a poster, a counter below pools of light."""  # [H, W, 3]
    rng = np.random.default_rng(seed)
    height, width = 240, round(240 * width_metres / _CEILING_METRES)
    wall = np.empty((height, width, 3), np.float32)
    wall[:] = rng.uniform(0.30, 0.50) * np.array([0.80, 0.92, 1.0], np.float32)
    hues = 0.55 * rng.uniform(0.05, 0.8, (5, 3)) + 0.45 * rng.uniform(0.06, 0.5, (5, 1)) * np.array([0.7, 0.9, 1.1])
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
    cv2.rectangle(wall, (left, 40), (left + 84, 150), (0.5 * rng.uniform(0.2, 0.9, 3) + 0.3).tolist(), -1)
    cv2.circle(wall, (left + 42, 86), 26, rng.uniform(0.05, 0.5, 3).tolist(), -1, cv2.LINE_AA)
    cv2.rectangle(wall, (0, 180), (width, 239), (0.06, 0.10, 0.16), -1)
    cv2.rectangle(wall, (0, 175), (width, 180), (0.40, 0.46, 0.52), -1)
    for x in range(30, width - 10, 64):
        away = ((np.arange(width) - x) / 26.0) ** 2 + (((np.arange(height) - 4) / 70.0) ** 2)[:, None]
        wall *= (1.0 + 0.7 * np.exp(-away))[..., None].astype(np.float32)
    return np.asarray(cv2.GaussianBlur(wall, (0, 0), 0.8), np.float32)


@dataclass(frozen=True)
class Shop:
    """One shop of a ground floor on the right-hand side, where s runs from right to left as seen from the street.

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

    @property
    def width(self) -> float:
        """Metres along the street."""
        return self.stop - self.start

    def front(self, hit: Hit) -> Surface:
        """Joinery, display window, door and sign at N places."""
        glass = self._glass(hit)[:, None]
        joinery = np.array(_JOINERY[self.seed % len(_JOINERY)], np.float32)
        albedo = joinery + glass * (np.float32(0.02) - joinery)
        inside_celsius = 12.0 if max(self.room) > 0 else 4.0
        temp = 6.6 + glass[:, 0] * (inside_celsius + 1.8 * smoothstep(0.4, 2.6, hit.t) - 6.6)
        surface = Surface(
            np.asarray(albedo, np.float32),
            np.asarray(temp, np.float32),
            np.asarray(self._room(hit) * glass, np.float32),
        )
        self._sign(hit, surface)
        return surface

    def _glass(self, hit: Hit) -> Floats:
        """Coverage of the panes between the joinery."""
        x = hit.s - self.start
        from_door = np.abs(x - (self.width - 0.95))
        door = from_door < _DOOR_METRES / 2
        low = np.where(door, 0.12, _STALL_METRES)
        inner = np.minimum(np.minimum(x, self.width - x) - 0.18, np.minimum(hit.t - low, _GLASS_TOP_METRES - hit.t))
        inner = np.minimum(inner, np.abs(from_door - 0.60) - 0.05)
        inner = np.where(door, inner, np.minimum(inner, 0.70 - np.abs((x - 0.18) % 1.45 - 0.725)))
        return np.asarray(np.clip(inner / np.maximum(hit.footprint, 0.01) + 0.5, 0.0, 1.0), np.float32)

    def _sign(self, hit: Hit, surface: Surface) -> None:
        """The sign above the window, changed in place.

        The lamps behind its letters warm the whole board alike, so that its lettering cannot be read in the infrared.
        """
        low, high = _SIGN_METRES
        board = (hit.t > low) & (hit.t < high) & (hit.s > self.start + 0.2) & (hit.s < self.stop - 0.2)
        u = 1.0 - (hit.s[board] - self.start - 0.25) / (self.width - 0.5)
        v = (high - hit.t[board]) / (high - low)
        letters = lettering(self.name, height=96, aspect=(self.width - 0.5) / (high - low), weight=0.17, margin=0.14)
        ink = sample_image(letters[:, :, None], u, v).reshape(-1, 1) * ((u > 0) & (u < 1))[:, None]
        glow = 0.95 * (1.0 - 0.96 * ink) if self.boxed else 0.02 + 1.5 * ink
        surface.emission[board] = glow * np.array(self.sign, np.float32)
        surface.albedo[board] = 0.03
        surface.temp_celsius[board] = 10.2 + 0.5 * v

    def _room(self, hit: Hit) -> Floats:
        """The room seen through the glass: each ray goes on to the first of its walls, floor and ceiling."""
        inward = np.maximum(np.abs(hit.direction[:, 0]), 1e-4)
        along, upward = hit.direction[:, 2], hit.direction[:, 1]
        ahead = np.where(along > 0, self.stop, self.start) - hit.s
        above = np.where(upward > 0, _CEILING_METRES, 0.0) - hit.t
        to_back = _ROOM_METRES / inward
        to_side = np.abs(ahead) / np.maximum(np.abs(along), 1e-5)
        to_level = np.abs(above) / np.maximum(np.abs(upward), 1e-5)
        reach = np.minimum(np.minimum(to_back, to_side), to_level)
        s, t = hit.s + reach * along - self.start, hit.t + reach * upward
        deep = np.asarray(reach * inward, np.float32)

        shelves = _back_wall(self.seed, round(self.width, 2))
        back = sample_image(shelves, np.asarray(s / self.width, np.float32), np.asarray(1 - t / _CEILING_METRES))
        side = 0.7 * sample_image(shelves, deep / _ROOM_METRES * np.float32(0.6), np.asarray(1 - t / _CEILING_METRES))
        lamps = (np.abs(s % 1.5 - 0.75) < 0.16) & (np.abs(deep - 1.5) < 0.9)
        ceiling = np.where(lamps, 3.2, 0.40)
        floor = 0.16 + 0.05 * ((np.floor(s * 2) + np.floor(deep * 2)) % 2)
        level = np.where(upward > 0, ceiling, floor)[:, None]
        seen = np.where((reach >= to_back)[:, None], back, np.where((reach >= to_side)[:, None], side, level))
        seen = seen * (0.55 + 0.45 * np.exp(-deep / 2.0))[:, None]
        return np.asarray(seen * np.array(self.room, np.float32), np.float32)
