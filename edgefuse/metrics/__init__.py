"""Fusion metrics in the conventions of the field."""

from __future__ import annotations

from edgefuse.metrics.conventions import (
    CONVENTIONS,
    LOWER_IS_BETTER,
    PROFILES,
    Convention,
    ConventionName,
    Formula,
    ProfileName,
    find_convention,
)
from edgefuse.metrics.evaluate import Scores, evaluate

__all__ = [
    "CONVENTIONS",
    "LOWER_IS_BETTER",
    "PROFILES",
    "Convention",
    "ConventionName",
    "Formula",
    "ProfileName",
    "Scores",
    "evaluate",
    "find_convention",
]
