"""Networks in PyTorch, as rows measure them: weights, parameters, precision."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from edgefuse.bench.spec import Subject
from edgefuse.errors import UsageError
from edgefuse.manifest import Precision

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["build_network", "in_precision", "inference_parameters", "state_bytes"]

_SEED = 0


def build_network(subject: Subject) -> tuple[nn.Module, str]:
    """Build a subject's network with its weights, in evaluation mode; every process builds the same one.

    Args:
        subject: A subject of kind ``"model"``.

    Returns:
        The network, and where its weights came from.
    """
    import torch

    from edgefuse import models, zoo

    here = str(Path.cwd())
    if ":" in subject.source and here not in sys.path:
        sys.path.insert(0, here)
    torch.manual_seed(_SEED)
    bundled = not subject.config and subject.weights is None and zoo.weights(subject.source) is not None
    network = models.create(subject.source, pretrained=bundled, **dict(subject.config))
    if subject.weights is not None:
        models.load_weights(network, subject.weights)
        return network.eval(), Path(subject.weights).name
    if bundled:
        return network.eval(), "bundled"
    return network.eval(), f"random, seed {_SEED}"


def inference_parameters(network: nn.Module) -> int:
    """Number of learned numbers that inference needs: parts that only training uses do not count."""
    training_only = tuple(getattr(network, "training_only", ()))
    return sum(value.numel() for name, value in network.named_parameters() if not name.startswith(training_only))


def state_bytes(network: nn.Module) -> int:
    """Size of the tensors that inference needs."""
    training_only = tuple(getattr(network, "training_only", ()))
    state = ((name, value) for name, value in network.state_dict().items() if not name.startswith(training_only))
    return sum(value.numel() * value.element_size() for _, value in state)


def in_precision(network: nn.Module, precision: Precision) -> nn.Module:
    """A network that computes in a lower precision and still takes and returns float32.

    Args:
        network: The network; its weights are converted.
        precision: ``"fp32"``, ``"fp16"`` or ``"bf16"``.

    Returns:
        The network itself for ``"fp32"``.

    Raises:
        UsageError: PyTorch has no such precision for a whole network.
    """
    import torch
    from torch import nn

    if precision == "fp32":
        return network
    dtypes = {"fp16": torch.float16, "bf16": torch.bfloat16}
    if precision not in dtypes:
        raise UsageError(f"torch rows take fp32, fp16 or bf16, not {precision}: quantise at export and run that")
    dtype = dtypes[precision]

    class Lowered(nn.Module):
        """Converts at the borders."""

        def __init__(self) -> None:
            super().__init__()
            self.size_multiple = int(getattr(network, "size_multiple", 1))
            self.min_size = int(getattr(network, "min_size", 1))
            self.network = network.to(dtype)

        def forward(self, ir: torch.Tensor, vis: torch.Tensor) -> torch.Tensor:  # both [B, 1, H, W]
            fused: torch.Tensor = self.network(ir.to(dtype), vis.to(dtype))
            return fused

    return Lowered()
