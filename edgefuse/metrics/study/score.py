"""The scores of one scene by one method, from files to a row; the unit of work of a study."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from edgefuse.arrays import Image
from edgefuse.errors import EdgeFuseError, InputError
from edgefuse.images import read_ir, read_vis
from edgefuse.metrics.conventions import ConventionName, find_convention
from edgefuse.metrics.corruption import Corruption
from edgefuse.metrics.evaluate import evaluate
from edgefuse.metrics.gray import to_gray
from edgefuse.metrics.retention import target_retention
from edgefuse.metrics.scene import UndefinedError
from edgefuse.metrics.spectrum import power_spectrum, radial_average, spectral_scores
from edgefuse.metrics.study.files import Item, Method
from edgefuse.thermal import to_unit

if TYPE_CHECKING:
    from edgefuse.fuser import Fuser

__all__ = ["RETENTION", "SPECTRAL", "Images", "Job", "Request", "Row", "load_images", "score", "without_nan"]

RETENTION = "TR"
"""Column of target retention."""

SPECTRAL = {"PSD_ir": "ir_fidelity", "PSD_vis": "vis_fidelity", "PSD_entropy": "entropy"}
"""Columns of the spectral scores."""


@dataclass(frozen=True)
class Request:
    """What is computed for every scene.

    Attributes:
        convention: Which formulas.
        metrics: Which of its metrics; None for all.
        spectrum: Also the spectral scores and radial spectra.
        seed: Of the disturbances.
        device: Where models run.
    """

    convention: ConventionName = "default"
    metrics: tuple[str, ...] | None = None
    spectrum: bool = False
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        find_convention(self.convention).choose(self.metrics)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the metrics of the convention that are computed."""
        return tuple(find_convention(self.convention).choose(self.metrics))


@dataclass(frozen=True)
class Job:
    """One scene, one method with the file that it made, and how the method's inputs are disturbed."""

    method: Method
    item: Item
    fused: Path | None = None
    corruptions: tuple[Corruption, ...] = ()

    @property
    def disturbance(self) -> str:
        """The disturbances as typed, empty for clean inputs."""
        return "+".join(corruption.spec for corruption in self.corruptions)


@dataclass(frozen=True)
class Row:
    """What came of a job.

    Attributes:
        method: Name of the method.
        image: Name of the scene.
        disturbance: The disturbances as typed, empty for clean inputs.
        scores: Values by column; NaN where undefined.
        reasons: Why a value is NaN.
        error: What went wrong, or None.
        spectra: Radially averaged density of ``ir``, ``vis`` and ``fused`` where it was asked for.
    """

    method: str
    image: str
    disturbance: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None
    spectra: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """The row as plain data for JSON, which has no NaN: an undefined value is None. Without the spectra."""
        record: dict[str, Any] = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        del record["spectra"]
        return {**record, "scores": without_nan(self.scores), "reasons": dict(self.reasons)}


def without_nan(values: Mapping[str, float]) -> dict[str, float | None]:
    """The values with None in place of NaN."""
    return {name: None if math.isnan(value) else value for name, value in values.items()}


def score(job: Job, request: Request) -> Row:
    """Read, fuse where the method is a model, and score.

    A fused image is always scored against the clean sources, also where its inputs were disturbed.

    Args:
        job: The scene and the method.
        request: What to compute.

    Returns:
        The row; a deliberate error is in it and does not stop a study.
    """
    start = Row(job.method.name, job.item.name, job.disturbance)
    try:
        images = load_images(job, request)
        scores, reasons = _scores(job, request, images)
        spectra = _spectra(request, images, scores, reasons) if request.spectrum else {}
    except EdgeFuseError as error:
        return dataclasses.replace(start, error=str(error))
    return dataclasses.replace(start, scores=scores, reasons=reasons, spectra=spectra)


class Images(NamedTuple):
    """The three 8-bit images of a job, of one size."""

    fused: NDArray[np.uint8]
    ir: NDArray[np.uint8]
    vis: NDArray[np.uint8]


