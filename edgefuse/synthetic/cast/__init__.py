"""What moves in the simulated street: walking people, cars, and when they are where."""

from __future__ import annotations

from edgefuse.synthetic.cast.cars import Car, draw_car
from edgefuse.synthetic.cast.figures import draw_person
from edgefuse.synthetic.cast.members import MAX_CARS, MAX_PEDESTRIANS, Cast, build_cast
from edgefuse.synthetic.cast.motion import Pose, Way
from edgefuse.synthetic.cast.outfits import Outfit

__all__ = [
    "MAX_CARS",
    "MAX_PEDESTRIANS",
    "Car",
    "Cast",
    "Outfit",
    "Pose",
    "Way",
    "build_cast",
    "draw_car",
    "draw_person",
]
