"""EdgeFuse: infrared-visible image fusion from the paper to a camera on a moving machine."""

from __future__ import annotations

from edgefuse.errors import (
    ArtifactError,
    EdgeFuseError,
    InputError,
    MissingDependencyError,
    TrustError,
    UsageError,
)

__version__ = "0.1.0"

__all__ = [
    "ArtifactError",
    "EdgeFuseError",
    "InputError",
    "MissingDependencyError",
    "TrustError",
    "UsageError",
    "__version__",
]
