"""Which formula stands behind a metric's name: the corrected default, the field's evaluation codes, and the papers.

A convention is a gray rule and one formula a metric. A bug of some code is reproduced under the convention that has it
and nowhere else; the docstring of the formula names it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Literal, get_args

from edgefuse.errors import UsageError
from edgefuse.metrics.agreement import (
    correlation,
    mean_squared_error,
    psnr,
    psnr_of_root_sums,
    root_sum_error,
    sum_of_correlations_of_differences,
)
from edgefuse.metrics.contrast import (
    average_gradient,
    edge_intensity,
    spatial_frequency,
    spatial_frequency_uint8,
    standard_deviation,
    standard_deviation_uint8,
)
from edgefuse.metrics.edges import edge_artifacts, edge_preservation, edge_preservation_mean
from edgefuse.metrics.gray import GrayRule
from edgefuse.metrics.information import cross_entropy, entropy, mutual_information
from edgefuse.metrics.ivifzoo import multi_scale_ssim_ivifzoo, ssim_ivifzoo, vif_ivifzoo
from edgefuse.metrics.scene import Scene
from edgefuse.metrics.ssim import multi_scale_ssim, ssim, ssim_cddfuse
from edgefuse.metrics.vif import vif, viff

__all__ = [
    "CONVENTIONS",
    "LOWER_IS_BETTER",
    "PROFILES",
    "Convention",
    "ConventionName",
    "Formula",
    "ProfileName",
    "find_convention",
]

ProfileName = Literal["angularfuse", "rpfnet", "sspfusion", "dfecf"]
ConventionName = Literal[
    "default",
    "cddfuse",
    "cddfuse_f64",
    "linfeng2022",
    "linfeng2023",
    "vifb",
    "vifb_rgb",
    "ivifzoo",
    "rfnnest",
    "liu",
    "matlab_mean",
    "skimage_mean255",
    "angularfuse",
    "rpfnet",
    "sspfusion",
    "dfecf",
]
PROFILES: tuple[ProfileName, ...] = get_args(ProfileName)
"""Conventions that are the tables of papers, in the papers' metrics and order."""

LOWER_IS_BETTER = frozenset({"MSE", "RMSE", "Nabf", "CE"})
"""Metrics of which a smaller value is the better one; of all others the larger."""


@dataclass(frozen=True)
class Formula:
    """How one convention computes one metric.

    Attributes:
        compute: From the gray planes to the value.
        says: What to know to compare the number, in a few words.
        side_by_side: Of a colour image, take the three planes laid side by side as one image, not one after the other.
    """

    compute: Callable[[Scene], float]
    says: str
    side_by_side: bool = False


@dataclass(frozen=True)
class Convention:
    """A gray rule and one formula a metric.

    Attributes:
        name: What to ask for.
        summary: Where it comes from and what holds for all of its metrics.
        gray: How colour becomes gray.
        formulas: Metric names to formulas, in table order.
        per_channel: Score each colour channel of a colour image by itself and take the mean.
    """

    name: str
    summary: str
    gray: GrayRule
    formulas: Mapping[str, Formula]
    per_channel: bool = False

    def choose(self, metrics: Iterable[str] | None) -> dict[str, Formula]:
        """Pick metrics of this convention.

        Args:
            metrics: Names, or None for all.

        Returns:
            Their formulas, in the order asked for.

        Raises:
            UsageError: A name that this convention does not define.
        """
        if metrics is None:
            return dict(self.formulas)
        if isinstance(metrics, str):
            raise UsageError(f"metrics must be a list of names, as in [{metrics!r}]")
        chosen = list(metrics)
        unknown = [name for name in chosen if name not in self.formulas]
        if unknown or not chosen:
            raise UsageError(
                f"convention {self.name} does not define {', '.join(unknown) or 'an empty list of metrics'}; "
                f"it has {', '.join(self.formulas)}"
            )
        return {name: self.formulas[name] for name in chosen}

    def describe(self, metrics: Iterable[str] | None = None) -> str:
        """One line that says what the numbers are, for under a table."""
        formulas = self.choose(metrics)
        parts = "; ".join(f"{name} {formula.says}" for name, formula in formulas.items())
        return f"Convention {self.name} ({self.summary}; gray as {self.gray}): {parts}."


