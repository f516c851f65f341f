"""The sum of losses that a recipe trains with, each term reported by name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from edgefuse.errors import UsageError
from edgefuse.losses._protocol import Loss, LossContext
from edgefuse.losses.registry import create

__all__ = ["LossReport", "WeightedSum", "compose"]


@dataclass(frozen=True)
class LossReport:
    """What a weighted sum came to.

    Attributes:
        total: The weighted sum, to call ``backward`` on.  # []
        terms: Every term before its weight, by its label, detached from the graph; no value has been synchronised.
    """

    total: Tensor
    terms: dict[str, Tensor]


class WeightedSum(nn.Module):
    """Sum of labelled losses, each times its weight; a term of weight 0 is not computed.

    Attributes:
        weights: The weight of each term by label, in order.
        needs: Fields of ``LossContext`` that the computed terms need.
    """

    def __init__(self, terms: Mapping[str, tuple[float, Loss]]) -> None:
        super().__init__()
        for label, (weight, _) in terms.items():
            if not math.isfinite(weight) or weight < 0:
                raise UsageError(f"the weight of loss term {label} must be finite and at least 0, got {weight!r}")
        if not any(weight > 0 for weight, _ in terms.values()):
            raise UsageError(f"a training needs a loss term with a weight above 0, got {', '.join(terms) or 'no term'}")
        self.weights = {label: float(weight) for label, (weight, _) in terms.items()}
        self.losses = nn.ModuleList([loss for _, loss in terms.values()])
        self.needs = tuple(sorted({field for weight, loss in terms.values() if weight > 0 for field in loss.needs}))

    def report(self, fused: Tensor, ir: Tensor, vis: Tensor, context: LossContext | None = None) -> LossReport:
        """Return the sum and each of its terms.

        Args:
            fused: The fused luminance, in [0, 1].  # [B, 1, H, W]
            ir: The infrared image.  # [B, 1, H, W]
            vis: The visible luminance.  # [B, 1, H, W]
            context: What else the training step knows.

        Returns:
            The total and the terms.

        Raises:
            InputError: The pictures differ in shape or are no (B, 1, H, W) tensors.
            UsageError: The context lacks what a term needs.
        """
        values = {
            label: loss(fused, ir, vis, context)
            for (label, weight), loss in zip(self.weights.items(), self.losses, strict=True)
            if weight > 0
        }
        total = torch.stack([self.weights[label] * value for label, value in values.items()]).sum()
        return LossReport(total=total, terms={label: value.detach() for label, value in values.items()})

    def forward(self, fused: Tensor, ir: Tensor, vis: Tensor, context: LossContext | None = None) -> Tensor:
        """Return the weighted sum for a batch; see ``report``."""
        return self.report(fused, ir, vis, context).total

    def extra_repr(self) -> str:
        """Weights as shown by ``print(loss)``."""
        return ", ".join(f"{label}: {weight:g}" for label, weight in self.weights.items())


def compose(terms: Mapping[str, Mapping[str, Any]]) -> WeightedSum:
    """Build the weighted sum that the ``losses`` table of a recipe describes.

    Args:
        terms: By label, a table of ``weight`` (default 1), ``loss`` (a name from ``names()``; default the label) and
            that loss's options.

    Returns:
        The sum.

    Raises:
        UsageError: A table, a name, an option or a weight is wrong; the message starts with the label.

    Example:
        >>> total = compose({"gradient": {"loss": "direction_aware", "weight": 10}, "ssim": {}})
        >>> total.weights
        {'gradient': 10.0, 'ssim': 1.0}
    """
    built: dict[str, tuple[float, Loss]] = {}
    for label, table in terms.items():
        if not isinstance(table, Mapping):
            raise UsageError(f"loss term {label} must be a table such as {{weight = 1.0}}, got {table!r}")
        options = dict(table)
        weight, name = options.pop("weight", 1.0), options.pop("loss", label)
        if isinstance(weight, bool) or not isinstance(weight, (int, float)):
            raise UsageError(f"the weight of loss term {label} must be a number, got {weight!r}")
        try:
            built[label] = (weight, create(name, **options))
        except UsageError as error:
            raise UsageError(f"loss term {label}: {error}") from error
    return WeightedSum(built)
