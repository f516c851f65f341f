"""Flat faces drawn with a depth buffer into everything that both cameras need to know of a pixel."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgefuse.synthetic.drawing.camera import Camera, Floats
from edgefuse.synthetic.drawing.lighting import Lighting
from edgefuse.synthetic.drawing.surfaces import Face, Hit
from edgefuse.synthetic.drawing.textures import sample_grid

__all__ = ["GBuffer", "clip_to_view", "draw_faces"]

_SUBPIXEL_BITS = 6
_NEAR_METRES = 0.3


@dataclass
class GBuffer:
    """Per-sample layers of a view.

    Args:
        depth: Metres along the optical axis.  # [H, W]
        radiance: Visible light toward the camera, linear BGR.  # [H, W, 3]
        albedo: For light that is added later.  # [H, W, 3]
        normal: World normals, for the same purpose.  # [H, W, 3]
        temp_celsius: Apparent temperature.  # [H, W]
        wet: How mirror-like the ground is.  # [H, W]
        occluder: Number of the thing that covers the sample, or 0.  # [H, W]
    """

    depth: Floats
    radiance: Floats
    albedo: Floats
    normal: Floats
    temp_celsius: Floats
    wet: Floats
    occluder: NDArray[np.uint8]

    @classmethod
    def empty(cls, height: int, width: int) -> GBuffer:
        """Layers that nothing has been drawn into: infinitely far, black."""
        flat, colour = (height, width), (height, width, 3)
        return cls(
            depth=np.full(flat, np.inf, np.float32),
            radiance=np.zeros(colour, np.float32),
            albedo=np.zeros(colour, np.float32),
            normal=np.zeros(colour, np.float32),
            temp_celsius=np.zeros(flat, np.float32),
            wet=np.zeros(flat, np.float32),
            occluder=np.zeros(flat, np.uint8),
        )


def _clip(corners: Floats, plane: Floats, offset: float) -> Floats:  # [K, 3], [3] -> [M, 3]
    """The part of a polygon where plane · corner ≥ offset."""
    height = corners @ plane - np.float32(offset)
    kept: list[Floats] = []
    for index, corner in enumerate(corners):
        after = (index + 1) % len(corners)
        if height[index] >= 0:
            kept.append(corner)
        if (height[index] >= 0) != (height[after] >= 0):
            part = height[index] / (height[index] - height[after])
            kept.append(np.asarray(corner + part * (corners[after] - corner), np.float32))
    return np.array(kept, np.float32).reshape(-1, 3)


def clip_to_view(camera: Camera, corners: Floats) -> Floats:  # [K, 3] -> [M, 3]
    """The part of a polygon, in camera axes, that can be seen: beyond the near plane and between the image's sides."""
    left, right = -camera.centre_u - 1.0, camera.width - camera.centre_u
    below, above = camera.horizon_v - camera.height, camera.horizon_v + 1.0
    focal = camera.focal_px
    planes = ((0, 0, 1), (focal, 0, -left), (-focal, 0, right), (0, focal, -below), (0, -focal, above))
    for plane in planes:
        corners = _clip(corners, np.array(plane, np.float32), _NEAR_METRES if plane == planes[0] else 0.0)
        if len(corners) < 3:
            break
    return corners


