"""A sheet of twelve scenes to look at, infrared, visible and fused side by side: no metric replaces that."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgefuse.arrays import Image
from edgefuse.bench.quality import SETS, label, scenes
from edgefuse.fuser import load
from edgefuse.images import read_ir, read_vis, write_image
from edgefuse.metrics.study import Item
from edgefuse.sheet import contact_sheet

__all__ = ["choose_scenes", "draw_sheets"]

_SCENES = 12
_HEIGHT_PX = 240


def choose_scenes(data: Path) -> list[Item]:
    """Twelve scenes: four of each set, evenly spread over its list, of TNO the ones with masked targets.

    Args:
        data: Folder with ``tno/test``, ``roadscene/test`` and ``msrs/test``.

    Returns:
        The scenes.
    """
    chosen = []
    for name in SETS:
        items = scenes(data / name / "test")
        wanted = [item for item in items if item.mask is not None] or items
        count = _SCENES // len(SETS)
        chosen += [wanted[index * (len(wanted) - 1) // (count - 1)] for index in range(count)]
    return chosen


def draw_sheets(models: Sequence[str], data: Path, output: Path) -> list[Path]:
    """Write one picture a model, rows of infrared, visible, fused.

    Args:
        models: Names, or paths of model files.
        data: As for ``choose_scenes``.
        output: Folder to write to.

    Returns:
        The files.
    """
    output.mkdir(parents=True, exist_ok=True)
    items = choose_scenes(data)
    files = []
    for model in models:
        panels: list[tuple[str, Image]] = []
        with load(model) as fuser:
            for item in items:
                ir, vis = read_ir(item.ir), read_vis(item.vis)
                name = f"{item.ir.parts[-4]} {item.name}"
                panels += [(f"{name} ir", ir), ("vis", vis), (label(model), fuser(ir, vis))]
        files.append(output / f"{label(model)}.png")
        write_image(files[-1], contact_sheet(panels, columns=6, height_px=_HEIGHT_PX))
    return files
