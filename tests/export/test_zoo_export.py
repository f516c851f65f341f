"""Every network of the zoo, in small: exported, lowered, equal in each precision, and built for every RTX GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest

pytest.importorskip("torch")

from edgefuse.export import export
from edgefuse.export.dft import count_dft
from edgefuse.models import names

# The same blocks as the full networks, fewer and narrower, so that all of them are exported in a minute or two.
SMALL: dict[str, dict[str, Any]] = {
    "angularfuse": {"widths": [4, 4, 8, 8], "blocks": 1},
    "dfecf": {},
    "direction-aware": {"channels": 8},
    "lite": {"channels": 8},
    "lite-plus": {"channels": 8},
    "rpfnet": {"variant": "paper", "channels": 8},
    "sspfusion": {"widths": [8, 16, 24], "refining_blocks": 1, "decoder_blocks": [1, 1, 1]},
}
# Attention multiplies computed matrices, which Turing does in fp16 only.
ATTENTION = {"angularfuse", "dfecf"}
SIZE = (48, 64)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folders of a few made pairs with structure at several scales."""
    folder = tmp_path_factory.mktemp("pairs")
    rng = np.random.default_rng(0)
    for kind in ("ir", "vis"):
        (folder / kind).mkdir()
        for i in range(4):
            coarse = cv2.resize(rng.random((6, 8)), SIZE[::-1], interpolation=cv2.INTER_CUBIC)
            image = np.clip((coarse + 0.1 * rng.standard_normal(SIZE)) * 255, 0, 255).astype(np.uint8)
            cv2.imwrite(str(folder / kind / f"{i}.png"), image)
    return folder / "ir", folder / "vis"


@pytest.fixture(scope="module", params=sorted(SMALL))
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A network's name and its fp32 graph."""
    name = str(request.param)
    path = tmp_path_factory.mktemp(name) / f"{name}.onnx"
    export(name, path, imgsz=SIZE, config=SMALL[name], untrained=True)
    return name, path


def test_the_list_is_the_zoo() -> None:
    """No network is forgotten here."""
    assert set(SMALL) == set(names())


@pytest.mark.slow
def test_network_is_exported_and_lowered(exported: tuple[str, Path]) -> None:
    """The export has compared it with PyTorch; no operator is left that TensorRT lacks."""
    _, path = exported
    assert count_dft(onnx.load(path)) == 0


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_network_builds_in_every_precision(
    exported: tuple[str, Path], precision: Any, pairs: tuple[Path, Path], tmp_path: Path
) -> None:
    """Within the limits of its precision, for all targets that can compute it."""
    trt = pytest.importorskip("tensorrt_rtx")
    if precision == "int8":
        pytest.importorskip("modelopt.onnx.quantization")
    from edgefuse.export.engine import library_targets

    name, path = exported
    without_turing = precision == "fp32" and name in ATTENTION
    targets = [target for target in library_targets(trt) if not (without_turing and target == "sm_75")]
    engine = export(
        path,
        tmp_path / "engine.rtx",
        format="tensorrt-rtx",
        precision=precision,
        pairs=pairs,
        calibration=pairs if precision == "int8" else None,
        targets=targets,
    )
    assert engine.manifest.parity is not None
    assert engine.manifest.parity["passed"]
    assert set(engine.manifest.targets) == set(targets)
