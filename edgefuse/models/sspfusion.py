"""SSPFusion: structure maps, learnt from the features' own gradients, guide the fusion at every scale.

Yang et al., SSPFusion: A Semantic Structure-Preserving Approach for Multi-Modality Image Fusion. What the paper leaves
open is filled so:

- The structural feature extractor has one set of weights for both modalities, as RFN-Nest's encoder has, from which the
  paper takes its two-stage training. Its decoder without skip connections predicts the structure maps S^k and, in the
  first stage, the input again: RFN-Nest's first stage is an autoencoder, and without it S^k and its target, both made
  from the same features, would agree best on constants.
- Eq. (7) and (8) as printed have slips: the visible features of scale k appear in neither, so (8) is S^vi + F^ir
  whatever the masks are, and (7) would blank the infrared features exactly where the infrared structure is unique. M_ir
  and M_vi are taken as the two terms of Eq. (6), the structures that only the infrared and only the visible image has,
  and the equations as the pair that (8) shows with its last letter mended, each modality keeping its own features
  except where the other alone has structure::

      S'^ir = S^ir + (1 - M_vi) F^ir + M_vi F^vi
      S'^vi = S^vi + M_ir F^ir + (1 - M_ir) F^vi

  This is the reading under which "unique structures are enhanced" in both and the two are each other's mirror image.
- The residual channel attention block is RCAN's. U-Net's two convolutions a level, max pooling and skips are the rest.
- Widths and block counts are those with which both published costs are met: 12,074,626 parameters (paper: 12,021,649)
  and 1326.8 G multiply-adds at 640x480 (paper: 1332 G). The paper's "FLOPs" are multiply-adds: in the same table
  U2Fusion, all of whose convolutions run at full resolution, has 659.217 K parameters and 202.361 G at 640x480, which
  is to 0.1 % one multiply-add for each parameter and pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal, get_args

import torch
from torch import nn
from torch.nn import functional

from edgefuse.errors import UsageError
from edgefuse.models.base import FusionNetwork, require_choice, require_counts, require_positive
from edgefuse.models.blocks import ResidualChannelAttentionBlock
from edgefuse.models.registry import register

__all__ = ["SSPFusion", "structure_target", "unique_structures"]

TrainingStage = Literal["structure", "fusion"]


@register("sspfusion")
class SSPFusion(FusionNetwork):
    """SSPFusion; the fused image leaves a sigmoid.

    ``forward_train`` adds ``structure_maps``, the maps S^k in [0, 1] of the infrared image for k = 1 (finest) to N and
    then of the visible image, and ``structure_targets``, what Eq. (2) makes of the features in the same order, without
    gradient. In the ``"structure"`` stage it does not fuse, and its ``fused`` is the mean of the extractor's renderings
    of the two inputs: each depends on its own input alone, so that a loss which holds the mean against the mean of the
    inputs (weighted intensity, half and half) asks each for its input.

    The paper's Table 4 removes the extractor (F) by leaving its losses out, which is the recipe's business, and the
    structure-preserving fusion (P), which ``structure_preserving=False`` does.

    Args:
        widths: Channels at each of the N scales, finest first; the size multiple is 2 ** (N - 1).
        refining_blocks: Residual channel attention blocks before the fusion of each scale.
        decoder_blocks: Residual channel attention blocks of the decoder at each scale, finest first.
        structure_preserving: Enhances the features by Eq. (6)-(8) before they are fused.
        training_stage: ``"structure"`` or ``"fusion"``, what ``forward_train`` does; may be set anew between stages.
    """

    training_only = ("extractor.reconstruction.",)

    def __init__(
        self,
        *,
        widths: Sequence[int] = (80, 160, 240),
        refining_blocks: int = 3,
        decoder_blocks: Sequence[int] = (4, 2, 1),
        structure_preserving: bool = True,
        training_stage: TrainingStage = "fusion",
    ) -> None:
        super().__init__()
        self.training_stage = training_stage
        widths = require_counts("widths", widths)
        decoder_blocks = require_counts("decoder_blocks", decoder_blocks)
        require_positive("refining_blocks", refining_blocks)
        if len(widths) != len(decoder_blocks):
            raise UsageError(
                f"widths and decoder_blocks must have one entry a scale, not {widths!r}, {decoder_blocks!r}"
            )
        self.size_multiple = self.min_size = 2 ** (len(widths) - 1)
        self.extractor = _StructuralFeatureExtractor(widths)
        self.fusion = nn.ModuleList(
            _StructurePreservingFusion(width, blocks=refining_blocks, structure_preserving=structure_preserving)
            for width in widths
        )
        self.decoder = _Decoder(widths, blocks=decoder_blocks)

    def forward(self, ir: torch.Tensor, vis: torch.Tensor) -> torch.Tensor:  # both [B, 1, H, W]
        """Fuse a batch of pairs; see the base class."""
        self.check_pair(ir, vis)
        features = self.extractor.encode(torch.cat([ir, vis]))  # scale k: [2B, C_k, H/2^(k-1), W/2^(k-1)]
        structures, _ = self.extractor.decode(features)
        return self._fuse(features, structures)

    def forward_train(self, ir: torch.Tensor, vis: torch.Tensor) -> dict[str, Any]:  # both [B, 1, H, W]
        """Run the training stage on a batch of pairs; the base class has the arguments, this class the extras."""
        self.check_pair(ir, vis)
        features = self.extractor.encode(torch.cat([ir, vis]))
        structures, decoded = self.extractor.decode(features)
        if self.training_stage == "structure":
            ir_again, vis_again = self.extractor.reconstruction(decoded).chunk(2)
            fused = (ir_again + vis_again) / 2
        else:
            fused = self._fuse(features, structures)
        targets = [structure_target(scale) for scale in features]
        return {
            "fused": fused,
            "structure_maps": _by_modality(structures),
            "structure_targets": _by_modality(targets),
        }

    @property
    def training_stage(self) -> TrainingStage:
        """What ``forward_train`` does."""
        return self._training_stage

    @training_stage.setter
    def training_stage(self, stage: TrainingStage) -> None:
        self._training_stage: TrainingStage = require_choice("training_stage", stage, get_args(TrainingStage))

    def _fuse(self, features: list[torch.Tensor], structures: list[torch.Tensor]) -> torch.Tensor:
        """Fuse features and structure maps of both modalities, which lie one after the other in the batch."""
        fused = [
            fuse(scale, structure) for fuse, scale, structure in zip(self.fusion, features, structures, strict=True)
        ]
        image: torch.Tensor = self.decoder(fused)
        return image


def structure_target(features: torch.Tensor) -> torch.Tensor:  # [B, C, H, W]
    """Compute the self-supervised structure signal of feature maps (Eq. 2).

    Args:
        features: Feature maps, shape (B, C, H, W).

    Returns:
        Ones where the Sobel magnitude of a map is at most the map's mean, zeros elsewhere; same shape, no gradient.
    """
    features = features.detach()
    channels = features.shape[1]
    across = features.new_tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
    kernels = torch.stack([across, across.T])[:, None].repeat(channels, 1, 1, 1)  # [2C, 1, 3, 3]
    gradients = functional.conv2d(features, kernels, padding=1, groups=channels)  # [B, 2C, H, W]
    magnitude = torch.hypot(gradients[:, 0::2], gradients[:, 1::2])
    return (magnitude <= features.mean(dim=(2, 3), keepdim=True)).to(features.dtype)


def unique_structures(ir: torch.Tensor, vis: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # both [B, C, H, W]
    """Find the structures that only one modality has, the two terms of Eq. (5) and (6).

    Args:
        ir: Structure maps of the infrared images, in [0, 1], shape (B, C, H, W).
        vis: Structure maps of the visible images, same shape.

    Returns:
        Maps of what is structure in the infrared alone and in the visible alone; their sum is M^k of Eq. (6).
    """
    return ir * (1 - vis), vis * (1 - ir)


class _StructuralFeatureExtractor(nn.Module):
    """U-shape without skips: features F^k going down, structure maps S^k coming up (Eq. 1)."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        inputs = (1, *widths[:-1])
        self.encoders = nn.ModuleList(
            _convolutions(before, width, width) for before, width in zip(inputs, widths, strict=True)
        )
        self.decoders = nn.ModuleList(_convolutions(coarse, width, width) for width, coarse in pairwise(widths))
        self.heads = nn.ModuleList(nn.Sequential(nn.Conv2d(width, width, 1), nn.Sigmoid()) for width in widths)
        self.reconstruction = nn.Sequential(nn.Conv2d(widths[0], 1, 3, padding=1), nn.Sigmoid())

    def encode(self, images: torch.Tensor) -> list[torch.Tensor]:  # [B, 1, H, W]
        """Extract the features F^k, finest first."""
        features = [self.encoders[0](images)]
        for encoder in self.encoders[1:]:
            features.append(encoder(functional.max_pool2d(features[-1], 2)))
        return features

    def decode(self, features: list[torch.Tensor]) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Predict the structure maps S^k in [0, 1], finest first, and return the finest decoded features with them."""
        decoded = features[-1]
        structures = [self.heads[-1](decoded)]
        for decoder, head in zip(reversed(self.decoders), reversed(self.heads[:-1]), strict=True):
            decoded = decoder(_enlarge(decoded))
            structures.append(head(decoded))
        return structures[::-1], decoded


class _StructurePreservingFusion(nn.Module):
    """Fusion of one scale: refine each modality, exchange unique structures (Eq. 6-8), merge."""

    def __init__(self, width: int, *, blocks: int, structure_preserving: bool) -> None:
        super().__init__()
        self.refine = nn.Sequential(*[ResidualChannelAttentionBlock(width) for _ in range(blocks)])
        self.merge = nn.Conv2d(2 * width, width, 3, padding=1)
        self.structure_preserving = structure_preserving

    def forward(self, features: torch.Tensor, structures: torch.Tensor) -> torch.Tensor:  # both [2B, C, H, W]
        """Fuse the infrared half of the batch with the visible half, to shape (B, C, H, W)."""
        ir, vis = self.refine(features).chunk(2)
        if self.structure_preserving:
            ir_structure, vis_structure = structures.chunk(2)
            only_ir, only_vis = unique_structures(ir_structure, vis_structure)
            ir, vis = (
                ir_structure + (1 - only_vis) * ir + only_vis * vis,
                vis_structure + only_ir * ir + (1 - only_ir) * vis,
            )
        merged: torch.Tensor = self.merge(torch.cat([ir, vis], dim=1))
        return merged


class _Decoder(nn.Module):
    """Climb from the coarsest fused features to the image, joined by the fused features of every scale."""

    def __init__(self, widths: tuple[int, ...], *, blocks: tuple[int, ...]) -> None:
        super().__init__()
        self.refine = nn.ModuleList(
            nn.Sequential(*[ResidualChannelAttentionBlock(width) for _ in range(count)])
            for width, count in zip(widths, blocks, strict=True)
        )
        finer = list(pairwise(widths))
        self.ups = nn.ModuleList(_convolutions(coarse, width) for width, coarse in finer)
        self.joins = nn.ModuleList(_convolutions(2 * width, width) for width, _ in finer)
        self.output = nn.Sequential(nn.Conv2d(widths[0], 1, 3, padding=1), nn.Sigmoid())

    def forward(self, scales: list[torch.Tensor]) -> torch.Tensor:
        """Render the fused image, shape (B, 1, H, W), from the fused features, finest first."""
        *finer, x = scales
        x = self.refine[-1](x)
        steps = zip(self.ups, self.joins, self.refine, finer, strict=False)
        for up, join, refine, scale in reversed(list(steps)):
            x = refine(join(torch.cat([up(_enlarge(x)), scale], dim=1)))
        image: torch.Tensor = self.output(x)
        return image


def _convolutions(*channels: int) -> nn.Sequential:
    """Chain 3x3 convolutions with ReLU through the given channel counts."""
    layers: list[nn.Module] = []
    for before, after in pairwise(channels):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers)


def _enlarge(x: torch.Tensor) -> torch.Tensor:  # [B, C, H, W]
    """Double the size, to shape (B, C, 2H, 2W)."""
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def _by_modality(scales: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
    """Split maps of both modalities, which lie one after the other in the batch, into infrared then visible scales."""
    halves = [scale.chunk(2) for scale in scales]
    return tuple(half[modality] for modality in (0, 1) for half in halves)
