"""What stands still in the simulated street: ground, houses, lamps, trees, signs."""

from __future__ import annotations

from edgefuse.synthetic.street.ground import KERB_METRES, ROAD_LEFT, ROAD_RIGHT
from edgefuse.synthetic.street.layout import Street, build_street

__all__ = ["KERB_METRES", "ROAD_LEFT", "ROAD_RIGHT", "Street", "build_street"]