_BITS_OF_LEVELS = Formula(entropy, "bits, 256 levels")
_SD = Formula(standard_deviation, "population, 0-255")
_SD_UINT8 = Formula(standard_deviation_uint8, "saturating uint8 arithmetic (bug), at most 15.97")
_SF = Formula(spatial_frequency, "0-255, each mean over its differences")
_AG_MEAN = Formula(average_gradient, "0-255, over HW")
_AG_INNER = Formula(partial(average_gradient, divisor="inner"), "0-255, over (H-1)(W-1)")
_MI_BITS = Formula(mutual_information, "bits, sum")
_MI_NATS = Formula(partial(mutual_information, unit="nats"), "nats, sum")
_MI_MERGED = Formula(partial(mutual_information, merge_top_levels=True), "bits, sum, levels 254 and 255 joined (bug)")
_CC = Formula(correlation, "mean")
_SCD = Formula(sum_of_correlations_of_differences, "sum")
_VIF = Formula(vif, "pixel domain, 0-255, sum")
_VIF_UINT8 = Formula(partial(vif, saturate_products=True), "sum, products of the first scale saturate at 255 (bug)")
_VIFF = Formula(viff, "Han 2013, 0-255, infrared first")
_QABF = Formula(edge_preservation, "0-255, ratio of sums")
_QABF_UNIT = Formula(partial(edge_preservation, unit_range=True), "images in [0, 1], equal strengths misjudged (bug)")
_SSIM_UNIFORM = Formula(partial(ssim, window="uniform_valid"), "uniform 7x7, L=255, mean")
_SSIM_MATLAB = "Gaussian 11, replicated borders, L={}, mean"
_MSE = Formula(mean_squared_error, "0-255, mean")
_MSE_UNIT = Formula(partial(mean_squared_error, scale=1), "images in [0, 1], mean")
_PSNR_OWN = Formula(partial(psnr, variant="own_peak"), "dB, peak is the fused image's own maximum (bug)")
_PSNR_UNIT = Formula(partial(psnr, variant="unit_error"), "dB, peak 255 on errors of [0, 1]: 48.13 too high (bug)")
_NABF = Formula(edge_artifacts, "Kumar 2013, 0-255")


def _standard_deviation_rfnnest(scene: Scene) -> float:
    """SD of ``rfnnest``: the deviation on [0, 1] times sqrt(HW), since the sum is not divided (bug)."""
    return standard_deviation(scene) / 255.0 * math.sqrt(scene.pixels)


def _spatial_frequency_unit(scene: Scene) -> float:
    """SF of ``linfeng2022``: on [0, 1]."""
    return spatial_frequency(scene) / 255.0


_DEFAULT = Convention(
    "default",
    "corrected: float64 on levels 0-255",
    "matlab",
    {
        "EN": _BITS_OF_LEVELS,
        "SD": _SD,
        "SF": _SF,
        "AG": _AG_MEAN,
        "MI": _MI_BITS,
        "CC": _CC,
        "SCD": _SCD,
        "VIF": _VIF,
        "VIFF": _VIFF,
        "Qabf": _QABF,
        "SSIM": Formula(ssim, "Gaussian 11, valid, L=255, mean"),
        "MS_SSIM": Formula(multi_scale_ssim, "5 scales, L=255, mean"),
        "MSE": _MSE,
        "PSNR": Formula(psnr, "dB, peak 255"),
        "Nabf": _NABF,
    },
)

