"""Cars as both cameras see them: paint, glass and lamps in the visible, warm bonnets and tyres in the infrared."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgefuse.synthetic.camera import Camera, Floats
from edgefuse.synthetic.car_shape import HALF_LENGTH_METRES, CarMesh, CarShape, Part, car_mesh
from edgefuse.synthetic.lighting import Lighting
from edgefuse.synthetic.sprites import Sprite

__all__ = ["Car", "draw_car"]

Colour = tuple[float, float, float]

_SUBPIXEL_BITS = 5


@dataclass(frozen=True)
class Car:
    """One car.

    Args:
        shape: ``hatchback`` or ``saloon``.
        paint: Albedo of the body, linear BGR.
        running: Lamps lit, engine and tyres warm.
        bonnet_celsius: Temperature of the bonnet, which stays warm for a while after parking.
    """

    shape: CarShape
    paint: Colour
    running: bool
    bonnet_celsius: float


def draw_car(
    camera: Camera, lighting: Lighting, car: Car, *, foot: Floats, heading: float, samples: int | None = None
) -> Sprite | None:
    """A car as both cameras see it.

    Args:
        camera: The view.
        lighting: What lights it.
        car: Which car.
        foot: Point of the road below its middle.  # [3]
        heading: Direction of its front, radians from the street's axis to the right.
        samples: Samples across a pixel; by default 2 for a small picture of it and 1 for a large one.

    Returns:
        The sprite, or None when it is behind the camera, outside the picture or too small to see.
    """
    ahead = np.array([np.sin(heading), 0.0, np.cos(heading)], np.float32)
    axes = np.stack([np.array([ahead[2], 0.0, -ahead[0]], np.float32), np.array([0, 1, 0], np.float32), ahead])
    mesh = car_mesh(car.shape)
    world = mesh.vertices @ axes + foot
    if float(camera.to_camera(world)[:, 2].min()) < 0.6:
        return None
    points = camera.project(world)
    left, top = (int(np.floor(c)) - 1 for c in points[:, :2].min(axis=0))
    right, bottom = (int(np.ceil(c)) + 2 for c in points[:, :2].max(axis=0))
    if left >= camera.width or right <= 0 or top >= camera.height or bottom <= 0 or bottom - top < 6:
        return None

    if samples is None:
        samples = 2 if bottom - top < 70 else 1
    # A car that drives past the camera grows far beyond the picture: only what is inside is drawn.
    left, top = max(left, -1), max(top, -1)
    right, bottom = min(right, camera.width + 1), min(bottom, camera.height + 1)
    outline = (points[:, :2] + 0.5 - [left, top]) * samples - 0.5
    size = (bottom - top) * samples, (right - left) * samples
    index = _fill(mesh, outline.astype(np.float32), size, axes @ (np.array(camera.position, np.float32) - foot))
    shaded = _shade(camera, lighting, car, mesh, index, axes, foot, (left, top, samples))
    layers = cv2.resize(shaded, (right - left, bottom - top), interpolation=cv2.INTER_AREA) if samples > 1 else shaded
    alpha = np.ascontiguousarray(layers[..., 4])
    layers[..., :4] /= np.maximum(alpha, 1e-3)[..., None]
    toward = -np.sign(float(ahead @ camera.forward)) * 0.95 * HALF_LENGTH_METRES
    base = camera.project((foot + ahead * np.float32(toward))[None])[0]
    depth = float(camera.to_camera(foot[None])[0, 2])
    return Sprite(
        top, left, alpha, layers[..., :3].copy(), layers[..., 3].copy(), depth, float(base[1]), person=False
    )


def _fill(mesh: CarMesh, outline: Floats, size: tuple[int, int], eye: Floats) -> NDArray[np.int32]:
    """Which polygon each sample shows, or −1: those that face the camera, painted from far to near."""
    toward = eye - mesh.middles
    facing = np.einsum("ij,ij->i", mesh.normals, toward) > 0
    order = np.lexsort((-np.einsum("ij,ij->i", toward, toward), mesh.layers))
    fixed = np.rint(outline * (1 << _SUBPIXEL_BITS)).astype(np.int32)
    index = np.full(size, -1, np.int32)
    starts = mesh.starts.tolist()
    for i in order[facing[order]].tolist():
        cv2.fillConvexPoly(index, fixed[starts[i] : starts[i + 1]], i, shift=_SUBPIXEL_BITS)
    return index


def _shade(
    camera: Camera,
    lighting: Lighting,
    car: Car,
    mesh: CarMesh,
    index: NDArray[np.int32],
    axes: Floats,
    foot: Floats,
    place: tuple[int, int, int],
) -> Floats:
    """Radiance, temperature and coverage of each sample, the first two times the coverage."""  # [h, w, 5]
    rows, columns = np.nonzero(index >= 0)
    which = index[rows, columns]
    material = mesh.materials[which]
    left, top, samples = place
    scale = samples * camera.focal_px / float(camera.to_camera(foot[None])[0, 2])
    normal = _smooth_normals(mesh, index, material, rows, columns, sigma=0.05 * scale) @ axes

    view = camera.directions((rows + 0.5) / samples - 0.5 + top, (columns + 0.5) / samples - 0.5 + left)
    view /= np.sqrt(np.einsum("ij,ij->i", view, view))[:, None]
    cosine = np.clip(-np.einsum("ij,ij->i", view, normal), 0.0, 1.0)
    mirror = view + (2.0 * cosine)[:, None] * normal
    look = _Look.of(car)
    light = np.array(lighting.ambient, np.float32) * (0.5 + 0.5 * normal[:, 1:2])
    up = mirror[:, 1]
    sky = np.where(up > 0, 0.022 * np.exp(-2.2 * np.maximum(up, 0)) + 0.003, 0.008)
    shine = sky[:, None] * np.array([1.1, 0.95, 0.9], np.float32)
    for direction, colour in lighting.arriving(foot + np.array([0, 1.2, 0], np.float32), count=4):
        light += np.maximum(normal @ direction, 0.0)[:, None] * colour
        spot = np.maximum(mirror @ direction, 0.0)
        for _ in range(6):
            np.square(spot, out=spot)
        shine += spot[:, None] * (7.0 * colour)
    fresnel = look.gloss[material] * (0.05 + 0.95 * (1.0 - cosine) ** 5)
    radiance = look.albedo[material] * light + fresnel[:, None] * shine
    radiance += look.emission[material] * np.maximum(cosine, 0.25)[:, None]

    layers = np.zeros((*index.shape, 5), np.float32)
    layers[rows, columns, :3] = radiance
    layers[rows, columns, 3] = _temperature(car, look, mesh, which, normal)
    layers[rows, columns, 4] = 1.0
    return layers


def _smooth_normals(
    mesh: CarMesh,
    index: NDArray[np.int32],
    material: NDArray[np.uint8],
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    *,
    sigma: float,
) -> Floats:  # [N, 3]
    """Normals in car axes, blended across the flat pieces of paint and glass."""
    normal = mesh.normals[index[rows, columns]]
    curved = material <= Part.GLASS
    if sigma > 0.5:
        field = np.zeros((*index.shape, 3), np.float32)
        field[rows[curved], columns[curved]] = normal[curved]
        blended = cv2.GaussianBlur(field, (0, 0), sigma)
        normal[curved] = blended[rows[curved], columns[curved]]
        normal /= np.maximum(np.sqrt(np.einsum("ij,ij->i", normal, normal)), 1e-6)[:, None]
    return normal


@dataclass(frozen=True)
class _Look:
    """Properties of the materials of one car, by number of ``Part``."""

    albedo: Floats
    emission: Floats
    gloss: Floats
    celsius: Floats

    @classmethod
    def of(cls, car: Car) -> _Look:
        on = car.running
        rows: dict[int, tuple[Colour, Colour, float, float]] = {
            Part.PAINT: (car.paint, (0, 0, 0), 1.0, 7.6 if on else 6.0),
            Part.GLASS: ((0.010, 0.010, 0.010), (0, 0, 0), 1.4, 7.5 if on else 4.2),
            Part.TRIM: ((0.012, 0.012, 0.012), (0, 0, 0), 0.25, 8.0 if on else 6.5),
            Part.TYRE: ((0.012, 0.012, 0.012), (0, 0, 0), 0.1, 19.0 if on else 8.0),
            Part.RIM: ((0.30, 0.30, 0.30), (0, 0, 0), 0.6, 23.0 if on else 5.4),
            Part.HEADLAMP: ((0.30, 0.30, 0.30), (10.0, 11.0, 11.5) if on else (0, 0, 0), 1.0, 14.0 if on else 5.0),
            Part.TAILLAMP: ((0.02, 0.02, 0.25), (0.10, 0.12, 3.0) if on else (0, 0, 0), 0.8, 10.0 if on else 5.6),
            Part.PLATE: ((0.30, 0.42, 0.46), (0.10, 0.13, 0.15) if on else (0, 0, 0), 0.2, 7.4),
            Part.GRILLE: ((0.010, 0.010, 0.010), (0, 0, 0), 0.4, 26.0 if on else 6.5),
        }
        padded = [((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), 0.0, 0.0), *(rows[part] for part in range(1, Part.COUNT))]
        albedo, emission, gloss, celsius = zip(*padded, strict=True)
        return cls(*(np.array(column, np.float32) for column in (albedo, emission, gloss, celsius)))


def _temperature(car: Car, look: _Look, mesh: CarMesh, which: NDArray[np.int32], normal: Floats) -> Floats:  # [N]
    """Apparent temperature: warm bonnet and exhaust, and the cold sky mirrored by what faces up."""
    material = mesh.materials[which]
    along, height = mesh.middles[which, 2], mesh.middles[which, 1]
    temp = look.celsius[material]
    upward = np.clip(normal[:, 1], 0.0, 1.0)
    skin = (material == Part.PAINT) | (material == Part.GLASS)
    mirrored = np.where(material == Part.GLASS, 6.5, 3.8) * upward * skin
    bonnet = np.exp(-(((along - 1.5) / 0.55) ** 2)) * (material == Part.PAINT) * (0.4 + 0.6 * upward)
    temp = temp - mirrored + bonnet * (car.bonnet_celsius - look.celsius[Part.PAINT])
    if car.running:
        temp += 16.0 * np.exp(-(((along + 2.15) / 0.12) ** 2) - (((height - 0.29) / 0.09) ** 2)) * (material == Part.TRIM)
    return np.asarray(temp, np.float32)
