"""The protocol of all losses: pictures and context in, one scalar out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from edgefuse.errors import UsageError

__all__ = ["Loss", "LossContext"]


@dataclass(frozen=True)
class LossContext:
    """What some losses need beside the three pictures, under the names that models give it.

    Attributes:
        residual_map: Output of RPFNet's auxiliary decoder, M' of its Eq. 6-7, in [0, 1].  # [B, 1, H, W]
        structure_maps: Predicted structure maps S of SSPFusion, every scale and source, in [0, 1].  # each [B, C, h, w]
        structure_targets: The self-supervised maps S^gt that they are held against, in the same order.
        teacher: What the teacher that the recipe names makes of the pair, in [0, 1].  # [B, 1, H, W]
    """

    residual_map: Tensor | None = None
    structure_maps: tuple[Tensor, ...] = ()
    structure_targets: tuple[Tensor, ...] = ()
    teacher: Tensor | None = None

    @classmethod
    def from_outputs(cls, outputs: Mapping[str, Any], *, teacher: Tensor | None = None) -> LossContext:
        """Take from a model's training outputs what losses may need.

        Args:
            outputs: Outputs by name; those that are no fields, such as ``fused``, are passed over.
            teacher: A teacher's picture of the same pair, which is no output of the model.

        Returns:
            The context.

        Example:
            >>> LossContext.from_outputs({"fused": None}).structure_maps
            ()
        """
        return cls(
            residual_map=outputs.get("residual_map"),
            structure_maps=tuple(outputs.get("structure_maps", ())),
            structure_targets=tuple(outputs.get("structure_targets", ())),
            teacher=teacher,
        )

    def pick(self, needed: tuple[str, ...], *, by: str) -> dict[str, object]:
        """Return the named fields, all of them filled.

        Args:
            needed: Field names.
            by: The loss that needs them.

        Returns:
            The fields by name.

        Raises:
            UsageError: A field is empty: neither the model that trains nor a teacher gives it.
        """
        picked = {name: getattr(self, name) for name in needed}
        empty = [name for name, value in picked.items() if value is None or (isinstance(value, tuple) and not value)]
        if empty:
            raise UsageError(
                f"{by} needs {', '.join(empty)}, which this training does not give; take another loss or model"
            )
        return picked


class Loss(nn.Module):
    """A loss function with its options bound.

    Attributes:
        needs: Fields of ``LossContext`` that the function takes beside the pictures, as keywords.
        options: The bound options by name.
    """

    needs: tuple[str, ...] = ()

    def __init__(self, function: Callable[..., Tensor], **options: object) -> None:
        super().__init__()
        self.options = options
        self._function = function

    def forward(self, fused: Tensor, ir: Tensor, vis: Tensor, context: LossContext | None = None) -> Tensor:
        """Return the loss of a batch.

        Args:
            fused: The fused luminance, in [0, 1].  # [B, 1, H, W]
            ir: The infrared image.  # [B, 1, H, W]
            vis: The visible luminance.  # [B, 1, H, W]
            context: What else the training step knows; a loss without ``needs`` ignores it.

        Returns:
            The mean over the batch.  # []

        Raises:
            InputError: The pictures differ in shape or are no (B, 1, H, W) tensors.
            UsageError: The context lacks a field of ``needs``.
        """
        needed = (context or LossContext()).pick(self.needs, by=type(self).__name__)
        return self._function(fused, ir, vis, **needed, **self.options)

    def extra_repr(self) -> str:
        """Options as shown by ``print(loss)``."""
        return ", ".join(f"{name}={value!r}" for name, value in self.options.items())
