"""From radiance to the pictures of two sensors: glare, exposure, noise; blur, noise, gain."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from edgefuse.synthetic.camera import Floats

__all__ = ["ThermalSensor", "VisibleSensor", "add_glare"]

_BANK_MARGIN = 64
_ROOT_STEPS = 4096
_ROOT_LIMIT = 4.0


def add_glare(radiance: Floats) -> None:  # [H, W, 3]
    """Light that a lens scatters around bright things, added in place.

    Args:
        radiance: Visible light, linear BGR.
    """
    height, width = radiance.shape[:2]
    small_size = max(1, width // 4), max(1, height // 4)
    small = cv2.resize(radiance, small_size, interpolation=cv2.INTER_AREA)
    bright = np.minimum(np.maximum(small - np.float32(0.55), 0.0), np.float32(9.0))
    sigma = 0.0016 * float(np.hypot(height, width)) / 2.0
    narrow = cv2.GaussianBlur(bright, (0, 0), max(0.6, sigma))
    tiny_size = max(1, small_size[0] // 4), max(1, small_size[1] // 4)
    tiny = cv2.resize(bright, tiny_size, interpolation=cv2.INTER_AREA)
    wide = cv2.GaussianBlur(tiny, (0, 0), max(0.6, 1.6 * sigma))
    glare = 0.16 * narrow + 0.30 * cv2.resize(wide, small_size, interpolation=cv2.INTER_LINEAR)
    radiance += cv2.resize(glare, (width, height), interpolation=cv2.INTER_LINEAR)


def _noise_bank(seed: int, height: int, width: int, channels: int, *, grain: float) -> Floats:
    """Unit Gaussian noise larger than a frame; each frame takes another window of it."""
    rng = np.random.default_rng([seed, 0xB4])
    shape = (height + _BANK_MARGIN, width + _BANK_MARGIN, channels)
    bank = rng.standard_normal(shape, dtype=np.float32)
    if grain > 0:
        bank = cv2.GaussianBlur(bank, (0, 0), grain).reshape(shape)
        bank /= bank.std()
    return bank


def _window(bank: Floats, rng: np.random.Generator) -> Floats:
    """One frame's noise: a window at a random place, mirrored at random."""
    top, left = (int(value) for value in rng.integers(0, _BANK_MARGIN, 2))
    rows, columns = bank.shape[0] - _BANK_MARGIN, bank.shape[1] - _BANK_MARGIN
    flip_rows, flip_columns = (1 - 2 * int(value) for value in rng.integers(0, 2, 2))
    return bank[top : top + rows, left : left + columns][::flip_rows, ::flip_columns]


@dataclass
class VisibleSensor:
    """A colour camera: exposure, shot and read noise, a film-like shoulder and gamma 2.2.

    Signals pass through a square root before the noise is added: photon noise then has the same deviation everywhere
    (Anscombe 1948), so that a frame costs one root and one table.

    Args:
        height: Rows.
        width: Columns.
        seed: Of the noise.
        exposure: Gain from radiance to signal.
        noise: Deviation of the noise after the root, for signals up to 4.
    """

    height: int
    width: int
    seed: int
    exposure: float = 1.9
    noise: float = 0.011
    _bank: Floats = field(init=False, repr=False)
    _table: NDArray[np.uint8] = field(init=False, repr=False)
    _vignette: Floats = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._bank = _noise_bank(self.seed, self.height, self.width, 3, grain=0.45) * np.float32(self.noise)
        signal = np.linspace(0.0, _ROOT_LIMIT, _ROOT_STEPS) ** 2
        black = 0.0016
        toned = 1.0 - np.exp(-np.maximum(signal - black, 0.0) * 1.05)
        self._table = np.rint(255.0 * toned ** (1 / 2.2)).astype(np.uint8)
        y = np.linspace(-1, 1, self.height, dtype=np.float32)[:, None]
        x = np.linspace(-1, 1, self.width, dtype=np.float32)[None, :]
        self._vignette = np.repeat((self.exposure * (1.0 - 0.16 * (x * x + y * y) / 2))[..., None], 3, axis=2)

    def expose(self, radiance: Floats, rng: np.random.Generator) -> NDArray[np.uint8]:  # [H, W, 3] -> [H, W, 3]
        """Take a picture.

        Args:
            radiance: Visible light, linear BGR; overwritten.
            rng: Source of this frame's noise.

        Returns:
            The picture, BGR.
        """
        cv2.multiply(radiance, self._vignette, dst=radiance)
        # What the dark current adds before the root, the table's black level takes off again.
        np.add(radiance, np.float32(0.0016), out=radiance)
        cv2.sqrt(radiance, dst=radiance)
        if self.noise > 0:
            np.add(radiance, _window(self._bank, rng), out=radiance)
        np.multiply(radiance, np.float32((_ROOT_STEPS - 1) / _ROOT_LIMIT), out=radiance)
        index = np.clip(radiance, 0, _ROOT_STEPS - 1, out=radiance).astype(np.uint16)
        return self._table[index]


@dataclass
class ThermalSensor:
    """An uncooled thermal camera: soft optics, noise, columns that differ a little, and a fixed gain to 8 bits.

    Args:
        height: Rows.
        width: Columns.
        seed: Of the noise.
        netd_kelvin: Noise-equivalent temperature difference at 300 K.
        column_kelvin: Deviation of the columns' fixed pattern.
        range_celsius: Temperatures of black and white in the 8-bit picture.
    """

    height: int
    width: int
    seed: int
    netd_kelvin: float = 0.07
    column_kelvin: float = 0.05
    range_celsius: tuple[float, float] = (1.5, 31.0)
    _bank: Floats = field(init=False, repr=False)
    _columns: Floats = field(init=False, repr=False)
    _table: NDArray[np.uint8] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng([self.seed, 0xC0])
        self._bank = _noise_bank(self.seed + 1, self.height, self.width, 1, grain=0.0)[..., 0]
        columns = rng.standard_normal((1, self.width)).astype(np.float32) * np.float32(self.column_kelvin)
        self._columns = np.repeat(columns, self.height, axis=0)
        low, high = self.range_celsius
        kelvin = np.arange(1 << 16) / 100.0
        unit = np.clip((kelvin - 273.15 - low) / (high - low), 0.0, 1.0)
        self._table = np.rint(255.0 * unit**0.95).astype(np.uint8)

    def measure(self, temp_celsius: Floats, rng: np.random.Generator) -> NDArray[np.uint16]:  # [H, W] -> [H, W]
        """Radiometric counts in hundredths of a kelvin (TLinear, high resolution)."""
        sigma = max(0.45, 0.00105 * float(np.hypot(self.height, self.width)))
        seen = cv2.GaussianBlur(temp_celsius, (0, 0), sigma)
        # The same noise in radiance is more kelvins where it is cold: dL/dT of 8-14 µm falls by about 1.2 % a kelvin.
        spread = np.exp(np.float32(-0.012) * (seen - np.float32(26.85))) * np.float32(self.netd_kelvin)
        seen += self._columns
        seen += spread * _window(self._bank, rng)
        seen += np.float32(273.15)
        seen *= np.float32(100.0)
        return np.rint(np.clip(seen, 0, 65535, out=seen)).astype(np.uint16)

    def display(self, counts: NDArray[np.uint16]) -> NDArray[np.uint8]:  # [H, W] -> [H, W]
        """The 8-bit picture: a fixed range in kelvin, so that nothing flickers."""
        return self._table[counts]
