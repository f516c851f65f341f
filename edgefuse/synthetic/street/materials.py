"""Materials of smaller things: plain ones, striped cloth, and signs in two colours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgefuse.synthetic.drawing import Colour, Floats, Hit, Surface, sample_image

__all__ = ["Awning", "Plain", "Plate"]


@dataclass(frozen=True)
class Plain:
    """One material all over.

    Args:
        tint: Albedo, linear BGR.
        celsius: Apparent temperature.
        emission: Light of its own, linear BGR.
    """

    tint: Colour
    celsius: float
    emission: Colour = (0.0, 0.0, 0.0)

    def __call__(self, hit: Hit) -> Surface:
        """The material at N places."""
        shape = (len(hit), 3)
        return Surface(
            albedo=np.broadcast_to(np.array(self.tint, np.float32), shape).copy(),
            temp_celsius=np.full(len(hit), self.celsius, np.float32),
            emission=np.broadcast_to(np.array(self.emission, np.float32), shape).copy(),
        )


@dataclass(frozen=True)
class Awning:
    """Striped cloth; s runs along the shop front.

    Args:
        hue: Albedo of every other stripe, linear BGR.
        stripe_metres: Width of a stripe.
    """

    hue: Colour
    stripe_metres: float

    def __call__(self, hit: Hit) -> Surface:
        """The cloth at N places."""
        coloured = (np.floor(hit.s / self.stripe_metres) % 2 == 0)[:, None]
        albedo = np.where(coloured, np.array(self.hue, np.float32), np.float32(0.42))
        return Surface(np.asarray(albedo, np.float32), np.full(len(hit), 5.2, np.float32))


@dataclass(frozen=True)
class Plate:
    """A sign: two colours told apart by a picture; s runs across and t up.

    Args:
        picture: Coverage of the foreground.  # [h, w]
        outline: Coverage of the sign itself, for round ones.  # [h, w]
        size: Width and height in metres.
        back: Albedo of the background, linear BGR.
        front: Albedo of the foreground.
        celsius: Apparent temperature of all of it.
        glow: Light of its own where the albedo is 1.
    """

    picture: Floats
    outline: Floats
    size: tuple[float, float]
    back: Colour
    front: Colour
    celsius: float
    glow: float = 0.0

    def __call__(self, hit: Hit) -> Surface:
        """The sign at N places."""
        layers = np.stack([self.picture, self.outline], axis=-1)
        seen = sample_image(layers, hit.s / self.size[0], 1.0 - hit.t / self.size[1])
        ink = seen[:, :1]
        albedo = (1 - ink) * np.array(self.back, np.float32) + ink * np.array(self.front, np.float32)
        return Surface(
            albedo=np.asarray(albedo * (0.1 if self.glow else 1.0), np.float32),
            temp_celsius=np.full(len(hit), self.celsius, np.float32),
            emission=np.asarray(albedo * self.glow, np.float32),
            opaque=seen[:, 1] > 0.5,
        )
