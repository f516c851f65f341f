"""A simulated scene as an infrared and a visible camera would see it."""

from __future__ import annotations

from edgefuse.synthetic.mount import InfraredMount
from edgefuse.synthetic.scene import ScenePair, StreetScene

__all__ = ["InfraredMount", "ScenePair", "StreetScene"]
