"""The laid-out street."""

from __future__ import annotations

import numpy as np
import pytest

from edgefuse.synthetic.street import build_street
from edgefuse.synthetic.street.builder import FRONT_RIGHT
from edgefuse.synthetic.street.facades import Facade


@pytest.mark.parametrize("seed", [0, 1, 99, 2**31 - 1])
def test_every_seed_has_houses_lamps_and_things_to_pass_behind(seed: int) -> None:
    """Faces refer only to occluders that exist; all numbers are finite."""
    street = build_street(seed)
    assert len(street.ground) == 7
    assert sum(light.kind == "lamp" for light in street.lighting.lights) >= 6
    assert {face.occluder for face in street.faces} - {0} == set(range(1, len(street.occluders) + 1))
    for face in (*street.ground, *street.faces):
        assert np.isfinite(face.corners).all()
        np.testing.assert_allclose(np.linalg.norm(face.normal), 1.0, rtol=1e-5)


def test_same_seed_is_the_same_street() -> None:
    """Corners and lights are equal; another seed differs."""
    first, second, other = build_street(4), build_street(4), build_street(5)
    assert first.lighting == second.lighting
    assert all(np.array_equal(a.corners, b.corners) for a, b in zip(first.faces, second.faces, strict=True))
    assert first.lighting != other.lighting


def test_ground_faces_up_and_fronts_face_the_street() -> None:
    """Otherwise no lamp would light them."""
    street = build_street(0)
    assert sum(face.normal[1] > 0.99 for face in street.ground) >= 5
    fronts = [
        face for face in street.faces if isinstance(face.material, Facade) and face.origin[0] == np.float32(FRONT_RIGHT)
    ]
    assert len(fronts) == 8
    assert all(face.normal[0] < -0.99 for face in fronts)


def test_near_shops_are_open_and_named_apart() -> None:
    """They make the picture: light, and names that can be told from each other."""
    fronts = [face.material for face in build_street(2).faces if isinstance(face.material, Facade)]
    shops = [shop for front in fronts for shop in front.shops]
    assert len({shop.name for shop in shops}) == len(shops) >= 8
    assert all(max(shop.room) > 0 for shop in shops[:4])
