"""What ``lite`` and ``lite-plus`` share: a blend of the sources whose coefficients live on cells of 4×4 px."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from edgefuse.models.base import FusionNetwork

__all__ = ["BASES", "CELL_PX", "CellBlend", "CellNetwork", "Cells", "ContextTrunk", "convolution"]

CELL_PX = 4
_PIXELS = CELL_PX * CELL_PX
BASES = 3
_START = (0.25, -0.75, 0.5)


class Cells(NamedTuple):
    """A pair on cells.

    Attributes:
        planes: ir, −vis and e.  # 3 × [B, 16, H/4, W/4]
        stacked: The same in one.  # [B, 48, H/4, W/4]
    """

    planes: tuple[torch.Tensor, ...]
    stacked: torch.Tensor


class CellBlend(nn.Module):
    """Blend of infrared, visible and their positive difference, by coefficients that vary smoothly.

    With e = max(ir − vis, 0), so that vis + e is the pixel-wise maximum of the sources,

        fused = p·ir + q·(−vis) + r·e + c.

    All of it is done on cells: a plane (B, 1, H, W) is held as (B, 16, H/4, W/4), the 16 pixels of a cell being
    channels, and coefficients reach the pixels by bilinear enlargement, which on cells is a 3×3 convolution with 16
    outputs. On a CPU this takes a third of the time of enlarging planes and blending at full resolution.

    c is not predicted itself but through the change of the cell's brightness: with bars for means over the cell and δ
    for what p, q and r differ from where they start, c = change − (δp·īr − δq·v̄is + δr·ē). So a trunk sets contrast and
    brightness apart. At first p = 0.25, q = −0.75 and r = 0.5: a quarter of each source and half of the brighter one.
    """

    split: torch.Tensor
    enlarge: torch.Tensor
    mean: torch.Tensor
    start: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        constants = {
            "split": torch.eye(_PIXELS).reshape(_PIXELS, 1, CELL_PX, CELL_PX),
            "enlarge": _bilinear_kernel(),
            "mean": torch.eye(BASES).repeat_interleave(_PIXELS, dim=1).reshape(BASES, -1, 1, 1) / _PIXELS,
            "start": torch.tensor(_START).repeat_interleave(_PIXELS).reshape(BASES, _PIXELS),
        }
        for name, constant in constants.items():
            self.register_buffer(name, constant, persistent=False)

    def cells(self, ir: torch.Tensor, vis: torch.Tensor) -> Cells:
        """Bring a pair onto cells.

        Args:
            ir: Infrared images.  # [B, 1, H, W]
            vis: Visible luminance.  # [B, 1, H, W]

        Returns:
            What the blend is made of.
        """
        warm = functional.conv2d(ir, self.split, stride=CELL_PX)
        dark = functional.conv2d(vis, -self.split, stride=CELL_PX)
        planes = (warm, dark, functional.relu(warm + dark))
        # Runtimes keep convolutions' channels in blocks: planes that were cut out of the stack would be reordered.
        return Cells(planes, torch.cat(planes, dim=1))

    def forward(self, cells: Cells, maps: torch.Tensor, details: torch.Tensor | None = None) -> torch.Tensor:
        """Blend.

        Args:
            cells: The pair.
            maps: δp, δq, δr and change of each cell.  # [B, 4, h, w]
            details: What to add to p, q, r and c at each pixel, 16 channels each.  # [B, 64, h, w]

        Returns:
            The fused pictures, not clamped.  # [B, 1, 4·h, 4·w]
        """
        delta, change = torch.split(maps, [BASES, 1], dim=1)
        lifted = (delta * functional.conv2d(cells.stacked, self.mean)).sum(dim=1, keepdim=True)
        smooth = functional.pad(torch.cat([delta, change - lifted], dim=1), (1, 1, 1, 1), mode="replicate")
        biases = (*self.start.unbind(), None)
        pixels = [
            functional.conv2d(plane, self.enlarge, bias)
            for plane, bias in zip(torch.split(smooth, 1, dim=1), biases, strict=True)
        ]  # 4 × [B, 16, h, w]
        if details is not None:
            pixels = [
                plane + detail for plane, detail in zip(pixels, torch.split(details, _PIXELS, dim=1), strict=True)
            ]
        *coefficients, total = pixels
        for coefficient, source in zip(coefficients, cells.planes, strict=True):
            total = total + coefficient * source
        return functional.pixel_shuffle(total, CELL_PX)


class ContextTrunk(nn.Module):
    """U-shaped network over the grid of cells, with what lies around each of them in view.

    Args:
        inputs: Channels of its input.
        widths: Channels at a quarter, an eighth and a sixteenth of the picture's resolution.
        stem: Kernel of the first convolution.
        depths: Further 3×3 convolutions at 1/4, 1/8 and 1/16 on the way down.
        finish: The last layers at 1/4; without them a depthwise 3×3 and a 1×1 convolution.
    """

    def __init__(
        self,
        inputs: int,
        widths: Sequence[int],
        *,
        stem: int = 1,
        depths: Sequence[int] = (0, 0, 2),
        finish: nn.Module | None = None,
    ) -> None:
        super().__init__()
        at_4, at_8, at_16 = widths
        self.down_4 = nn.Sequential(nn.Conv2d(inputs, at_4, stem, padding=stem // 2), nn.ReLU(), *_row(at_4, depths[0]))
        self.down_8 = nn.Sequential(*convolution(at_4, at_8, stride=2), *_row(at_8, depths[1]))
        self.down_16 = nn.Sequential(*convolution(at_8, at_16, stride=2), *_row(at_16, depths[2]))
        self.up_8 = nn.Conv2d(at_16, at_8, 1)
        self.out_8 = nn.Sequential(*convolution(at_8, at_8))
        self.up_4 = nn.Conv2d(at_8, at_4, 1)
        self.out_4 = finish if finish is not None else _separable(at_4)

    def forward(self, cells: torch.Tensor) -> torch.Tensor:
        """Features of each cell.  # [B, inputs, h, w] -> [B, widths[0], h, w]"""
        at_4 = self.down_4(cells)
        at_8 = self.down_8(at_4)
        at_8 = self.out_8(at_8 + _twice(self.up_8(self.down_16(at_8))))
        out: torch.Tensor = self.out_4(at_4 + _twice(self.up_4(at_8)))
        return out


