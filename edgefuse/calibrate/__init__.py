"""Finding the geometry between an infrared and a visible camera, and keeping it in a file."""

from edgefuse.calibrate.auto import AutoMatch, find_homography
from edgefuse.calibrate.boards import BoardKind, find_board, from_boards
from edgefuse.calibrate.calibration import METHODS, Calibration, Method
from edgefuse.calibrate.points import from_points, reprojection_rms
from edgefuse.calibrate.timing import TimeOffset, find_time_offset

__all__ = [
    "METHODS",
    "AutoMatch",
    "BoardKind",
    "Calibration",
    "Method",
    "TimeOffset",
    "find_board",
    "find_homography",
    "find_time_offset",
    "from_boards",
    "from_points",
    "reprojection_rms",
]
