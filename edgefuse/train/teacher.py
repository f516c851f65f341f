"""A trained network whose pictures another one learns from."""

from __future__ import annotations

from typing import Any

import torch

from edgefuse.errors import UsageError
from edgefuse.export.sources import resolve
from edgefuse.train.settings import Stage, TeacherSettings

__all__ = ["Teacher", "teacher_of"]


class Teacher:
    """A network that fuses what the losses compare with, while another one trains.

    Args:
        settings: Which network, with which weights.
        device: Where it runs, in fp32 whatever the precision of the training.
        crop_px: Side of the crops that it will see.

    Attributes:
        record: Its name and the origin and hash of its weights, for the record of the run.

    Raises:
        UsageError: The model is unknown or has no weights here, or does not take the crops.
        ArtifactError: The weights are missing, damaged, or of another network.
    """

    def __init__(self, settings: TeacherSettings, *, device: torch.device | str, crop_px: int) -> None:
        source = resolve(settings.model, weights=settings.weights)
        if source.network is None:
            raise UsageError(f"teacher.model is {settings.model}, a finished graph: name a network, and its weights")
        if crop_px % source.size_multiple or crop_px < source.min_size:
            raise UsageError(
                f"augmentation.crop_px is {crop_px}, but the teacher {settings.model} takes multiples of "
                f"{source.size_multiple} from {source.min_size} up"
            )
        self.record: dict[str, Any] = {
            "model": source.name,
            "config": dict(source.config),
            **{key: source.weights[key] for key in ("origin", "sha256") if key in source.weights},
        }
        self._network = source.network.to(device).requires_grad_(requires_grad=False)

    def fuse(self, ir: torch.Tensor, vis: torch.Tensor) -> torch.Tensor:
        """Fuse a batch.

        Args:
            ir: Infrared images, shape (B, 1, H, W), in [0, 1].
            vis: Luminance of the visible images, same shape.

        Returns:
            Its picture of them, shape (B, 1, H, W), in [0, 1].
        """
        with torch.no_grad():
            fused: torch.Tensor = self._network(ir, vis)
        return fused


def teacher_of(stage: Stage, *, device: torch.device | str) -> Teacher:
    """Load the teacher of a stage whose losses need one.

    Args:
        stage: The stage.
        device: Where the teacher runs.

    Returns:
        The teacher.

    Raises:
        UsageError: The recipe names none, or one that cannot teach here; see ``Teacher``.
        ArtifactError: Its weights are missing, damaged, or of another network.
    """
    if stage.teacher is None:
        raise UsageError("a loss needs a teacher: name one in the recipe, as in teacher.model = 'lite-plus'")
    return Teacher(stage.teacher, device=device, crop_px=stage.augmentation.crop_px)
