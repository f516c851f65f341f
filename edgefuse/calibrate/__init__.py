"""Finding the geometry between an infrared and a visible camera, and keeping it in a file."""

from edgefuse.calibrate.calibration import METHODS, Calibration, Method

__all__ = ["METHODS", "Calibration", "Method"]