def _coverage(camera: Camera, face: Face) -> tuple[NDArray[np.uint8], int, int] | None:
    """The samples that a face may cover: a mask over a box of the image, and the box's first row and column."""
    corners = clip_to_view(camera, camera.to_camera(face.corners))
    if len(corners) < 3:
        return None
    scale = camera.focal_px / corners[:, 2]
    u, v = camera.centre_u + corners[:, 0] * scale, camera.horizon_v - corners[:, 1] * scale
    left, right = max(0, int(u.min())), min(camera.width, int(u.max()) + 2)
    top, bottom = max(0, int(v.min())), min(camera.height, int(v.max()) + 2)
    if left >= right or top >= bottom:
        return None
    mask = np.zeros((bottom - top, right - left), np.uint8)
    outline = np.rint(np.stack([u - left, v - top], axis=1) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
    cv2.fillConvexPoly(mask, outline, 1, shift=_SUBPIXEL_BITS)
    return mask, top, left


@dataclass(frozen=True)
class _Plane:
    """The plane of a face as seen by a camera: depth = distance / (slope of the sample's direction)."""

    camera: Camera
    normal: Floats
    distance: float

    @classmethod
    def of(cls, camera: Camera, face: Face) -> _Plane:
        normal = face.normal
        return cls(camera, normal, float(normal @ (face.origin - np.array(camera.position, np.float32))))

    def depth(self, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Floats:  # [R], [C] -> [R, C]
        """Depth of the plane at a grid of samples; infinite or negative where they do not meet it."""
        camera = self.camera
        across = (columns - camera.centre_u) / camera.focal_px * float(self.normal @ camera.right)
        upward = (camera.horizon_v - rows) / camera.focal_px * float(self.normal[1])
        slope = (upward[:, None] + across[None, :] + float(self.normal @ camera.forward)).astype(np.float32)
        with np.errstate(divide="ignore"):
            return np.float32(self.distance) / slope


def _visible_samples(
    plane: _Plane, face: Face, depth: Floats
) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats] | None:
    """Rows, columns and depths of the samples where the face is in front of what is there already."""
    covered = _coverage(plane.camera, face)
    if covered is None:
        return None
    mask, top, left = covered
    bottom, right = top + mask.shape[0], left + mask.shape[1]
    z = plane.depth(np.arange(top, bottom), np.arange(left, right))
    rows, columns = np.nonzero((mask != 0) & (z > _NEAR_METRES) & (z < depth[top:bottom, left:right]))
    if rows.size == 0:
        return None
    return rows + top, columns + left, z[rows, columns]


def _light(
    plane: _Plane, face: Face, rows: NDArray[np.intp], columns: NDArray[np.intp], *, lighting: Lighting, step: int
) -> Floats:  # [N], [N] -> [N, 3]
    """Irradiance of samples of a face, from a coarse grid over it: on one plane light varies slowly."""
    top, left = int(rows.min()), int(columns.min())
    grid_rows = np.arange(top, int(rows.max()) + step, step)
    grid_columns = np.arange(left, int(columns.max()) + step, step)
    if grid_rows.size * grid_columns.size >= rows.size:
        grid_rows, grid_columns, step = np.arange(top, int(rows.max()) + 1), np.arange(left, int(columns.max()) + 1), 1
    z = plane.depth(grid_rows, grid_columns)
    z = np.where(np.isfinite(z) & (z > _NEAR_METRES), np.minimum(z, 500.0), np.float32(500.0)).ravel()
    flat_rows, flat_columns = (part.ravel() for part in np.meshgrid(grid_rows, grid_columns, indexing="ij"))
    points = np.array(plane.camera.position, np.float32) + z[:, None] * plane.camera.directions(flat_rows, flat_columns)
    coarse = lighting.irradiance(points, plane.normal, two_sided=face.two_sided)
    coarse = coarse.reshape(grid_rows.size, grid_columns.size, 3)
    return sample_grid(coarse, (columns - left) / step, (rows - top) / step)


def draw_faces(
    buffer: GBuffer, camera: Camera, faces: Iterable[Face], lighting: Lighting, *, light_step: int = 4
) -> None:
    """Draw faces into the layers, nearest kept, lit by the lights of the scene.

    Args:
        buffer: Layers of the camera's size, changed in place.
        camera: The view.
        faces: In any order.
        lighting: What lights them.
        light_step: Samples between the places of a face where its light is computed.
    """
    for face in faces:
        plane = _Plane.of(camera, face)
        samples = _visible_samples(plane, face, buffer.depth)
        if samples is None:
            continue
        rows, columns, z = samples
        direction = camera.directions(rows, columns)
        point = np.array(camera.position, np.float32) + z[:, None] * direction
        relative = point - face.origin
        hit = Hit(relative @ face.axis_s, relative @ face.axis_t, point, direction, z / np.float32(camera.focal_px))
        surface = face.material(hit)
        radiance = (
            surface.albedo * _light(plane, face, rows, columns, lighting=lighting, step=light_step) + surface.emission
        )
        keep: slice | NDArray[np.bool_] = slice(None) if surface.opaque is None else surface.opaque
        at = rows[keep], columns[keep]
        buffer.depth[at] = z[keep]
        buffer.radiance[at] = radiance[keep]
        buffer.albedo[at] = surface.albedo[keep]
        buffer.normal[at] = face.normal
        buffer.temp_celsius[at] = surface.temp_celsius[keep]
        buffer.wet[at] = surface.wet[keep]
        buffer.occluder[at] = face.occluder