def convolution(inputs: int, outputs: int, *, stride: int = 1) -> tuple[nn.Module, nn.Module]:
    """A 3×3 convolution and its activation."""
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1), nn.ReLU()


def _row(channels: int, count: int) -> list[nn.Module]:
    return [layer for _ in range(count) for layer in convolution(channels, channels)]


def _separable(channels: int) -> nn.Sequential:
    depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
    return nn.Sequential(depthwise, nn.ReLU(), nn.Conv2d(channels, channels, 1), nn.ReLU())


def _twice(maps: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)


def _bilinear_kernel() -> torch.Tensor:
    """Weights of the 3×3 cells around for each pixel of the middle one, as half-pixel bilinear enlargement has them."""
    rows = []
    for pixel in range(CELL_PX):
        offset = (pixel + 0.5) / CELL_PX - 0.5
        rows.append([max(-offset, 0.0), 1 - abs(offset), max(offset, 0.0)])
    axis = torch.tensor(rows)
    return torch.einsum("ik,jl->ijkl", axis, axis).reshape(_PIXELS, 1, 3, 3)


class CellNetwork(FusionNetwork):
    """A trunk on the cells of a pair, and heads whose maps blend it.

    A subclass sets ``trunk`` and defines ``maps``.
    """

    size_multiple = 16
    min_size = 16
    trunk: ContextTrunk

    def __init__(self) -> None:
        super().__init__()
        self.blend = CellBlend()

    def maps(self, features: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """What ``CellBlend`` takes besides the cells.

        Args:
            features: Output of the trunk.  # [B, C, H/4, W/4]
        """
        raise NotImplementedError

    def forward_train(self, ir: torch.Tensor, vis: torch.Tensor) -> dict[str, torch.Tensor]:
        """Fuse a batch of pairs.

        Args:
            ir: Infrared images, shape (B, 1, H, W), in [0, 1].
            vis: Luminance of the visible images, same shape.

        Returns:
            ``fused`` before the clamp: losses then feel how far it lies out of range, and bring it back.
        """
        self.check_pair(ir, vis)
        cells = self.blend.cells(ir, vis)
        return {"fused": self.blend(cells, *self.maps(self.trunk(cells.stacked)))}

    def forward(self, ir: torch.Tensor, vis: torch.Tensor) -> torch.Tensor:
        """Fuse a batch of pairs; see ``FusionNetwork.forward``."""
        return self.forward_train(ir, vis)["fused"].clamp(0, 1)
