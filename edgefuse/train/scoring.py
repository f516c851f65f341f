"""What a trained network is worth: test sets fused by it and scored, as ``edgefuse eval`` does with its graph."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgefuse.errors import InputError
from edgefuse.fuser import Fuser
from edgefuse.images import read_ir, read_vis, write_image
from edgefuse.metrics.conventions import ConventionName
from edgefuse.metrics.study import Item, Job, Method, Request, Study, find_items, score
from edgefuse.metrics.study.score import without_nan
from edgefuse.runtime import Runner

__all__ = ["NetworkRunner", "scenes_of", "score_network"]


class NetworkRunner(Runner):
    """A PyTorch network where the deployed runtimes stand otherwise, so that nothing has to be exported first.

    Args:
        network: The network; it is put into evaluation mode.
    """

    def __init__(self, network: nn.Module) -> None:
        self.name = "pytorch"
        self.size_multiple = int(getattr(network, "size_multiple", 1))
        self.min_size = int(getattr(network, "min_size", 1))
        self._network = network.eval()

    def activate(self) -> None:
        """Nothing to load."""

    def infer(self, ir: NDArray[np.float32], vis: NDArray[np.float32]) -> NDArray[np.float32]:
        """Fuse a batch on the network's device."""
        device = next(self._network.parameters()).device
        with torch.inference_mode():
            fused = self._network(*(torch.from_numpy(np.ascontiguousarray(plane)).to(device) for plane in (ir, vis)))
        return np.asarray(fused.float().cpu().numpy(), np.float32)

    def deactivate(self) -> None:
        """Nothing to free."""


def scenes_of(folder: Path, *, every: int = 1) -> list[Item]:
    """The scenes of a test set: folders ``ir`` and ``vis``, and ``mask`` where targets are known.

    Args:
        folder: The set.
        every: Take every n-th scene, counted from the first; scenes with a mask and without are counted apart.

    Returns:
        The scenes.

    Raises:
        InputError: The folder holds none.
    """
    mask = folder / "mask"
    items, problems = find_items(folder / "ir", folder / "vis", mask if mask.is_dir() else None)
    # A pair without a mask is no problem here: of TNO 15 scenes of 32 have one.
    if not items:
        raise InputError("; ".join(problems) or f"{folder} holds no pairs")
    masked = [item for item in items if item.mask is not None]
    plain = [item for item in items if item.mask is None]
    chosen = {item.name for group in (masked, plain) for item in group[::every]}
    return [item for item in items if item.name in chosen]


def score_network(
    network: nn.Module,
    folders: Sequence[Path],
    *,
    every: int = 1,
    crop_px: int | None = None,
    convention: ConventionName = "cddfuse",
    on_image: Callable[[], None] | None = None,
) -> dict[str, Any]:
    """Fuse test sets and score the result.

    Args:
        network: The network.
        folders: Test sets, named by their last two parts, as in ``tno/test``.
        every: Take every n-th scene of each.
        crop_px: Score only the middle of each scene, of at most this side; for comparisons that must be cheap.
        convention: Whose formulas.
        on_image: Called after each scene.

    Returns:
        A JSON table: for each set the number of scenes and the means, with ``TR`` and ``TR_worst`` where masks are.
    """
    request = Request(convention)
    sets = {
        "/".join(folder.resolve().parts[-2:]): _score_set(
            network, scenes_of(folder, every=every), request, crop_px=crop_px, on_image=on_image
        )
        for folder in folders
    }
    return {"convention": convention, "every": every, "crop_px": crop_px, "sets": sets}


def _score_set(
    network: nn.Module,
    items: Sequence[Item],
    request: Request,
    *,
    crop_px: int | None,
    on_image: Callable[[], None] | None,
) -> dict[str, Any]:
    fuse = Fuser(NetworkRunner(network))
    jobs, rows = [], []
    with tempfile.TemporaryDirectory() as name:
        for number, whole in enumerate(items):
            folder = Path(name) / str(number)
            folder.mkdir()
            item = whole if crop_px is None else _middle_of(whole, crop_px, folder)
            path = folder / "fused.png"
            write_image(path, fuse(read_ir(item.ir), read_vis(item.vis)))
            jobs.append(Job(Method("network", fused=folder), item, path))
            rows.append(score(jobs[-1], request))
            if on_image is not None:
                on_image()
    study = Study(request, tuple(jobs), tuple(rows))
    if study.errors:
        raise InputError("; ".join(study.errors))
    means = {name: round(value, 6) for name, value in study.means("network").items()}
    masked = sum(item.mask is not None for item in items)
    return {"images": len(items), "with_mask": masked, "means": without_nan(means)}


def _middle_of(item: Item, side_px: int, folder: Path) -> Item:
    """The middle of a scene, written as files of its own."""
    paths = {}
    for kind, source in (("ir", item.ir), ("vis", item.vis), ("mask", item.mask)):
        if source is None:
            continue
        image = read_ir(source) if kind == "ir" else read_vis(source)
        top, left = (max(0, (length - side_px) // 2) for length in image.shape[:2])
        paths[kind] = folder / f"{kind}.png"
        write_image(paths[kind], np.ascontiguousarray(image[top : top + side_px, left : left + side_px]))
    return Item(item.name, paths["ir"], paths["vis"], paths.get("mask"))
