"""The losses of the five systems: one idea a file, each a plain function with a thin module of the same options.

Every loss takes the pictures in the order ``(fused, ir, vis)``, (B, 1, H, W) tensors in [0, 1], and returns one
scalar, the mean over the batch. ``‖x‖₁`` of the papers is read as the mean of ``|x|`` and ``‖x‖₂`` as the mean of
``x²``, as code of this field does, so that a weight means the same at every crop and batch size. Values and gradients
are finite on flat, black and identical pictures, in half precision and under autocast.

- A **function** such as ``ssim(fused, ir, vis, *, ir_weight=0.5, vis_weight=0.5)`` takes its options as keywords, and
  further tensors where the paper's loss has them.
- A **module** such as ``SSIMLoss(ir_weight=0.5, vis_weight=0.5)`` is a ``Loss``: ``forward(fused, ir, vis, context)``.
  Where a loss needs more than the pictures it names the fields of ``LossContext`` in ``needs``, and refuses to run
  without them.
- ``create(name, **config)`` builds a module by name, ``names()`` lists them.
- ``compose(table)`` builds a recipe's ``WeightedSum``; its ``report`` returns the total and every term by label.

Example:
    >>> import torch
    >>> ir, vis = torch.rand(2, 1, 32, 32), torch.rand(2, 1, 32, 32)
    >>> total = compose({"gradient": {"loss": "direction_aware", "weight": 10}, "max_intensity": {}})
    >>> sorted(total.report(torch.maximum(ir, vis), ir, vis).terms)
    ['gradient', 'max_intensity']
"""

from edgefuse.losses._protocol import Loss, LossContext
from edgefuse.losses.angle_gradient import AngleGradientLoss, angle_gradient
from edgefuse.losses.direction_aware import DirectionAwareLoss, direction_aware
from edgefuse.losses.distillation import DistillationLoss, distillation
from edgefuse.losses.frequency_contrastive import FrequencyContrastiveLoss, adaptive_weight, frequency_contrastive
from edgefuse.losses.max_gradient import MaxGradientLoss, max_gradient
from edgefuse.losses.max_intensity import MaxIntensityLoss, max_intensity
from edgefuse.losses.registry import create, names
from edgefuse.losses.saliency_structure import SaliencyStructureLoss, saliency_structure
from edgefuse.losses.ssim import SSIMLoss, ssim
from edgefuse.losses.structure_charbonnier import StructureCharbonnierLoss, structure_charbonnier
from edgefuse.losses.structure_dice import StructureDiceLoss, structure_dice
from edgefuse.losses.synthesised_reference import SynthesisedReferenceLoss, synthesise_reference, synthesised_reference
from edgefuse.losses.target_contrast import TargetContrastLoss, target_contrast
from edgefuse.losses.variance_guided import VarianceGuidedLoss, variance_guided
from edgefuse.losses.weighted_intensity import WeightedIntensityLoss, weighted_intensity
from edgefuse.losses.weighted_sum import LossReport, WeightedSum, compose

__all__ = [
    "AngleGradientLoss",
    "DirectionAwareLoss",
    "DistillationLoss",
    "FrequencyContrastiveLoss",
    "Loss",
    "LossContext",
    "LossReport",
    "MaxGradientLoss",
    "MaxIntensityLoss",
    "SSIMLoss",
    "SaliencyStructureLoss",
    "StructureCharbonnierLoss",
    "StructureDiceLoss",
    "SynthesisedReferenceLoss",
    "TargetContrastLoss",
    "VarianceGuidedLoss",
    "WeightedIntensityLoss",
    "WeightedSum",
    "adaptive_weight",
    "angle_gradient",
    "compose",
    "create",
    "direction_aware",
    "distillation",
    "frequency_contrastive",
    "max_gradient",
    "max_intensity",
    "names",
    "saliency_structure",
    "ssim",
    "structure_charbonnier",
    "structure_dice",
    "synthesise_reference",
    "synthesised_reference",
    "target_contrast",
    "variance_guided",
    "weighted_intensity",
]
