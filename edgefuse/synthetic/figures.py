"""Walking people: a jointed figure of rounded limbs, lit in the visible and warm in the infrared."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgefuse.synthetic.camera import Camera, Floats
from edgefuse.synthetic.lighting import Lighting
from edgefuse.synthetic.sprites import Sprite
from edgefuse.synthetic.textures import noise_tile

__all__ = ["Outfit", "draw_person", "random_outfit"]

Colour = tuple[float, float, float]

_SKIN_CELSIUS = 32.8


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


def random_outfit(rng: np.random.Generator, *, dark: bool) -> Outfit:
    """Dress someone.

    Args:
        rng: Source of choices.
        dark: Dark clothes, which the visible camera hardly sees at night.

    Returns:
        The person's build and clothes.
    """
    skins = ((0.22, 0.34, 0.52), (0.14, 0.22, 0.36), (0.07, 0.11, 0.19))
    hairs = ((0.012, 0.013, 0.016), (0.02, 0.03, 0.05), (0.08, 0.15, 0.22))
    darks = ((0.014, 0.013, 0.013), (0.030, 0.018, 0.014), (0.018, 0.022, 0.022))
    brights = ((0.05, 0.06, 0.42), (0.32, 0.22, 0.07), (0.10, 0.40, 0.50), (0.32, 0.34, 0.36), (0.10, 0.22, 0.09))

    def pick(choices: tuple[Colour, ...]) -> Colour:
        return choices[int(rng.integers(len(choices)))]

    return Outfit(
        height=float(rng.uniform(1.60, 1.86)),
        build=float(rng.uniform(0.92, 1.10)),
        skin=pick(skins),
        hair=pick(hairs),
        jacket=pick(darks if dark else brights),
        trousers=pick(darks if dark else ((0.10, 0.055, 0.035), (0.02, 0.02, 0.02), (0.10, 0.14, 0.18))),
        shoes=pick(darks if dark else (*darks, (0.4, 0.4, 0.4))),
        jacket_celsius=float(rng.uniform(18.5, 23.0)),
        trousers_celsius=float(rng.uniform(20.5, 24.0)),
        coat=float(rng.choice([0.0, 0.05, 0.32])),
        bag=bool(rng.random() < 0.4),
        long_hair=bool(rng.random() < 0.45),
        seed=int(rng.integers(1 << 16)),
    )


@dataclass(frozen=True)
class _Limb:
    """A rounded body along an axis between two joints, in body axes: right, up, forward, in metres.

    ``widths`` and ``depths`` are half its thickness sideways and front to back, at equal steps along the axis.
    """

    start: tuple[float, float, float]
    end: tuple[float, float, float]
    widths: tuple[float, ...]
    albedo: Colour
    celsius: float
    order: float = 0.0
    depths: tuple[float, ...] | None = None


def _swing(phase: float) -> tuple[float, float]:
    """Angles of hip and knee of a leg, in radians, over a walking cycle; positive is forward and bent."""
    hip = 0.05 + 0.42 * np.sin(phase)
    lifting = max(0.0, float(np.cos(phase + 0.35)))
    knee = 0.08 + 0.95 * lifting**2 + 0.10 * max(0.0, float(-np.cos(phase - 0.4)))
    return float(hip), float(knee)


def _down(joint: tuple[float, float, float], length: float, angle: float, x: float) -> tuple[float, float, float]:
    """The next joint of a hanging limb that leans forward by an angle."""
    return x, joint[1] - length * float(np.cos(angle)), joint[2] + length * float(np.sin(angle))


def _leg(outfit: Outfit, side: float, phase: float, hip_up: float) -> list[_Limb]:
    """Foot, shin and thigh; they lie behind the trunk whichever way the figure turns, as below a jacket."""
    unit, girth = outfit.height, outfit.build * outfit.height
    hip, knee = _swing(phase)
    x = side * 0.050 * unit
    top = (x, hip_up, 0.0)
    joint = _down(top, 0.245 * unit, hip, x)
    lower = hip - knee
    ankle = _down(joint, 0.238 * unit, lower, x * 0.9)
    pitch = lower * 0.75 + 0.05
    sole = 0.020 * unit
    heel = (ankle[0], max(sole, ankle[1] - 0.012 * unit), ankle[2] - 0.015 * unit)
    toe_up = max(0.017 * unit, ankle[1] - 0.022 * unit + 0.09 * unit * float(np.sin(pitch)))
    toe = (x * 1.15, toe_up, ankle[2] + 0.095 * unit * float(np.cos(pitch)))
    shoe = _Limb(heel, toe, (0.024 * unit, 0.022 * unit, 0.016 * unit), outfit.shoes, 13.5, order=0.31)
    shin = _Limb(
        joint, ankle, (0.037 * girth, 0.036 * girth, 0.026 * girth), outfit.trousers, outfit.trousers_celsius - 1.6, order=0.30
    )
    thigh = _Limb(top, joint, (0.056 * girth, 0.046 * girth, 0.037 * girth), outfit.trousers, outfit.trousers_celsius, order=0.29)
    return [shoe, shin, thigh]


def _arm(outfit: Outfit, side: float, phase: float, shoulder_up: float) -> list[_Limb]:
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
        _Limb(wrist, hand, (0.017 * unit, 0.018 * unit), outfit.skin, 28.0, order=0.02),
        _Limb(elbow, wrist, (0.029 * girth, 0.028 * girth, 0.021 * girth), cloth, warm - 0.8, order=0.01),
        _Limb(shoulder, elbow, (0.036 * girth, 0.033 * girth, 0.028 * girth), cloth, warm + 0.2),
    ]


def _limbs(outfit: Outfit, phase: float) -> list[_Limb]:
    """The figure at one moment of its step."""
    unit, girth = outfit.height, outfit.build * outfit.height
    bob = 0.010 * unit * float(np.cos(2 * phase))
    limbs: list[_Limb] = []
    for side in (-1.0, 1.0):
        step = phase if side > 0 else phase + np.pi
        limbs += _leg(outfit, side, step, 0.505 * unit + bob)
        limbs += _arm(outfit, side, step, 0.795 * unit + bob)

    hem = 0.475 * unit + bob - outfit.coat
    flare = 0.104 + 0.05 * outfit.coat
    widths = (flare, 0.099, 0.088, 0.092, 0.104, 0.112, 0.046)
    depths = (flare * 0.78, 0.074, 0.062, 0.066, 0.074, 0.060, 0.036)
    limbs.append(
        _Limb(
            (0, hem, 0.0),
            (0, 0.845 * unit + bob, -0.006 * unit),
            tuple(w * girth for w in widths),
            outfit.jacket,
            outfit.jacket_celsius + 0.5,
            order=0.0,
            depths=tuple(d * girth for d in depths),
        )
    )
    throat, face, hair = (0.036, 0.032), (0.031, 0.041, 0.040), (0.042, 0.048, 0.042)

    def scaled(sizes: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(size * unit for size in sizes)

    def upright(low: float, high: float, forward: float) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        return (0.0, low * unit + bob, forward * unit), (0.0, high * unit + bob, forward * unit)

    limbs.append(_Limb(*upright(0.825, 0.90, 0.004), scaled(throat), outfit.skin, 31.5, order=0.01))
    limbs.append(_Limb(*upright(0.902, 0.938, 0.014), scaled(face), outfit.skin, _SKIN_CELSIUS, order=-0.02))
    nape = 0.86 if outfit.long_hair else 0.925
    limbs.append(_Limb(*upright(nape, 0.957, -0.010), scaled(hair), outfit.hair, 25.0, order=-0.01))
    if outfit.bag:
        low, high = (0.15 * girth, 0.47 * unit + bob, 0.02), (0.15 * girth, 0.55 * unit + bob, 0.02)
        limbs.append(_Limb(low, high, (0.03 * unit, 0.03 * unit), (0.03, 0.04, 0.06), 11.5, order=-0.02, depths=(0.075 * unit,) * 2))
    return limbs


@dataclass(frozen=True)
class _Canvas:
    """What is known of each pixel of a figure.

    ``label`` says which limb is in front, ``across`` and ``upward`` how its surface is turned, ``alpha`` how much of
    the pixel the figure covers.
    """

    label: NDArray[np.uint8]
    across: Floats
    upward: Floats
    alpha: Floats

    @classmethod
    def empty(cls, rows: int, columns: int) -> _Canvas:
        shape = (rows, columns)
        return cls(
            np.zeros(shape, np.uint8), np.zeros(shape, np.float32), np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        )

    def limb(self, number: int, ends: Floats, radii: Floats) -> None:
        """Lay one limb over the figure; only the outline against the background is softened to a pixel."""
        rows, columns = self.label.shape
        reach = float(radii.max()) + 1.0
        x0, y0 = (max(0, int(c)) for c in ends.min(axis=0) - reach)
        x1, y1 = (int(c) + 2 for c in ends.max(axis=0) + reach)
        x1, y1 = min(x1, columns), min(y1, rows)
        if x0 >= x1 or y0 >= y1:
            return
        at = slice(y0, y1), slice(x0, x1)
        dx = np.arange(x0, x1, dtype=np.float32)[None, :] - ends[0, 0]
        dy = np.arange(y0, y1, dtype=np.float32)[:, None] - ends[0, 1]
        ax, ay = (float(c) for c in ends[1] - ends[0])
        squared = max(ax * ax + ay * ay, 1e-6)
        part = np.clip(dx * (ax / squared) + dy * (ay / squared), 0.0, 1.0)
        away_x, away_y = dx - part * ax, dy - part * ay
        steps = np.arange(len(radii), dtype=np.float32) / (len(radii) - 1)
        radius = np.interp(part, steps, radii).astype(np.float32)
        distance = cv2.magnitude(away_x, away_y)
        np.maximum(self.alpha[at], np.clip(radius - distance + 0.5, 0.0, 1.0), out=self.alpha[at])
        inside = distance < radius + 0.5
        inverse = 1.0 / np.maximum(radius, 0.6)
        np.copyto(self.label[at], number, where=inside)
        np.copyto(self.across[at], away_x * inverse, where=inside)
        np.copyto(self.upward[at], -away_y * inverse, where=inside)


def draw_person(
    camera: Camera, lighting: Lighting, outfit: Outfit, *, foot: Floats, heading: float, phase: float
) -> Sprite | None:
    """A person as both cameras see them.

    Args:
        camera: The view.
        lighting: What lights them.
        outfit: Who they are.
        foot: Point of the ground below them.  # [3]
        heading: Direction that they walk in, radians from the street's axis to the right.
        phase: Of the walking cycle, in radians.

    Returns:
        The sprite, or None when they are behind the camera, outside the picture or too small to see.
    """
    if camera.to_camera(foot[None])[0, 2] < 1.0:
        return None
    foot_u, foot_v, depth = (float(c) for c in camera.project(foot[None])[0])
    scale = camera.focal_px / depth
    size = outfit.height * scale
    left, top = int(foot_u - 0.40 * size) - 2, int(foot_v - 1.03 * size) - 2
    rows, columns = int(1.06 * size) + 5, int(0.80 * size) + 5
    if size < 3.0 or left >= camera.width or left + columns <= 0 or top >= camera.height or top + rows <= 0:
        return None

    turn = heading - camera.yaw_radians
    axes = np.array([[np.cos(turn), 0, -np.sin(turn)], [0, 1, 0], [np.sin(turn), 0, np.cos(turn)]], np.float32)
    limbs = _limbs(outfit, phase)
    joints = np.array([(limb.start, limb.end) for limb in limbs], np.float32) @ axes  # [N, 2, 3]: right, up, away
    order = joints[:, :, 2].mean(axis=1) + np.array([limb.order for limb in limbs])
    points = joints[:, :, :2] * np.array([scale, -scale], np.float32)
    points += np.array([foot_u - left, foot_v - top], np.float32)
    canvas = _Canvas.empty(rows, columns)
    for index in np.argsort(-order):
        limb = limbs[int(index)]
        widths = np.array(limb.widths, np.float32)
        depths = widths if limb.depths is None else np.array(limb.depths, np.float32)
        radii = scale * np.hypot(widths * np.float32(np.cos(turn)), depths * np.float32(np.sin(turn)))
        canvas.limb(int(index), points[index], radii)
    radiance, temp = _shade(camera, lighting, outfit, limbs, canvas, foot)
    return Sprite(top, left, canvas.alpha, radiance, temp, depth, foot_v, person=True)


def _shade(
    camera: Camera, lighting: Lighting, outfit: Outfit, limbs: list[_Limb], canvas: _Canvas, foot: Floats
) -> tuple[Floats, Floats]:
    """Radiance and temperature: light from the lamps, folds of cloth that each camera sees in its own way."""
    across, upward = canvas.across, canvas.upward
    toward = np.sqrt(np.clip(1.0 - across**2 - upward**2, 0.02, 1.0))
    rows, columns = across.shape
    start = outfit.seed % 97
    tile = noise_tile(outfit.seed % 5, slope=1.1)[start : start + 110, start : start + 90]
    folds = cv2.resize(tile, (columns, rows), interpolation=cv2.INTER_LINEAR)

    light = np.empty((rows, columns, 3), np.float32)
    light[:] = np.array(lighting.ambient, np.float32) * 0.7
    chest = foot + np.array([0.0, 0.65 * outfit.height, 0.0], np.float32)
    for direction, colour in lighting.arriving(chest, count=4):
        right, up, away = float(direction @ camera.right), float(direction[1]), float(direction @ camera.forward)
        facing = np.clip(right * across + up * upward - away * toward + 0.08, 0.0, None)
        light += facing[..., None] * colour
    albedo = np.array([limb.albedo for limb in limbs], np.float32)[canvas.label]
    radiance = albedo * light
    radiance *= (1.0 + 0.16 * folds)[..., None]

    celsius = np.array([limb.celsius for limb in limbs], np.float32)
    cloth = np.where(celsius < 27.0, np.float32(1.0), np.float32(0.15))
    temp = celsius[canvas.label] + 1.1 * folds * cloth[canvas.label] - 2.6 * (1.0 - toward) ** 2
    return np.asarray(radiance, np.float32), np.asarray(temp, np.float32)
