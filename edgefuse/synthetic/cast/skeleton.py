"""The body of a walker: rounded limbs between joints that swing with the step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgefuse.synthetic.cast.outfits import Outfit
from edgefuse.synthetic.drawing import Colour, Point

__all__ = ["SKIN_CELSIUS", "Limb", "body"]

SKIN_CELSIUS = 27.0
"""Bare skin is warmer than this outside, cloth colder."""


@dataclass(frozen=True)
class Limb:
    """A rounded body along an axis between two joints, in body axes: right, up, forward, in metres.

    Args:
        start: One joint.
        end: The other.
        widths: Half of its thickness sideways, at equal steps along the axis.
        albedo: Of its skin or cloth.
        celsius: Temperature of its outside.
        order: Metres that it counts as farther away when limbs are sorted by depth.
        depths: Half of its thickness front to back, where that is not the width.
        blunt: How much flatter than a ball its ends are: 0 for a ball.
    """

    start: Point
    end: Point
    widths: tuple[float, ...]
    albedo: Colour
    celsius: float
    order: float = 0.0
    depths: tuple[float, ...] | None = None
    blunt: float = 0.0


def _scaled(unit: float, *sizes: float) -> tuple[float, ...]:
    return tuple(size * unit for size in sizes)


def _down(joint: Point, length: float, angle: float, x: float) -> Point:
    """The next joint of a hanging limb that leans forward by an angle."""
    return x, joint[1] - length * float(np.cos(angle)), joint[2] + length * float(np.sin(angle))


def _swing(phase: float) -> tuple[float, float]:
    """Angles of hip and knee of a leg, in radians, over a walking cycle; positive is forward and bent."""
    hip = 0.05 + 0.40 * float(np.sin(phase))
    lifting = max(0.0, float(np.cos(phase + 0.35)))
    return hip, 0.08 + 0.95 * lifting**2 + 0.10 * max(0.0, float(-np.cos(phase - 0.4)))


def _leg(outfit: Outfit, side: float, phase: float, hip_up: float) -> list[Limb]:
    """Foot, shin and thigh; they lie behind the trunk whichever way the figure turns, as below a jacket."""
    unit, girth = outfit.height, outfit.build * outfit.height
    hip, knee = _swing(phase)
    x = side * 0.050 * unit
    top = (x, hip_up, 0.0)
    joint = _down(top, 0.245 * unit, hip, x)
    lower = hip - knee
    ankle = _down(joint, 0.238 * unit, lower, x * 0.9)
    pitch = lower * 0.75 + 0.05
    heel = (ankle[0], max(0.020 * unit, ankle[1] - 0.012 * unit), ankle[2] - 0.015 * unit)
    toe_up = max(0.017 * unit, ankle[1] - 0.022 * unit + 0.09 * unit * float(np.sin(pitch)))
    toe = (x * 1.15, toe_up, ankle[2] + 0.095 * unit * float(np.cos(pitch)))
    cloth, warm = outfit.trousers, outfit.trousers_celsius
    return [
        Limb(heel, toe, _scaled(unit, 0.024, 0.022, 0.016), outfit.shoes, 13.5, order=0.31),
        Limb(joint, ankle, _scaled(girth, 0.037, 0.036, 0.026), cloth, warm - 1.6, order=0.30),
        Limb(top, joint, _scaled(girth, 0.056, 0.046, 0.037), cloth, warm, order=0.29),
    ]


def _arm(outfit: Outfit, side: float, phase: float, shoulder_up: float) -> list[Limb]:
    """Hand, forearm and upper arm, swung against the leg of the same side."""
    unit, girth = outfit.height, outfit.build * outfit.height
    swing = -0.36 * float(np.sin(phase))
    shoulder = (side * 0.098 * girth, shoulder_up, 0.0)
    elbow = _down(shoulder, 0.165 * unit, swing, side * 0.128 * girth)
    bend = swing + 0.32 - 0.14 * float(np.sin(phase))
    wrist = _down(elbow, 0.135 * unit, bend, side * 0.126 * girth)
    hand = _down(wrist, 0.045 * unit, bend, side * 0.122 * girth)
    cloth, warm = outfit.jacket, outfit.jacket_celsius
    return [
        Limb(wrist, hand, _scaled(unit, 0.017, 0.018), outfit.skin, 28.5, order=0.02),
        Limb(elbow, wrist, _scaled(girth, 0.029, 0.028, 0.021), cloth, warm - 0.8, order=0.01),
        Limb(shoulder, elbow, _scaled(girth, 0.036, 0.033, 0.028), cloth, warm + 0.2),
    ]


def _trunk(outfit: Outfit, bob: float) -> Limb:
    """The jacket from its hem to the collar."""
    unit, girth = outfit.height, outfit.build * outfit.height
    flare = 0.100 + 0.05 * outfit.coat
    return Limb(
        (0.0, 0.470 * unit + bob - outfit.coat, 0.0),
        (0.0, 0.845 * unit + bob, -0.006 * unit),
        _scaled(girth, flare, 0.097, 0.087, 0.091, 0.104, 0.113, 0.046),
        outfit.jacket,
        outfit.jacket_celsius + 0.5,
        depths=_scaled(girth, flare * 0.78, 0.074, 0.062, 0.066, 0.074, 0.060, 0.036),
        blunt=2.5,
    )


def _head(outfit: Outfit, bob: float) -> list[Limb]:
    """Throat, face and hair."""
    unit = outfit.height

    def upright(low: float, high: float, forward: float) -> tuple[Point, Point]:
        return (0.0, low * unit + bob, forward * unit), (0.0, high * unit + bob, forward * unit)

    nape = 0.865 if outfit.long_hair else 0.925
    return [
        Limb(*upright(0.845, 0.90, 0.006), _scaled(unit, 0.030, 0.032), outfit.skin, 31.5, order=0.01),
        Limb(*upright(0.902, 0.938, 0.014), _scaled(unit, 0.031, 0.041, 0.040), outfit.skin, 32.8, order=-0.02),
        Limb(*upright(nape, 0.957, -0.010), _scaled(unit, 0.042, 0.048, 0.042), outfit.hair, 25.0, order=-0.01),
    ]


def body(outfit: Outfit, phase: float) -> list[Limb]:
    """The figure at one moment of its step.

    Args:
        outfit: Whose figure.
        phase: Of the walking cycle, in radians.

    Returns:
        Its limbs.
    """
    unit = outfit.height
    bob = 0.010 * unit * float(np.cos(2 * phase))
    limbs = [_trunk(outfit, bob), *_head(outfit, bob)]
    for side in (-1.0, 1.0):
        step = phase if side > 0 else phase + np.pi
        limbs += _leg(outfit, side, step, 0.505 * unit + bob)
        limbs += _arm(outfit, side, step, 0.795 * unit + bob)
    if outfit.bag:
        x = 0.135 * outfit.build * unit
        ends = (x, 0.485 * unit + bob, -0.01), (x, 0.535 * unit + bob, -0.01)
        thick, long = _scaled(unit, 0.028, 0.026), _scaled(unit, 0.062, 0.058)
        limbs.append(Limb(*ends, thick, (0.03, 0.04, 0.06), 11.5, order=-0.02, depths=long, blunt=1.5))
    return limbs
