"""Finding the geometry between an infrared and a visible camera, and keeping it in a file."""

from edgefuse.calibrate.calibration import METHODS, Calibration, Method
from edgefuse.calibrate.points import from_points, reprojection_rms

__all__ = ["METHODS", "Calibration", "Method", "from_points", "reprojection_rms"]
