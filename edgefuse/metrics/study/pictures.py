"""Pictures of a study: cumulative curves, values image by image, and power spectra."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgefuse.errors import InputError, MissingDependencyError, UsageError
from edgefuse.metrics.conventions import find_convention
from edgefuse.metrics.gray import to_gray
from edgefuse.metrics.scene import Real
from edgefuse.metrics.spectrum import RINGS, power_spectrum
from edgefuse.metrics.study.score import load_images
from edgefuse.metrics.study.summary import Study
from edgefuse.wording import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["PICTURE_SUFFIXES", "draw_cumulative", "draw_lines", "draw_spectra"]

PICTURE_SUFFIXES = (".png", ".svg")
_PANEL_INCHES = (3.4, 2.7)
_PANELS_A_ROW = 3
_SMALLEST_POWER = 1e-12  # -120 dB, under the quantisation noise of 8 bits


def draw_cumulative(study: Study, path: Path) -> None:
    """Draw the cumulative curve of each metric, as SSPFusion's Figure 9.

    A point (x, y) says that a share x of the images has values of at most y. The legend holds the means.

    Args:
        study: The results.
        path: A ``.png`` or ``.svg`` file.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        UsageError: Another suffix.
    """
    figure, panels = _panels(study, path)
    for column, panel in zip(study.columns, panels, strict=True):
        for method in study.methods:
            values = _values(study, method, column)
            values = np.sort(values[~np.isnan(values)])
            panel.plot(np.arange(1, values.size + 1) / max(values.size, 1), values, label=_label(method, values))
        panel.set(title=column, xlabel="share of images", xlim=(0, 1))
    _save(figure, panels, study, path)


def draw_lines(study: Study, path: Path) -> None:
    """Draw each metric image by image, as DFECF's Figure 6. The legend holds the means.

    Args:
        study: The results.
        path: A ``.png`` or ``.svg`` file.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        UsageError: Another suffix.
    """
    figure, panels = _panels(study, path)
    for column, panel in zip(study.columns, panels, strict=True):
        for method in study.methods:
            values = _values(study, method, column)
            label = _label(method, values[~np.isnan(values)])
            panel.plot(np.arange(1, values.size + 1), values, marker=".", linewidth=0.8, label=label)
        panel.set(title=column, xlabel="image")
    _save(figure, panels, study, path)


def _values(study: Study, method: str, column: str) -> Real:
    return np.array([row.scores.get(column, math.nan) for row in study.rows_of(method)])


def _label(method: str, values: Real) -> str:
    return f"{method} {values.mean():.4g}" if values.size else method


def _panels(study: Study, path: Path) -> tuple[Figure, list[Axes]]:
    """A figure with one panel a column."""
    rows = math.ceil(len(study.columns) / _PANELS_A_ROW)
    width = min(len(study.columns), _PANELS_A_ROW)
    figure = _figure(path, width * _PANEL_INCHES[0], rows * _PANEL_INCHES[1] + 0.4)
    return figure, [figure.add_subplot(rows, width, index + 1) for index in range(len(study.columns))]


def _figure(path: Path, width_inches: float, height_inches: float) -> Figure:
    if path.suffix not in PICTURE_SUFFIXES:
        raise UsageError(f"{path}: a picture is a file ending in {' or '.join(PICTURE_SUFFIXES)}")
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError.for_package("matplotlib", extra="train", purpose="draw pictures") from error
    return Figure(figsize=(width_inches, height_inches), layout="constrained")


def _save(figure: Figure, panels: Sequence[Axes], study: Study, path: Path) -> None:
    for panel in panels:
        panel.tick_params(labelsize=7)
        panel.legend(fontsize=6)
    figure.supxlabel(study.describe(), fontsize=5, wrap=True)
    figure.savefig(path, dpi=150)


def draw_spectra(study: Study, path: Path, *, image: str | None = None) -> None:
    """Draw the radial spectra, mean over the images, beside the densities of one scene, as RPFNet's Figure 6.

    Args:
        study: Results that were computed with spectra.
        path: A ``.png`` or ``.svg`` file.
        image: Scene of the two-dimensional densities; None takes the first one.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        InputError: No image has a spectrum.
        UsageError: Another suffix.
    """
    spectra = _mean_spectra(study)
    if not spectra:
        raise InputError("no image has a spectrum to draw: compute the study with spectra")
    densities = _densities(study, image or study.images[0])
    count = len(densities) + 1
    figure = _figure(path, count * _PANEL_INCHES[0], _PANEL_INCHES[1] + 0.6)
    # One colour scale for all, or the panels could not be compared; its ends leave out the few extreme samples.
    low, high = np.percentile([_decibels(density) for density in densities.values()], (1, 99.9))
    for index, (name, density) in enumerate(densities.items()):
        panel = figure.add_subplot(1, count, index + 1)
        shown = {"cmap": "magma", "vmin": low, "vmax": high, "extent": (-0.5, 0.5, 0.5, -0.5), "aspect": "auto"}
        panel.imshow(_decibels(density), **shown)
        panel.set(title=name, xlabel="cycles per pixel")
    panel = figure.add_subplot(1, count, count)
    frequency = (np.arange(RINGS) + 0.5) * (0.5 / RINGS)
    for name, values in spectra.items():
        panel.plot(frequency, values, label=name, linewidth=1)
    panel.set(title=f"radial mean over {counted(len(study.images), 'image')}", xlabel="cycles per pixel", ylabel="dB")
    panel.legend(fontsize=7)
    figure.savefig(path, dpi=150)


def _decibels(power: Real) -> Real:
    return np.asarray(10.0 * np.log10(power + _SMALLEST_POWER))


def _mean_spectra(study: Study) -> dict[str, Real]:
    """Radial spectra in decibels, mean over the images: infrared, visible, then each method."""
    collected: dict[str, list[Real]] = {"ir": [], "vis": []}
    for method in study.methods:
        for row in study.rows_of(method):
            for name, values in row.spectra.items():
                collected.setdefault(method if name == "fused" else name, []).append(_decibels(_resampled(values)))
    return {name: np.asarray(np.mean(values, axis=0)) for name, values in collected.items() if values}


def _resampled(values: Sequence[float]) -> Real:
    """A radial spectrum of any number of rings on the frequencies of :data:`RINGS` rings."""
    own = (np.arange(len(values)) + 0.5) / len(values)
    return np.asarray(np.interp((np.arange(RINGS) + 0.5) / RINGS, own, values))


def _densities(study: Study, image: str) -> dict[str, Real]:
    """Two-dimensional densities of one scene: infrared, visible, then each method."""
    gray = find_convention(study.request.convention).gray
    densities: dict[str, Real] = {}
    for job in study.jobs:
        if job.item.name != image or job.corruptions:
            continue
        fused, ir, vis = load_images(job, study.request)
        for name, picture in (("ir", ir), ("vis", vis), (job.method.name, fused)):
            if name not in densities:
                densities[name] = power_spectrum(to_gray(picture, gray))
    return densities
