"""``direction-aware``: RPFNet's network, as the recipe of the direction-aware gradient loss trains it."""

from __future__ import annotations

from edgefuse.models.blocks import NormStatistics, Spectral
from edgefuse.models.registry import register
from edgefuse.models.rpfnet import RPFNet

__all__ = ["DirectionAware"]


@register("direction-aware")
class DirectionAware(RPFNet):
    """The network that carries the direction-aware gradient loss (Yang et al. 2025, arXiv 2510.13067).

    That paper has no network of its own: its term takes the place of the gradient's magnitude beside structural
    similarity and intensity, in any network. Here that is RPFNet's, with one difference: the statistics of its
    normalisation are held in training and at inference alike. By each image's own statistics, as ``rpfnet`` fuses, no
    picture can stay dark, and the gain follows the content of the frame; a loss on intensity could not be met.

    Args:
        channels: As for ``RPFNet``.
        iterations: As for ``RPFNet``.
        norm_statistics: As for ``RPFNet``.
        spectral: As for ``RPFNet``.
        recompute: As for ``RPFNet``.
    """

    def __init__(
        self,
        *,
        channels: int = 32,
        iterations: int = 3,
        norm_statistics: NormStatistics = "held",
        spectral: Spectral = "eager",
        recompute: bool = False,
    ) -> None:
        super().__init__(
            channels=channels,
            iterations=iterations,
            norm_statistics=norm_statistics,
            spectral=spectral,
            recompute=recompute,
        )
