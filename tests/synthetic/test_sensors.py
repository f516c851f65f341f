"""The two simulated sensors."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from edgefuse.synthetic.sensors import ThermalSensor, VisibleSensor, add_glare


def test_black_is_black_and_bright_is_bright() -> None:
    """Without light and noise the picture is 0; gray rises with radiance and ends below overflow."""
    sensor = VisibleSensor(8, 8, seed=0, noise=0.0)
    rng = np.random.default_rng(0)
    grays = [
        int(sensor.expose(np.full((8, 8, 3), radiance, np.float32), rng)[4, 4, 0])
        for radiance in (0.0, 0.001, 0.01, 0.1, 1.0, 50.0)
    ]
    assert grays[0] == 0
    assert grays[-1] == 255
    assert all(low < high for low, high in pairwise(grays))


def test_photon_noise_grows_with_the_root_of_the_signal() -> None:
    """In linear light four times the radiance has about twice the noise."""
    sensor = VisibleSensor(200, 200, seed=0, noise=1.0)
    rng = np.random.default_rng(0)

    def deviation(radiance: float) -> float:
        gray = sensor.expose(np.full((200, 200, 3), radiance, np.float32), rng)[80:120, 80:120] / 255.0
        return float((-np.log(1.0 - np.minimum(gray, 0.999) ** 2.2)).std())

    assert deviation(0.16) / deviation(0.04) == pytest.approx(2.0, rel=0.25)


def test_thermal_counts_are_exact_without_noise() -> None:
    """20 °C are 29315 hundredths of a kelvin, and the gray of a temperature does not depend on the picture."""
    sensor = ThermalSensor(16, 24, seed=0, noise=0.0)
    rng = np.random.default_rng(0)
    counts = sensor.measure(np.full((16, 24), 20.0, np.float32), rng)
    assert counts.dtype == np.uint16
    assert np.all(np.abs(counts.astype(int) - 29315) <= 1)
    ramp = sensor.display(np.arange(25000, 32000, dtype=np.uint16)[None])
    assert (ramp[0, 0], ramp[0, -1]) == (0, 255)
    assert np.all(np.diff(ramp[0].astype(int)) >= 0)
    assert ramp[0, 29315 - 25000] == sensor.display(np.array([[29315]], np.uint16))[0, 0]


def test_thermal_noise_has_the_deviation_asked_for_and_grows_in_the_cold() -> None:
    """70 mK at 300 K; the same noise in radiance is more kelvins below."""
    sensor = ThermalSensor(160, 160, seed=1, noise=1.0)
    warm, cold = (
        np.diff(
            [
                sensor.measure(np.full((160, 160), celsius, np.float32), np.random.default_rng(frame)).astype(float)
                for frame in (0, 1)
            ],
            axis=0,
        ).std()
        / np.sqrt(2)
        / 100.0
        for celsius in (26.85, -20.0)
    )
    assert warm == pytest.approx(0.07, rel=0.08)
    assert cold / warm == pytest.approx(np.exp(0.012 * 46.85), rel=0.08)


def test_thermal_noise_spread_follows_plancks_law() -> None:
    """The growth of 1.2 % a kelvin is that of 1 / (dL/dT) over 8-14 µm between −20 and 27 °C, to a tenth."""
    wavelength = np.linspace(8e-6, 14e-6, 400)

    def band(kelvin: float) -> float:
        exponent = 0.01438777 / (wavelength * kelvin)
        return float((wavelength**-5 / np.expm1(exponent)).sum())

    def slope(kelvin: float) -> float:
        return band(kelvin + 0.5) - band(kelvin - 0.5)

    assert slope(300.0) / slope(253.15) == pytest.approx(np.exp(0.012 * 46.85), rel=0.1)


def test_glare_only_adds_and_only_around_bright_things() -> None:
    """A dim picture stays as it is; a lamp gets a halo that falls off."""
    dim = np.full((64, 64, 3), 0.2, np.float32)
    before = dim.copy()
    add_glare(dim)
    np.testing.assert_array_equal(dim, before)
    lamp = np.zeros((128, 128, 3), np.float32)
    lamp[60:68, 60:68] = 8.0
    add_glare(lamp)
    assert lamp[56, 64, 0] > lamp[48, 64, 0] > lamp[30, 64, 0] >= 0.0
