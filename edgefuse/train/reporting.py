"""What a run leaves for a person: TensorBoard scalars, a contact sheet after each epoch, the loss curve."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgefuse.data import CheckedData, read_pair
from edgefuse.images import write_image
from edgefuse.padding import pad_to, padded_size

__all__ = ["ScalarLog", "contact_sheet", "draw_loss_curve", "fuse_planes"]

_SHEET_ROWS = 4
_ROW_GAP_PX = 4


class ScalarLog:
    """TensorBoard scalars in a folder.

    Args:
        folder: Where the event file goes.
        first_step: A resumed run overwrites what an earlier one wrote from here on.
    """

    def __init__(self, folder: Path, *, first_step: int = 0) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=first_step or None)

    def add(self, row: dict[str, Any], total_steps: int) -> None:
        """Write one row of the history."""
        for label, value in row["terms"].items():
            self._writer.add_scalar(f"{row['stage']}/loss/{label}", value, total_steps)
        self._writer.add_scalar(f"{row['stage']}/loss", row["loss"], total_steps)
        for label, rate in row["lr"].items():
            self._writer.add_scalar(f"{row['stage']}/lr/{label}", rate, total_steps)

    def close(self) -> None:
        """Flush and close the file."""
        self._writer.close()


def fuse_planes(network: nn.Module, ir: NDArray[np.uint8], vis: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Fuse one pair with a network in whatever mode it is in.

    Args:
        network: The network.
        ir: Infrared luminance.  # [H, W]
        vis: Visible luminance.  # [H, W]

    Returns:
        Fused luminance.  # [H, W]
    """
    height, width = ir.shape
    size = padded_size(
        height, width, multiple=getattr(network, "size_multiple", 1), minimum=getattr(network, "min_size", 1)
    )
    device = next(network.parameters()).device
    planes = [pad_to(image.astype(np.float32) / np.float32(255), size) for image in (ir, vis)]
    tensors = [torch.from_numpy(np.ascontiguousarray(plane))[None, None].to(device) for plane in planes]
    with torch.inference_mode():
        fused = network(*tensors)[0, 0, :height, :width].float().cpu().numpy()
    return np.asarray(np.rint(np.clip(fused, 0, 1) * 255), np.uint8)


def contact_sheet(network: nn.Module, data: CheckedData, path: Path, *, side_px: int = 256) -> None:
    """Write rows of infrared | visible | fused for a few pairs, spread over the data set.

    Args:
        network: The network; it is in training mode again afterwards.
        data: The pairs.
        path: The picture to write.
        side_px: The middle of each pair is shown, a square of at most this side.
    """
    count = min(_SHEET_ROWS, len(data.pairs))
    chosen = [data.pairs[round(index * (len(data.pairs) - 1) / max(1, count - 1))] for index in range(count)]
    rows: list[NDArray[np.uint8]] = []
    network.eval()
    for pair in chosen:
        images = data.images.get(pair.name) or read_pair(pair.ir, pair.vis)
        ir, vis = (_middle(image, side_px) for image in images)
        rows.append(np.hstack([_square(image, side_px) for image in (ir, vis, fuse_planes(network, ir, vis))]))
    network.train()
    gap = np.full((_ROW_GAP_PX, rows[0].shape[1]), 255, np.uint8)
    write_image(path, np.vstack([part for row in rows for part in (row, gap)][:-1]))


def _middle(image: NDArray[np.uint8], side_px: int) -> NDArray[np.uint8]:
    top, left = (max(0, (length - side_px) // 2) for length in image.shape)
    return np.ascontiguousarray(image[top : top + side_px, left : left + side_px])


def _square(image: NDArray[np.uint8], side_px: int) -> NDArray[np.uint8]:
    down, right = (side_px - length for length in image.shape)
    return np.asarray(cv2.copyMakeBorder(image, 0, down, 0, right, cv2.BORDER_CONSTANT, value=(255,)), np.uint8)


def draw_loss_curve(history: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw the loss and its terms over steps, one panel a stage.

    Args:
        history: Rows as the trainer records them.
        path: The PNG to write.
    """
    from matplotlib.figure import Figure

    stages = list(dict.fromkeys(row["stage"] for row in history))
    if not stages:
        return
    figure = Figure(figsize=(8, 4 * len(stages)), layout="constrained")
    panels = figure.subplots(len(stages), 1, squeeze=False)[:, 0]
    for panel, stage in zip(panels, stages, strict=True):
        rows = [row for row in history if row["stage"] == stage]
        steps = [row["step"] for row in rows]
        panel.plot(steps, _smooth([row["loss"] for row in rows]), color="black", linewidth=2, label="total")
        for label in rows[0]["terms"]:
            panel.plot(steps, _smooth([row["terms"][label] for row in rows]), linewidth=1, label=label)
        values = [value for row in rows for value in (row["loss"], *row["terms"].values())]
        # RPFNet's saliency terms are negative; a logarithm would hide them.
        panel.set_yscale("log" if min(values) > 0 else "linear")
        panel.set(xlabel="step", ylabel="loss, terms before their weights", title=f"stage {stage}")
        panel.grid(alpha=0.3)
        panel.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _smooth(values: Sequence[float]) -> list[float]:
    """Exponential mean, corrected for its start, over about a twentieth of the curve."""
    keep = 1 - 1 / max(1.0, len(values) / 20)
    mean, weight, smooth = 0.0, 0.0, []
    for value in values:
        mean, weight = keep * mean + (1 - keep) * value, keep * weight + (1 - keep)
        smooth.append(mean / weight if math.isfinite(mean) else value)
    return smooth
