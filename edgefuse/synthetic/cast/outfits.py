"""How walkers look: build, clothes, and how warm the clothes are outside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgefuse.synthetic.drawing import Colour

__all__ = ["Outfit", "random_outfit"]

_SKINS: tuple[Colour, ...] = ((0.22, 0.34, 0.52), (0.14, 0.22, 0.36), (0.07, 0.11, 0.19))
_HAIRS: tuple[Colour, ...] = ((0.012, 0.013, 0.016), (0.02, 0.03, 0.05), (0.08, 0.15, 0.22))
_DARK: tuple[Colour, ...] = ((0.014, 0.013, 0.013), (0.030, 0.018, 0.014), (0.018, 0.022, 0.022))
_BRIGHT: tuple[Colour, ...] = (
    (0.10, 0.38, 0.50), (0.05, 0.06, 0.42), (0.32, 0.22, 0.07), (0.32, 0.34, 0.36), (0.10, 0.22, 0.09),
)  # fmt: skip
_TROUSERS: tuple[Colour, ...] = ((0.10, 0.055, 0.035), (0.02, 0.02, 0.02), (0.10, 0.14, 0.18))


@dataclass(frozen=True)
class Outfit:
    """A person's build and clothes; colours are albedos in linear BGR.

    Args:
        height: Standing height in metres.
        build: Girth relative to the average.
        skin: Of face and hands.
        hair: Of the head.
        jacket: Of trunk and arms.
        trousers: Of the legs.
        shoes: Of the feet.
        jacket_celsius: Temperature of the jacket's outside: a thick one is colder.
        trousers_celsius: Temperature of the trousers' outside.
        coat: Length of the jacket below the hips, in metres.
        bag: Whether they carry a shoulder bag.
        long_hair: Whether the hair falls to the shoulders.
        seed: Folds of the cloth.
    """

    height: float
    build: float
    skin: Colour
    hair: Colour
    jacket: Colour
    trousers: Colour
    shoes: Colour
    jacket_celsius: float
    trousers_celsius: float
    coat: float
    bag: bool
    long_hair: bool
    seed: int


def random_outfit(rng: np.random.Generator, number: int, *, dark: bool) -> Outfit:
    """Dress someone.

    Args:
        rng: Source of choices.
        number: Of the person, so that neighbours differ in colour.
        dark: Dark clothes, which the visible camera hardly sees at night.

    Returns:
        The person's build and clothes.
    """

    def pick(choices: tuple[Colour, ...]) -> Colour:
        return choices[int(rng.integers(len(choices)))]

    return Outfit(
        height=float(rng.uniform(1.60, 1.86)),
        build=float(rng.uniform(0.92, 1.10)),
        skin=pick(_SKINS),
        hair=pick(_HAIRS),
        jacket=pick(_DARK) if dark else _BRIGHT[number % len(_BRIGHT)],
        trousers=pick(_DARK if dark else _TROUSERS),
        shoes=pick(_DARK if dark else (*_DARK, (0.4, 0.4, 0.4))),
        jacket_celsius=float(rng.uniform(18.5, 23.0)),
        trousers_celsius=float(rng.uniform(20.5, 24.0)),
        coat=float(rng.choice([0.0, 0.05, 0.30])),
        bag=bool(rng.random() < 0.35),
        long_hair=bool(rng.random() < 0.45),
        seed=int(rng.integers(1 << 16)),
    )