def load_images(job: Job, request: Request) -> Images:
    """Read the sources of a job, and read or make its fused image.

    Args:
        job: The scene and the method.
        request: Where models run, and the seed of the disturbances.

    Returns:
        The clean sources and the fused image.

    Raises:
        InputError: A file is missing or damaged, or sizes differ.
    """
    ir, vis = read_ir(job.item.ir), read_vis(job.item.vis)
    images = Images(_fused(job, request, ir, vis), _eight_bit(ir), vis)
    paths = (job.fused or f"{job.method.name} of {job.item.name}", job.item.ir, job.item.vis)
    height, width = images.vis.shape[:2]
    for path, image in zip(paths, images, strict=True):
        if image.shape[:2] != (height, width):
            raise InputError(
                f"{path} is {image.shape[1]}x{image.shape[0]}, {job.item.vis} is {width}x{height}: sizes must be equal"
            )
    return images


def _scores(job: Job, request: Request, images: Images) -> tuple[dict[str, float], dict[str, str]]:
    result = evaluate(*images, metrics=request.metrics, convention=request.convention)
    scores, reasons = dict(result), dict(result.reasons)
    if job.item.mask is not None:
        gray = find_convention(request.convention).gray
        try:
            scores[RETENTION] = target_retention(images.fused, images.ir, _read_mask(job.item.mask), gray=gray)
        except UndefinedError as error:
            scores[RETENTION], reasons[RETENTION] = math.nan, str(error)
        except InputError as error:
            raise InputError(f"{job.item.mask}: {error}") from error
    return scores, reasons


def _spectra(
    request: Request, images: Images, scores: dict[str, float], reasons: dict[str, str]
) -> dict[str, tuple[float, ...]]:
    """Add the spectral scores and return the radial spectra."""
    gray = find_convention(request.convention).gray
    planes = {name: to_gray(image, gray) for name, image in images._asdict().items()}
    try:
        values = spectral_scores(**planes)
    except UndefinedError as error:
        scores.update(dict.fromkeys(SPECTRAL, math.nan))
        reasons.update(dict.fromkeys(SPECTRAL, str(error)))
        return {}
    scores.update({column: getattr(values, name) for column, name in SPECTRAL.items()})
    return {name: tuple(radial_average(power_spectrum(plane))[1].tolist()) for name, plane in planes.items()}


def _fused(job: Job, request: Request, ir: Image, vis: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if job.method.model is None:
        if job.fused is None:
            raise InputError(f"{job.method.name}: no fused image named {job.item.name!r} in {job.method.fused}")
        return read_vis(job.fused)
    for corruption in job.corruptions:
        if corruption.source == "vis":
            vis = corruption.apply(vis, seed=request.seed, name=job.item.name)
        else:
            # Noise is defined in levels of 0..255, so a raw thermal image is displayed before it is disturbed.
            ir = corruption.apply(_eight_bit(ir), seed=request.seed, name=job.item.name)
    try:
        return _fuser(job.method.model, request.device)(ir, vis)
    except InputError as error:
        raise InputError(f"{job.item.ir} and {job.item.vis}: {error}") from error


_fusers: dict[tuple[str, str], Fuser] = {}


def _fuser(model: str, device: str) -> Fuser:
    """The model, loaded once a process."""
    if (model, device) not in _fusers:
        from edgefuse.fuser import load

        _fusers[model, device] = load(model, device=device)  # type: ignore[arg-type]  # load names the devices
    return _fusers[model, device]


def _eight_bit(ir: Image) -> NDArray[np.uint8]:
    """An infrared image as the metrics see it: 8-bit files as they are, others stretched as for a network."""
    return ir.astype(np.uint8, copy=False) if ir.dtype == np.uint8 else np.rint(to_unit(ir) * 255.0).astype(np.uint8)


def _read_mask(path: Path) -> NDArray[np.uint8]:
    mask = read_vis(path)
    return mask if mask.ndim == 2 else np.asarray(cv2.cvtColor(mask, cv2.COLOR_BGR2GRAY), np.uint8)
