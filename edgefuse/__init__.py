"""EdgeFuse: infrared-visible image fusion from the paper to a camera on a moving machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgefuse.errors import (
    ArtifactError,
    EdgeFuseError,
    InputError,
    MissingDependencyError,
    TrustError,
    UsageError,
)

__version__ = "0.1.0"

if TYPE_CHECKING:
    from edgefuse.fuser import Fuser, load

__all__ = [
    "ArtifactError",
    "EdgeFuseError",
    "Fuser",
    "InputError",
    "MissingDependencyError",
    "TrustError",
    "UsageError",
    "__version__",
    "load",
]

_LAZY = {"Fuser": "edgefuse.fuser", "load": "edgefuse.fuser"}


def __getattr__(name: str) -> Any:
    """Import OpenCV and the runtimes only when the first image is fused."""
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
