"""A small renderer: a level camera, flat faces with procedural materials, lights, and sprites laid over the picture."""

from __future__ import annotations

from edgefuse.synthetic.drawing.camera import Camera, Floats
from edgefuse.synthetic.drawing.lighting import Light, Lighting
from edgefuse.synthetic.drawing.raster import GBuffer, draw_faces
from edgefuse.synthetic.drawing.sprites import Sprite
from edgefuse.synthetic.drawing.surfaces import Colour, Face, Hit, Material, Point, Surface, linear, rectangle
from edgefuse.synthetic.drawing.textures import (
    fractal,
    hashed,
    lettering,
    noise_tile,
    sample_grid,
    sample_image,
    smoothstep,
)

__all__ = [
    "Camera",
    "Colour",
    "Face",
    "Floats",
    "GBuffer",
    "Hit",
    "Light",
    "Lighting",
    "Material",
    "Point",
    "Sprite",
    "Surface",
    "draw_faces",
    "fractal",
    "hashed",
    "lettering",
    "linear",
    "noise_tile",
    "rectangle",
    "sample_grid",
    "sample_image",
    "smoothstep",
]
