"""Cars as both cameras see them: paint, glass and lamps in the visible, warm bonnets and tyres in the infrared."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgefuse.synthetic.cast.car_parts import CarMesh, Part
from edgefuse.synthetic.cast.car_shape import HALF_LENGTH_METRES, CarShape, car_mesh
from edgefuse.synthetic.drawing import Camera, Colour, Floats, Lighting, Sprite

__all__ = ["Car", "draw_car"]

_SUBPIXEL_BITS = 5
_NEAR_METRES = 0.6
_SMALLEST_PX = 6
_FINE_BELOW_PX = 110


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


@dataclass(frozen=True)
class _Raster:
    """The samples that a car is drawn with: a box of the image, and samples across a pixel."""

    left: int
    top: int
    right: int
    bottom: int
    samples: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of samples."""
        return (self.bottom - self.top) * self.samples, (self.right - self.left) * self.samples

    def to_samples(self, points: Floats) -> Floats:  # [N, 2] -> [N, 2]
        """Columns and rows of the image in samples of the box."""
        return np.asarray((points + 0.5 - np.array([self.left, self.top])) * self.samples - 0.5, np.float32)

    def directions(self, camera: Camera, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Floats:
        """Unit vectors from the camera through samples."""  # [N, 3]
        rays = camera.directions(
            (rows + 0.5) / self.samples - 0.5 + self.top, (columns + 0.5) / self.samples - 0.5 + self.left
        )
        return np.asarray(rays / np.sqrt(np.einsum("ij,ij->i", rays, rays))[:, None], np.float32)


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
    depths = camera.to_camera(world)[:, 2]
    if float(depths.max()) < _NEAR_METRES + 1.0:
        return None
    whole = np.minimum.reduceat(depths, mesh.starts[:-1]) > _NEAR_METRES
    points = camera.project(world[depths > _NEAR_METRES])[:, :2]
    box = _box(camera, points, samples)
    if box is None:
        return None
    outline = np.zeros((len(world), 2), np.float32)
    outline[depths > _NEAR_METRES] = box.to_samples(points)
    index = _fill(mesh, outline, box.shape, whole, axes @ (np.array(camera.position, np.float32) - foot))
    layers = _shade(car, index, box, camera=camera, lighting=lighting, axes=axes, foot=foot)
    if box.samples > 1:
        size = box.right - box.left, box.bottom - box.top
        layers = np.asarray(cv2.resize(layers, size, interpolation=cv2.INTER_AREA), np.float32)
    alpha = layers[..., 4].copy()
    layers[..., :4] /= np.maximum(alpha, 1e-3)[..., None]
    # Wet ground mirrors it about the line where its nearer end meets the road.
    end = foot - np.sign(ahead @ camera.forward) * np.float32(0.95 * HALF_LENGTH_METRES) * ahead
    end_depth = max(float(camera.to_camera(end[None])[0, 2]), _NEAR_METRES)
    foot_row = camera.horizon_v + (camera.position[1] - float(foot[1])) * camera.focal_px / end_depth
    depth = float(camera.to_camera(foot[None])[0, 2])
    return Sprite(
        box.top, box.left, alpha, layers[..., :3].copy(), layers[..., 3].copy(), depth, foot_row, person=False
    )


def _box(camera: Camera, points: Floats, samples: int | None) -> _Raster | None:
    """Where the car lies in the image; one that drives past the camera is cut at the image's sides."""
    left, top = (int(np.floor(c)) - 1 for c in points.min(axis=0))
    right, bottom = (int(np.ceil(c)) + 2 for c in points.max(axis=0))
    if left >= camera.width or right <= 0 or top >= camera.height or bottom <= 0 or bottom - top < _SMALLEST_PX:
        return None
    if samples is None:
        samples = 2 if bottom - top < _FINE_BELOW_PX else 1
    return _Raster(max(left, -1), max(top, -1), min(right, camera.width + 1), min(bottom, camera.height + 1), samples)


def _fill(
    mesh: CarMesh, outline: Floats, shape: tuple[int, int], whole: NDArray[np.bool_], eye: Floats
) -> NDArray[np.int32]:
    """Which polygon each sample shows, or −1: those that face the camera, painted from far to near."""
    toward = eye - mesh.middles
    facing = (np.einsum("ij,ij->i", mesh.normals, toward) > 0) & whole
    order = np.lexsort((-np.einsum("ij,ij->i", toward, toward), mesh.layers))
    fixed = np.rint(outline * (1 << _SUBPIXEL_BITS)).astype(np.int32)
    index = np.full(shape, -1, np.int32)
    starts = mesh.starts.tolist()
    for i in order[facing[order]].tolist():
        cv2.fillConvexPoly(index, fixed[starts[i] : starts[i + 1]], i, shift=_SUBPIXEL_BITS)
    return index


def _shade(
    car: Car,
    index: NDArray[np.int32],
    box: _Raster,
    *,
    camera: Camera,
    lighting: Lighting,
    axes: Floats,
    foot: Floats,
) -> Floats:
    """Radiance, temperature and coverage of each sample."""  # [h, w, 5]
    mesh = car_mesh(car.shape)
    rows, columns = np.nonzero(index >= 0)
    material = mesh.materials[index[rows, columns]]
    scale = box.samples * camera.focal_px / max(float(camera.to_camera(foot[None])[0, 2]), 1.0)
    normal, along = _smooth(mesh, index, material, rows, columns, sigma=0.05 * scale)
    normal = normal @ axes

    view = box.directions(camera, rows, columns)
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
        for _ in range(6):  # to the power of 64: a soft image of the lamp in the lacquer
            np.square(spot, out=spot)
        shine += spot[:, None] * (7.0 * colour)
    fresnel = look.gloss[material] * (0.05 + 0.95 * (1.0 - cosine) ** 5)

    layers = np.zeros((*index.shape, 5), np.float32)
    layers[rows, columns, :3] = look.albedo[material] * light + fresnel[:, None] * shine
    # Headlamps throw their light ahead: from the side one sees little of it.
    ahead = np.clip(-(view @ axes[2]), 0.0, 1.0) ** 12
    lobe = np.where(material == Part.HEADLAMP, 0.05 + 0.95 * ahead, np.maximum(cosine, 0.25))
    layers[rows, columns, :3] += look.emission[material] * lobe[:, None]
    layers[rows, columns, 3] = _temperature(car, look, material, along, normal)
    layers[rows, columns, 4] = 1.0
    return layers


def _smooth(
    mesh: CarMesh,
    index: NDArray[np.int32],
    material: NDArray[np.uint8],
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    *,
    sigma: float,
) -> tuple[Floats, Floats]:  # [N, 3], [N]
    """Normals in car axes and places along the car, blended across the flat pieces of paint and of glass."""
    which = index[rows, columns]
    pieces = np.concatenate([mesh.normals, mesh.middles[:, 2:], np.ones_like(mesh.middles[:, 2:])], axis=1)[which]
    if sigma > 0.5:
        # Two box filters of this width spread about as far as a Gaussian, in time that does not grow with it.
        window = (round(2.4 * sigma) | 1,) * 2
        for part in (Part.PAINT, Part.GLASS):
            curved = material == part
            at = rows[curved], columns[curved]
            field = np.zeros((*index.shape, 5), np.float32)
            field[at] = pieces[curved]
            pieces[curved] = cv2.blur(cv2.blur(field, window), window)[at]
        pieces[:, 3:] /= np.maximum(pieces[:, 4:], 1e-6)
    normal = pieces[:, :3]
    normal /= np.maximum(np.sqrt(np.einsum("ij,ij->i", normal, normal)), 1e-6)[:, None]
    return normal, pieces[:, 3]


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
            Part.EXHAUST: ((0.10, 0.10, 0.10), (0, 0, 0), 0.6, 48.0 if on else 6.5),
            Part.GRILLE: ((0.010, 0.010, 0.010), (0, 0, 0), 0.4, 26.0 if on else 6.5),
        }
        padded = [((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), 0.0, 0.0), *(rows[part] for part in range(1, Part.COUNT))]
        albedo, emission, gloss, celsius = zip(*padded, strict=True)
        return cls(*(np.array(column, np.float32) for column in (albedo, emission, gloss, celsius)))


def _temperature(car: Car, look: _Look, material: NDArray[np.uint8], along: Floats, normal: Floats) -> Floats:  # [N]
    """Apparent temperature: a warm bonnet, and the cold sky mirrored by paint and glass that face up."""
    temp = look.celsius[material]
    upward = np.clip(normal[:, 1], 0.0, 1.0)
    skin = (material == Part.PAINT) | (material == Part.GLASS)
    mirrored = np.where(material == Part.GLASS, 6.5, 3.8) * upward * skin
    bonnet = np.exp(-(((along - 1.5) / 0.55) ** 2)) * (material == Part.PAINT) * (0.4 + 0.6 * upward)
    temp = temp - mirrored + bonnet * (car.bonnet_celsius - look.celsius[Part.PAINT])
    return np.asarray(temp, np.float32)
