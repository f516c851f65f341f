"""From radiance to the pictures of two sensors: glare, exposure, noise; blur, noise, gain."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edgefuse.synthetic.drawing import Floats

__all__ = ["ZERO_CELSIUS", "ThermalSensor", "VisibleSensor", "add_glare"]

ZERO_CELSIUS = 273.15

_BANK_MARGIN = 64
_ROOT_STEPS = 4096
_ROOT_LIMIT = 4.0
_ROOT_NOISE = 0.011
_DARK_SIGNAL = 0.0016
_EXPOSURE = 2.3
_NETD_KELVIN = 0.07
_COLUMN_KELVIN = 0.05
_DISPLAY_CELSIUS = (3.0, 27.5)


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
        bank = np.asarray(cv2.GaussianBlur(bank, (0, 0), grain), np.float32).reshape(shape)
        bank /= bank.std()
    return bank


def _window(bank: Floats, rng: np.random.Generator) -> Floats:
    """One frame's noise: a window at a random place, mirrored at random."""
    top, left = (int(value) for value in rng.integers(0, _BANK_MARGIN, 2))
    rows, columns = bank.shape[0] - _BANK_MARGIN, bank.shape[1] - _BANK_MARGIN
    flip_rows, flip_columns = (1 - 2 * int(value) for value in rng.integers(0, 2, 2))
    return bank[top : top + rows, left : left + columns][::flip_rows, ::flip_columns]


class VisibleSensor:
    """A colour camera: exposure, vignetting, shot and read noise, a film-like shoulder and gamma 2.2.

    Signals pass through a square root before the noise is added: photon noise then has the same deviation everywhere
    (Anscombe 1948, The Transformation of Poisson, Binomial and Negative-Binomial Data), so that a frame costs one root
    and one table.

    Args:
        height: Rows.
        width: Columns.
        seed: Of the noise.
        noise: Noise relative to a small sensor at high gain; 0 for none.
    """

    def __init__(self, height: int, width: int, *, seed: int, noise: float) -> None:
        self._bank = (
            _noise_bank(seed, height, width, 3, grain=0.45) * np.float32(_ROOT_NOISE * noise) if noise else None
        )
        signal = (np.arange(_ROOT_STEPS) * (_ROOT_LIMIT / _ROOT_STEPS)) ** 2
        toned = 1.0 - np.exp(-1.05 * np.maximum(signal - _DARK_SIGNAL, 0.0))
        self._table = np.rint(255.0 * toned ** (1 / 2.2)).astype(np.uint8)
        y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
        x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
        gain = _EXPOSURE * (1.0 - 0.08 * (x * x + y * y))
        self._gain = np.repeat(gain[..., None], 3, axis=2)

    def expose(self, radiance: Floats, rng: np.random.Generator) -> NDArray[np.uint8]:  # [H, W, 3] -> [H, W, 3]
        """Take a picture.

        Args:
            radiance: Visible light, linear BGR; overwritten.
            rng: Source of this frame's noise.

        Returns:
            The picture, BGR.
        """
        cv2.multiply(radiance, self._gain, dst=radiance)
        # The dark signal keeps its noise; the table takes its mean off again.
        np.add(radiance, np.float32(_DARK_SIGNAL), out=radiance)
        cv2.sqrt(radiance, dst=radiance)
        if self._bank is not None:
            np.add(radiance, _window(self._bank, rng), out=radiance)
        np.clip(radiance, 0.0, np.float32(_ROOT_LIMIT * (1.0 - 1e-6)), out=radiance)
        index = (radiance * np.float32(_ROOT_STEPS / _ROOT_LIMIT)).astype(np.uint16)
        return np.asarray(self._table[index], np.uint8)


class ThermalSensor:
    """An uncooled thermal camera: soft optics, noise, columns that differ a little, and a fixed gain to 8 bits.

    Args:
        height: Rows.
        width: Columns.
        seed: Of the noise.
        noise: Noise relative to a sensor of 70 mK; 0 for none.
    """

    def __init__(self, height: int, width: int, *, seed: int, noise: float) -> None:
        self._sigma_px = max(0.45, 0.00105 * float(np.hypot(height, width)))
        self._netd_kelvin = np.float32(_NETD_KELVIN * noise)
        self._bank = _noise_bank(seed + 1, height, width, 1, grain=0.0)[..., 0] if noise else None
        columns = np.random.default_rng([seed, 0xC0]).standard_normal((1, width)).astype(np.float32)
        self._columns = columns * np.float32(_COLUMN_KELVIN * noise)
        low, high = _DISPLAY_CELSIUS
        kelvin = np.arange(1 << 16) / 100.0
        unit = np.clip((kelvin - ZERO_CELSIUS - low) / (high - low), 0.0, 1.0)
        self._table = np.rint(255.0 * unit).astype(np.uint8)

    def measure(self, temp_celsius: Floats, rng: np.random.Generator) -> NDArray[np.uint16]:  # [H, W] -> [H, W]
        """Radiometric counts in hundredths of a kelvin, as TLinear cameras give them.

        Args:
            temp_celsius: Apparent temperature.
            rng: Source of this frame's noise.

        Returns:
            Raw counts.
        """
        seen: Floats = np.asarray(cv2.GaussianBlur(temp_celsius, (0, 0), self._sigma_px), np.float32)
        if self._bank is not None:
            # The same noise in radiance is more kelvins where it is cold: by Planck's law dL/dT over 8-14 µm changes by
            # about 1.2 % a kelvin around 280 K.
            spread = np.asarray(cv2.exp((seen - np.float32(26.85)) * np.float32(-0.012)), np.float32)
            seen = seen + spread * self._netd_kelvin * _window(self._bank, rng) + self._columns
        counts = np.rint((seen + np.float32(ZERO_CELSIUS)) * np.float32(100.0))
        return np.asarray(np.clip(counts, 0, 65535), np.uint16)

    def display(self, counts: NDArray[np.uint16]) -> NDArray[np.uint8]:  # [H, W] -> [H, W]
        """The 8-bit picture: a fixed range in kelvin, so that nothing flickers."""
        return np.asarray(self._table[counts], np.uint8)
