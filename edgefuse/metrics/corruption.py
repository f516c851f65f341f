"""Disturbed inputs, to see how a fusion model falls (SSPFusion §4.4): seeded, so that two runs disturb the same way."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgefuse.errors import UsageError
from edgefuse.metrics.scene import SOURCES, SourceName
from edgefuse.wording import counted

__all__ = ["CORRUPTIONS", "Corruption", "parse_corruption"]

_Image = NDArray[np.uint8]
_SPECS = (
    "stripe:VARIANCE, gauss:VARIANCE, poisson-gauss[:VARIANCE], smoke[:DENSITY], dark[:GAIN], glare[:RADIUS], "
    "shift:DX,DY; each with @ir or @vis to choose the image"
)


@dataclass(frozen=True)
class Corruption:
    """One disturbance of one source.

    Attributes:
        spec: As it was asked for.
        kind: One of :data:`CORRUPTIONS`.
        values: Its numbers.
        source: The image that is disturbed.
    """

    spec: str
    kind: str
    values: tuple[float, ...]
    source: SourceName

    def apply(self, image: _Image, *, seed: int, name: str) -> _Image:
        """Disturb an image.

        Args:
            image: ``(H, W)`` or ``(H, W, 3)`` uint8.
            seed: Seed of the run.
            name: Name of the image; each has its own noise, whatever the order in which images are worked on.

        Returns:
            The disturbed image, of the same shape.
        """
        rng = np.random.default_rng([seed, zlib.crc32(name.encode()), zlib.crc32(self.spec.encode())])
        values = CORRUPTIONS[self.kind].apply(image.astype(np.float64), rng, *self.values)
        return np.clip(np.rint(values), 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class _Kind:
    apply: Callable[..., NDArray[np.float64]]
    source: SourceName
    defaults: tuple[float, ...] | None  # None: the numbers must be given
    arity: int = 1


def _like(image: NDArray[Any], plane: NDArray[Any]) -> NDArray[Any]:
    """Give a plane the number of dimensions of an image."""
    return plane if image.ndim == 2 else plane[..., None]


def _stripe(image: NDArray[np.float64], rng: np.random.Generator, variance: float) -> NDArray[np.float64]:
    """Random stripes: each column has one offset, Gaussian in levels, as an uncorrected thermal sensor shows them."""
    return np.asarray(image + _like(image, rng.normal(0.0, variance**0.5, (1, image.shape[1]))))


def _gauss(image: NDArray[np.float64], rng: np.random.Generator, variance: float) -> NDArray[np.float64]:
    """White Gaussian noise in levels, independent in each channel."""
    return image + rng.normal(0.0, variance**0.5, image.shape)


def _poisson_gauss(image: NDArray[np.float64], rng: np.random.Generator, variance: float) -> NDArray[np.float64]:
    """Poisson noise of one event a level, then white Gaussian noise."""
    return np.asarray(rng.poisson(image) + rng.normal(0.0, variance**0.5, image.shape))


def _smoke(image: NDArray[np.float64], rng: np.random.Generator, density: float) -> NDArray[np.float64]:
    """Smoke of level 200 in clouds over three octaves; ``density`` is the largest share of it."""
    height, width = image.shape[:2]
    cloud = np.zeros((height, width))
    for cells in (3, 6, 12):
        cloud += cv2.resize(rng.random((cells, cells)), (width, height), interpolation=cv2.INTER_CUBIC) * (3 / cells)
    cloud = (cloud - cloud.min()) / max(float(np.ptp(cloud)), 1e-12)
    share = _like(image, density * cloud)
    return np.asarray(image * (1.0 - share) + 200.0 * share)


def _dark(image: NDArray[np.float64], rng: np.random.Generator, gain: float) -> NDArray[np.float64]:
    """A fraction of the light, with Poisson noise of that fraction."""
    return rng.poisson(image * gain).astype(np.float64)


def _glare(image: NDArray[np.float64], rng: np.random.Generator, radius: float) -> NDArray[np.float64]:
    """A lamp that saturates a disc of ``radius`` short sides and spills light around it with a Gaussian fall-off."""
    height, width = image.shape[:2]
    y, x = rng.uniform(0.25, 0.75, 2) * (height, width)
    distance = np.hypot(np.arange(height)[:, None] - y, np.arange(width)[None, :] - x) / (radius * min(height, width))
    return np.asarray(image + _like(image, 255.0 * np.exp(-0.5 * np.maximum(distance - 1.0, 0.0) ** 2)))


def _shift(image: NDArray[np.float64], _rng: np.random.Generator, dx: float, dy: float) -> NDArray[np.float64]:
    """Misregistration: the picture moves right by ``dx`` and down by ``dy`` pixels; its borders are repeated."""
    matrix = np.array([[1.0, 0.0, dx], [0.0, 1.0, dy]])
    size = (image.shape[1], image.shape[0])
    return np.asarray(cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


CORRUPTIONS: dict[str, _Kind] = {
    "stripe": _Kind(_stripe, "ir", None),
    "gauss": _Kind(_gauss, "vis", None),
    "poisson-gauss": _Kind(_poisson_gauss, "vis", (25.0,)),
    "smoke": _Kind(_smoke, "vis", (0.9,)),
    "dark": _Kind(_dark, "vis", (0.1,)),
    "glare": _Kind(_glare, "vis", (0.15,)),
    "shift": _Kind(_shift, "ir", None, arity=2),
}
"""Kinds of disturbance, with the source that each is for unless another is named: SSPFusion adds stripes to infrared
and Gaussian noise to visible images; light and smoke are of the visible band, a shift is of the second camera."""


def parse_corruption(spec: str) -> Corruption:
    """Read a disturbance as typed.

    Args:
        spec: ``KIND[:NUMBERS][@ir|@vis]``, as in ``stripe:5``, ``gauss:25@ir``, ``shift:3,-2``. The numbers of noise
            are variances in squared levels of 0..255, as SSPFusion states them.

    Returns:
        The disturbance.

    Raises:
        UsageError: An unknown kind, wrong numbers, or another source.

    Example:
        >>> parse_corruption("shift:3,-2").values
        (3.0, -2.0)
    """
    body, _, source = spec.partition("@")
    kind, _, numbers = body.partition(":")
    if kind not in CORRUPTIONS:
        raise UsageError(f"unknown corruption {spec!r}: give {_SPECS}")
    rule = CORRUPTIONS[kind]
    try:
        values = tuple(float(number) for number in numbers.split(",")) if numbers else rule.defaults
    except ValueError as error:
        raise UsageError(f"{spec!r}: {numbers!r} is no number; give {_SPECS}") from error
    if values is None or len(values) != rule.arity or not np.isfinite(values).all():
        raise UsageError(f"{spec!r} needs {counted(rule.arity, 'number')}: give {_SPECS}")
    if kind != "shift" and (not values[0] >= 0 or (kind == "glare" and values[0] == 0)):
        raise UsageError(f"{spec!r}: the number must be positive")
    if kind in ("smoke", "dark") and values[0] > 1:
        raise UsageError(f"{spec!r}: the number is a share and at most 1")
    if source not in ("", *SOURCES):
        raise UsageError(f"{spec!r}: the image must be ir or vis, not {source!r}")
    return Corruption(spec, kind, values, source or rule.source)  # type: ignore[arg-type]  # just checked
