"""Fusion metrics in the conventions of the field.

:func:`evaluate` scores one fused image; :mod:`edgefuse.metrics.study` compares methods on folders, and
:mod:`edgefuse.metrics.tasks` runs detectors and segmenters on what they fused.
"""

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
from edgefuse.metrics.corruption import Corruption, parse_corruption
from edgefuse.metrics.evaluate import Scores, evaluate
from edgefuse.metrics.ranking import average_ranks, rank_of_ranks
from edgefuse.metrics.retention import target_retention
from edgefuse.metrics.scene import UndefinedError
from edgefuse.metrics.spectrum import SpectralScores, spectral_scores

__all__ = [
    "CONVENTIONS",
    "LOWER_IS_BETTER",
    "PROFILES",
    "Convention",
    "ConventionName",
    "Corruption",
    "Formula",
    "ProfileName",
    "Scores",
    "SpectralScores",
    "UndefinedError",
    "average_ranks",
    "evaluate",
    "find_convention",
    "parse_corruption",
    "rank_of_ranks",
    "spectral_scores",
    "target_retention",
]
