"""Two live cameras: sources in processes of their own, pairing by time, thermal gain control, fusion, outputs."""

from edgefuse.stream.camera import Camera, CameraState, CameraStatus
from edgefuse.stream.config import CameraConfig, PairConfig, read_pair_file
from edgefuse.stream.frame import Frame, Role
from edgefuse.stream.profiles import PROFILES, ThermalProfile, profile
from edgefuse.stream.uri import KINDS, SourceUri, parse_uri, redact

__all__ = [
    "KINDS",
    "PROFILES",
    "Camera",
    "CameraConfig",
    "CameraState",
    "CameraStatus",
    "Frame",
    "PairConfig",
    "Role",
    "SourceUri",
    "ThermalProfile",
    "parse_uri",
    "profile",
    "read_pair_file",
    "redact",
]
