"""Batch normalisation of a spectral convolution: its parameters and which statistics it uses."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

__all__ = ["Normalisation"]


@dataclass(frozen=True)
class Normalisation:
    """Arguments of ``torch.nn.functional.batch_norm`` over 2C interleaved channels.

    Attributes:
        gamma: Scale.  # [2C]
        beta: Shift.  # [2C]
        running_mean: Running mean, updated in place where ``training``.  # [2C] or None
        running_var: Running variance, updated in place where ``training``.  # [2C] or None
        training: Whether the statistics of the batch are used; without running statistics they always are.
        momentum: Share of the batch's statistics in an update of the running ones.
        eps: Added to the variance.
    """

    gamma: Tensor
    beta: Tensor
    running_mean: Tensor | None = None
    running_var: Tensor | None = None
    training: bool = True
    momentum: float = 0.1
    eps: float = 1e-5

    @property
    def by_batch(self) -> bool:
        """Whether the statistics are those of the batch."""
        return self.training or self.running_mean is None or self.running_var is None

    def __call__(self, planes: Tensor) -> Tensor:
        """Normalise planes by PyTorch.  # [B, 2C, H, W//2+1]"""
        return functional.batch_norm(
            planes,
            self.running_mean,
            self.running_var,
            self.gamma,
            self.beta,
            training=self.by_batch,
            momentum=self.momentum,
            eps=self.eps,
        )

    def update(self, mean: Tensor, biased_var: Tensor, count: int) -> None:
        """Move the running statistics towards those of a batch of ``count`` values a channel, as PyTorch does."""
        if not self.training or self.running_mean is None or self.running_var is None:
            return
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        self.running_var.lerp_((biased_var * (count / (count - 1))).to(self.running_var.dtype), self.momentum)