_CDDFUSE_FORMULAS = {
    "EN": _BITS_OF_LEVELS,
    "SD": _SD,
    "SF": _SF,
    "AG": _AG_MEAN,
    "MI": _MI_NATS,
    "CC": _CC,
    "SCD": _SCD,
    "VIF": _VIF,
    "Qabf": _QABF,
    "SSIM": Formula(ssim_cddfuse, "uniform 7x7, float32, L=2 (bug), sum"),
    "MSE": _MSE,
    "PSNR": _PSNR_OWN,
}

_CDDFUSE_F64_SSIM = Formula(
    partial(ssim, window="uniform_valid", level=2.0, combine="sum"), "uniform 7x7, float64, L=2 (bug), sum"
)

_LINFENG2023_FORMULAS = {
    "EN": _BITS_OF_LEVELS,
    "SD": _SD,
    "SF": _SF,
    "AG": _AG_INNER,
    "MI": _MI_MERGED,
    "CC": _CC,
    "SCD": _SCD,
    "VIF": _VIF,
    "Qabf": _QABF,
    "SSIM": Formula(partial(ssim, window="gaussian_replicate", level=1.0), _SSIM_MATLAB.format("1 (bug)")),
    "MSE": _MSE_UNIT,
    "PSNR": _PSNR_UNIT,
    "Nabf": Formula(partial(edge_artifacts, judged="ir"), "arguments rotated: infrared judged as the fusion (bug)"),
}

_LINFENG2022_FORMULAS = {
    **{name: formula for name, formula in _LINFENG2023_FORMULAS.items() if name != "SSIM"},
    "SD": _SD_UINT8,
    "SF": Formula(_spatial_frequency_unit, "images in [0, 1]"),
    "VIF": _VIF_UINT8,
    "Qabf": _QABF_UNIT,
    "Nabf": Formula(partial(edge_artifacts, unit_range=True), "images in [0, 1]: every pixel weighs the same (bug)"),
}

_VIFB_FORMULAS = {
    "EN": _BITS_OF_LEVELS,
    "SD": _SD,
    "SF": Formula(partial(spatial_frequency, divisor="pixels"), "0-255, over HW", side_by_side=True),
    "AG": _AG_INNER,
    "MI": _MI_NATS,
    "Qabf": _QABF,
    "SSIM": Formula(partial(ssim, combine="sum"), "Gaussian 11, valid, L=255, sum"),
    "RMSE": Formula(root_sum_error, "root of the sum over HW, mean"),
    "PSNR": Formula(psnr_of_root_sums, "dB, of that RMSE"),
    "CE": Formula(cross_entropy, "bits, mean"),
    "EI": Formula(edge_intensity, "mean Sobel magnitude"),
}
_VIFB_RGB_METRICS = ("EN", "SD", "SF", "AG", "MI", "Qabf", "SSIM")

_IVIFZOO_FORMULAS = {
    "EN": Formula(partial(entropy, epsilon=1e-7), "bits, 1e-7 inside the logarithm (bug)"),
    "SD": _SD,
    "SF": _SF,
    "AG": _AG_MEAN,
    "MI": _MI_BITS,
    "CC": _CC,
    "SCD": _SCD,
    "VIF": Formula(vif_ivifzoo, "float32, zero padding, window off centre (bug), sum"),
    "Qabf": _QABF,
    "SSIM": Formula(ssim_ivifzoo, "Gaussian 11, float32, L=1 (bug), sum"),
    "MS_SSIM": Formula(multi_scale_ssim_ivifzoo, "5 scales, float32, L=1 (bug), sum"),
    "MSE": _MSE_UNIT,
    "PSNR": _PSNR_UNIT,
    "Nabf": Formula(partial(edge_artifacts, weak_weight=0.0), "Kumar 2013, 0-255, weak edges weigh 0"),
}

_RPFNET_FORMULAS = {
    "EN": _BITS_OF_LEVELS,
    "SF": Formula(spatial_frequency_uint8, "saturating uint8 arithmetic (bug)"),
    "SD": _SD_UINT8,
    "CC": _CC,
    "SCD": _SCD,
    "VIFF": _VIFF,
}


