"""Every value of the reference implementations on the 12 golden triplets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgefuse.metrics import PROFILES, ConventionName, evaluate, find_convention
from edgefuse.metrics.gray import to_gray
from edgefuse.metrics.ranking import rank_of_ranks

# Reference names that are the default's own formula for their one metric.
SAME_AS_DEFAULT = {"mean255", "fixed255", "viff"}
# Conventions whose reference computes in float32, where its own rounding is up to 1e-5 of the value.
SINGLE_PRECISION = {"cddfuse", "ivifzoo"}
NAMES = (
    "msrs_00537D_piafusion",
    "roadscene_037_piafusion",
    "tno_05_densefuse",
    "tno_07_piafusion",
    "tno_08_u2fusion",
    "tno_10_seafusion",
    "tno_12_sdnet",
    "tno_15_u2fusion",
    "tno_22_ifcnn",
    "tno_28_rfn-nest",
    "tno_34_fusiongan",
    "tno_37_pmgi",
)


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, dict[str, dict[str, float]]]:
    """The golden values: image, metric, convention."""
    values: dict[str, dict[str, dict[str, float]]] = json.loads((shared / "golden/metrics/golden.json").read_text())
    return values


def _triplet(shared: Path, name: str) -> list[NDArray[np.uint8]]:
    folder = shared / "golden/metrics"
    return [
        np.asarray(cv2.imread(str(folder / f"{name}_{part}.png"), cv2.IMREAD_ANYCOLOR), np.uint8)
        for part in ("fused", "ir", "vi")
    ]


def test_the_names_are_all_that_there_are(golden: dict[str, Any]) -> None:
    """No golden triplet is left out of the tests below."""
    assert sorted(golden) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_value_is_reproduced(shared: Path, golden: dict[str, Any], name: str) -> None:
    """Relative 1e-9 where the reference is float64, 1e-5 where it is float32."""
    images = _triplet(shared, name)
    wanted: dict[str, dict[str, float]] = {}
    for metric, by_convention in golden[name].items():
        for convention, value in by_convention.items():
            wanted.setdefault(convention, {})[metric] = value
    for convention, values in wanted.items():
        ours: Any = "default" if convention in SAME_AS_DEFAULT else convention
        scores = evaluate(*images, metrics=values, convention=ours)
        tolerance = 1e-5 if convention in SINGLE_PRECISION else 1e-9
        for metric, value in values.items():
            assert scores[metric] == pytest.approx(value, rel=tolerance, abs=0), (convention, metric)


def test_every_metric_of_every_code_is_covered(golden: dict[str, Any]) -> None:
    """A convention that has a golden column defines each metric of it, and no metric of a code is without a value."""
    columns: dict[str, set[str]] = {}
    for by_metric in golden.values():
        for metric, by_convention in by_metric.items():
            for convention in by_convention:
                columns.setdefault(convention, set()).add(metric)
    # The one difference: cddfuse_f64 has no column of its own where float32 does not enter.
    columns["cddfuse_f64"] |= {"EN", "MI"}
    for convention in columns.keys() - SAME_AS_DEFAULT - {"rpfnet"}:
        assert set(find_convention(convention).formulas) == columns[convention], convention


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("tno")])
def test_the_table_published_with_the_first_matlab_code_is_reproduced(
    shared: Path, golden: dict[str, Any], name: str
) -> None:
    """The linfeng2022 values of TNO equal Metric_TNO.xlsx, whose means are DFECF's Table 3: its profile gives them."""
    scores = evaluate(*_triplet(shared, name), convention="dfecf")
    assert list(scores) == ["SD", "MI", "VIF", "AG", "EN", "SF", "Qabf"]
    for metric, value in scores.items():
        # VIF: the published table agrees with the reference to 3e-8; the other metrics to 1e-11.
        assert value == pytest.approx(golden[name][metric]["linfeng2022"], rel=1e-9, abs=0), metric


@pytest.mark.parametrize("table", ["RPFNet Table 1", "RPFNet Table 2"])
def test_published_rank_of_ranks_is_reproduced(shared: Path, table: str) -> None:
    """The RoR columns of two published tables follow from their rows."""
    published = json.loads((shared / "golden/metrics/ror.json").read_text())[table]
    rows = {method: dict(zip(published["metrics"], row, strict=True)) for method, row in published["rows"].items()}
    assert rank_of_ranks(rows) == published["RoR"]


@pytest.mark.parametrize("profile", PROFILES)
def test_each_profile_holds_the_metrics_of_its_code(
    shared: Path, golden: dict[str, Any], profile: ConventionName
) -> None:
    """A paper's profile gives the golden values of the code that its table was made with."""
    code = {"angularfuse": "cddfuse_f64", "rpfnet": "linfeng2023", "sspfusion": "cddfuse", "dfecf": "linfeng2022"}
    other = {
        ("angularfuse", "SSIM"): "skimage_mean255",
        ("rpfnet", "SD"): "rpfnet",
        ("rpfnet", "SF"): "rpfnet",
        ("rpfnet", "VIFF"): "viff",
        ("sspfusion", "MI"): "ivifzoo",
    }
    for name in ("msrs_00537D_piafusion", "tno_05_densefuse"):
        for metric, value in evaluate(*_triplet(shared, name), convention=profile).items():
            columns = golden[name][metric]
            column = other.get((profile, metric), code[profile])
            expected = columns.get(column, columns.get("cddfuse"))
            # 1e-5 covers float32 references and the one gray level between OpenCV's and Pillow's rule for colour.
            assert value == pytest.approx(expected, rel=1e-5, abs=0), metric


def test_gray_sums_of_the_reference_are_reproduced(shared: Path) -> None:
    """The sum of gray levels after MATLAB's conversion is exact for every file."""
    records = json.loads((shared / "golden/metrics/images.json").read_text())
    for name in NAMES:
        sums = dict(zip(("fused", "ir", "vi"), _triplet(shared, name), strict=True))
        assert {part: int(to_gray(image, "matlab").sum()) for part, image in sums.items()} == records[name]["gray_sum"]
