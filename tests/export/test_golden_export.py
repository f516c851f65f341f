"""The published RPFNet, exported and lowered, against the outputs that its own code gave."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest

pytest.importorskip("torch")

from edgefuse import zoo
from edgefuse.export import export
from edgefuse.models import names

# BatchNorm by its running statistics, and by those of the one image: file names and the network's setting.
MODES = {"running": "running", "batch": "image"}


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(MODES))
@pytest.mark.parametrize("number", [0, 1])
def test_exported_graph_gives_the_published_output(shared: Path, tmp_path: Path, number: int, mode: str) -> None:
    """Odd sizes and both statistics included; the tolerance is the project's for the PyTorch network."""
    folder = shared / "golden" / "rpfnet"
    ir, vis = (
        cv2.imread(str(folder / f"{number}_{kind}.png"), cv2.IMREAD_GRAYSCALE).astype(np.float32)[None, None] / 255
        for kind in ("ir", "vis")
    )
    artifact = export(
        "rpfnet",
        tmp_path / "rpfnet.onnx",
        imgsz=ir.shape[2:],
        weights=folder / "state_dict.safetensors",
        config={"variant": "released", "norm_statistics": MODES[mode]},
    )
    session = onnxruntime.InferenceSession(str(artifact.path), providers=["CPUExecutionProvider"])
    (fused,) = session.run(None, {"ir": ir, "vis": vis})
    wanted = np.load(folder / f"{number}_fused_{mode}.npy")
    assert np.abs(fused - wanted.reshape(fused.shape)).max() <= 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(names()))
def test_fp16_graph_stays_within_one_grey_level_of_pytorch_on_real_pairs(
    shared: Path, tmp_path: Path, name: str
) -> None:
    """On the mean, as simulated on the CPU: with published or bundled weights where there are any, in full width.

    AngularFuse has one block a stage here in place of three, untrained: all of them take minutes to convert.
    """
    pairs = shared / "data" / "msrs" / "test"
    published = {"rpfnet": shared / "golden" / "rpfnet" / "state_dict.safetensors"}
    config = {"rpfnet": {"variant": "released"}, "angularfuse": {"blocks": 1}}.get(name)
    weights = published.get(name) or (None if name == "angularfuse" else zoo.weights(name))
    artifact = export(
        name,
        tmp_path / f"{name}.onnx",
        imgsz=(112, 160) if weights is not None else (64, 96),
        precision="fp16",
        weights=weights,
        untrained=weights is None,
        config=config,
        pairs=(pairs / "ir", pairs / "vis"),
    )
    assert artifact.manifest.parity is not None
    assert artifact.manifest.parity["mean_abs_error"] <= 1 / 255
    assert artifact.manifest.parity["pairs"] == 4
