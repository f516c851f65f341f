"""The weights of the gradient loss: which terms are on, how strongly, over which scales."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from edgefuse.errors import UsageError

__all__ = ["TERMS", "MagnitudeNorm", "TermWeights"]

MagnitudeNorm = Literal["l1", "l2"]
_NORMS = get_args(MagnitudeNorm)

TERMS = ("magnitude", "angle", "direction", "max_magnitude")
"""The terms in the order in which every backend reports them."""


@dataclass(frozen=True)
class TermWeights:
    """Weight of each term; a term of weight zero is not computed.

    Attributes:
        magnitude: Weight of the distance between gradient magnitudes.
        magnitude_norm: ``"l1"`` for the mean absolute distance, ``"l2"`` for the mean square.
        angle: Weight of one minus the cosine between gradients.
        direction: Weight of the per-axis, sign-preserving term.
        scale_weights: Weight of each scale of the direction term, the finest first.
        max_magnitude: Weight of the L1 distance of ``|Gx| + |Gy|`` to the larger source value.
    """

    magnitude: float
    magnitude_norm: MagnitudeNorm
    angle: float
    direction: float
    scale_weights: tuple[float, ...]
    max_magnitude: float

    def __post_init__(self) -> None:
        if self.magnitude_norm not in _NORMS:
            allowed = ", ".join(repr(norm) for norm in _NORMS)
            raise UsageError(f"magnitude_norm must be one of {allowed}, got {self.magnitude_norm!r}")
        if not self.scale_weights:
            raise UsageError("scales must name at least one scale")
        for name, value in (*((name, getattr(self, name)) for name in TERMS), ("scales", sum(self.scale_weights))):
            if not math.isfinite(value):
                raise UsageError(f"{name} must be finite, got {value!r}")
        if not self.active:
            raise UsageError(f"every term has weight 0; give one of {', '.join(TERMS)} a weight")

    @classmethod
    def build(
        cls,
        *,
        magnitude: float,
        magnitude_norm: MagnitudeNorm,
        angle: float,
        direction: float,
        scales: int | Sequence[float],
        max_magnitude: float,
    ) -> TermWeights:
        """Build the weights from the arguments of ``gradient_loss``, an integer ``scales`` weighing each scale 1."""
        scale_weights = (1.0,) * scales if isinstance(scales, int) else tuple(float(weight) for weight in scales)
        return cls(
            float(magnitude), magnitude_norm, float(angle), float(direction), scale_weights, float(max_magnitude)
        )

    @property
    def active(self) -> tuple[str, ...]:
        """Names of the terms that count."""
        return tuple(name for name in TERMS if getattr(self, name) != 0)

    @property
    def n_scales(self) -> int:
        """Number of scales that are visited: the direction term alone has more than one."""
        return len(self.scale_weights) if self.direction != 0 else 1