def _pick(formulas: Mapping[str, Formula], names: Iterable[str]) -> dict[str, Formula]:
    return {name: formulas[name] for name in names}


_ALL = (
    _DEFAULT,
    Convention("cddfuse", "utils/Evaluator.py of MMIF-CDDFuse, float32 images", "opencv", _CDDFUSE_FORMULAS),
    Convention(
        "cddfuse_f64",
        "the cddfuse code on float64 images",
        "opencv",
        {name: _CDDFUSE_F64_SSIM if name == "SSIM" else formula for name, formula in _CDDFUSE_FORMULAS.items()},
    ),
    Convention("linfeng2022", "Evaluation-for-Image-Fusion, first version", "matlab", _LINFENG2022_FORMULAS),
    Convention("linfeng2023", "Evaluation-for-Image-Fusion, from March 2023", "matlab", _LINFENG2023_FORMULAS),
    Convention("vifb", "VIFB benchmark code, gray images", "matlab", _VIFB_FORMULAS),
    Convention(
        "vifb_rgb",
        "VIFB benchmark code, mean over the colour channels",
        "matlab",
        _pick(_VIFB_FORMULAS, _VIFB_RGB_METRICS),
        per_channel=True,
    ),
    Convention("ivifzoo", "IVIF_ZOO code", "pillow", _IVIFZOO_FORMULAS),
    Convention(
        "rfnnest",
        "RFN-Nest code",
        "matlab",
        {"SD": Formula(_standard_deviation_rfnnest, "on [0, 1] times sqrt(HW) (bug)")},
    ),
    Convention(
        "liu",
        "imageFusionMetrics of Z. Liu",
        "matlab",
        {"Qg": Formula(edge_preservation_mean, "metricXydeas, mean over pixels")},
    ),
    Convention(
        "matlab_mean",
        "MATLAB's built-in ssim on uint8",
        "matlab",
        {"SSIM": Formula(partial(ssim, window="gaussian_replicate"), _SSIM_MATLAB.format(255))},
    ),
    Convention("skimage_mean255", "scikit-image with data_range=255", "opencv", {"SSIM": _SSIM_UNIFORM}),
    Convention(
        "angularfuse",
        "AngularFuse, tables of quality: the cddfuse code with a mean SSIM",
        "opencv",
        {
            **_pick(_CDDFUSE_FORMULAS, ("EN", "SD", "SF", "AG", "SCD", "VIF", "Qabf")),
            "SSIM": _SSIM_UNIFORM,
        },
    ),
    Convention("rpfnet", "RPFNet, tables of quality: Linfeng Tang's code on uint8 images", "matlab", _RPFNET_FORMULAS),
    Convention(
        "sspfusion",
        "SSPFusion, tables of quality: the cddfuse code with MI in bits",
        "opencv",
        {"MI": _MI_BITS, **_pick(_CDDFUSE_FORMULAS, ("SF", "AG", "VIF", "Qabf", "SSIM"))},
    ),
    Convention(
        "dfecf",
        "DFECF, tables of quality: linfeng2022",
        "matlab",
        _pick(_LINFENG2022_FORMULAS, ("SD", "MI", "VIF", "AG", "EN", "SF", "Qabf")),
    ),
)

CONVENTIONS: Mapping[str, Convention] = MappingProxyType({convention.name: convention for convention in _ALL})
"""Every convention by name."""


def find_convention(name: str) -> Convention:
    """Look a convention up.

    Args:
        name: One of :data:`CONVENTIONS`.

    Returns:
        The convention.

    Raises:
        UsageError: No such name.
    """
    if name not in CONVENTIONS:
        raise UsageError(f"unknown convention {name!r}: give one of {', '.join(CONVENTIONS)}")
    return CONVENTIONS[name]
