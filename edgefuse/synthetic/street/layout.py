"""The street itself: where everything stands, drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass

from edgefuse.synthetic.drawing import Face, Lighting, Point
from edgefuse.synthetic.street.builder import FRONT_RIGHT, WALL_LEFT, StreetBuilder
from edgefuse.synthetic.street.furniture import add_lamps, add_park, add_road_sign, add_small_things
from edgefuse.synthetic.street.ground import KERB_METRES, ROAD_LEFT, ROAD_RIGHT, Carriageway, Pavement, kerbstone
from edgefuse.synthetic.street.houses import STREET_METRES, add_blades, add_dark_side, add_far_end, add_lit_side

__all__ = ["Street", "build_street"]

_NIGHT_SKY = (0.0125, 0.0080, 0.0055)
_WORDS = ("SLOW", "BUS", "TAXI")


@dataclass(frozen=True)
class Street:
    """Everything that stands still.

    Args:
        ground: Carriageway and pavements.
        faces: All other surfaces.
        lighting: Its lights.
        occluders: Foot of each thing that something moving may pass behind; faces count them from 1.
    """

    ground: tuple[Face, ...]
    faces: tuple[Face, ...]
    lighting: Lighting
    occluders: tuple[Point, ...]


def _add_ground(builder: StreetBuilder) -> None:
    """Carriageway, kerbs and pavements; s runs along the street."""
    near, length = -4.0, STREET_METRES + 4.0
    along, kerb, curb = (0.0, 0.0, length), KERB_METRES, 0.3
    road = Carriageway(builder.seed, str(builder.rng.choice(_WORDS)), origin=(near, ROAD_LEFT))
    builder.face((ROAD_LEFT, 0, near), along, (ROAD_RIGHT - ROAD_LEFT, 0, 0), road)
    right, left = ROAD_RIGHT + curb, WALL_LEFT - 30.0
    slabs = Pavement(builder.seed + 5, (0.62, 0.42), (0.135, 0.145, 0.155))
    setts = Pavement(builder.seed + 6, (0.5, 0.5), (0.10, 0.11, 0.115))
    builder.face((right, kerb, near), along, (FRONT_RIGHT - right, 0, 0), slabs)
    builder.face((left, kerb, near), along, (ROAD_LEFT - curb - left, 0, 0), setts)
    builder.face((ROAD_RIGHT, kerb, near), along, (curb, 0, 0), kerbstone)
    builder.face((ROAD_LEFT - curb, kerb, near), along, (curb, 0, 0), kerbstone)
    builder.face((ROAD_RIGHT, 0, near), along, (0, kerb, 0), kerbstone)
    builder.face((ROAD_LEFT, 0, near + length), (0.0, 0.0, -length), (0, kerb, 0), kerbstone)


def build_street(seed: int) -> Street:
    """Lay out a street.

    Args:
        seed: Which street; the same seed gives the same street.

    Returns:
        Its surfaces and lights.
    """
    builder = StreetBuilder(seed)
    _add_ground(builder)
    ground = tuple(builder.faces)
    builder.faces.clear()
    for add in (
        add_lit_side, add_blades, add_dark_side, add_park, add_lamps, add_road_sign, add_small_things, add_far_end,
    ):  # fmt: skip
        add(builder)
    return Street(ground, tuple(builder.faces), Lighting(tuple(builder.lights), _NIGHT_SKY), tuple(builder.feet))
