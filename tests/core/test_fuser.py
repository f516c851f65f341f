"""Fusing one pair from Python."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import edgefuse
from edgefuse.fuser import Fuser
from edgefuse.manifest import manifest_path
from edgefuse.padding import padded_size

RNG = np.random.default_rng(0)


@pytest.fixture
def fuse(average_model: Path):
    """The averaging model, loaded."""
    with edgefuse.load(average_model) as fuser:
        yield fuser


@pytest.mark.parametrize("size", [(8, 8), (17, 31), (33, 16), (479, 641)])
def test_gray_pairs_of_any_size_come_back_as_they_went_in(fuse: Fuser, size: tuple[int, int]) -> None:
    """Padding is added and removed; shape and dtype are the visible image's."""
    ir, vis = (RNG.integers(0, 255, size).astype(np.uint8) for _ in range(2))
    fused = fuse(ir, vis)
    assert fused.shape == size
    assert fused.dtype == np.uint8
    assert np.abs(fused - (ir.astype(float) + vis) / 2).max() <= 0.51


def test_colour_differences_are_kept(fuse: Fuser) -> None:
    """Where nothing clips, B - G and R - G of the fused image are the visible image's, its luminance the mean."""
    vis = RNG.integers(90, 160, (20, 28, 3)).astype(np.uint8)
    ir = RNG.integers(90, 160, (20, 28)).astype(np.uint8)
    fused = fuse(ir, vis).astype(int)
    np.testing.assert_array_equal(fused[..., 0] - fused[..., 1], vis[..., 0].astype(int) - vis[..., 1])
    np.testing.assert_array_equal(fused[..., 2] - fused[..., 1], vis[..., 2].astype(int) - vis[..., 1])
    weights = np.array([0.114, 0.587, 0.299])
    assert np.abs(fused @ weights - (ir + vis @ weights) / 2).max() <= 0.51


def test_inputs_are_not_written_to(fuse: Fuser) -> None:
    """Read-only and non-contiguous arrays are fine."""
    ir, vis = RNG.integers(0, 255, (40, 60)).astype(np.uint8), RNG.integers(0, 255, (40, 60, 3)).astype(np.uint8)
    ir.setflags(write=False)
    vis.setflags(write=False)
    np.testing.assert_array_equal(fuse(ir[::2, ::3], vis[::2, ::3]), fuse(ir[::2, ::3].copy(), vis[::2, ::3].copy()))


def test_sizes_that_differ_name_both(fuse: Fuser) -> None:
    """The message is for a person who forgot to register."""
    with pytest.raises(edgefuse.InputError, match="infrared is 20x10, visible is 22x10"):
        fuse(np.zeros((10, 20), np.uint8), np.zeros((10, 22, 3), np.uint8))


@pytest.mark.parametrize(
    ("ir", "vis"),
    [
        (np.zeros((16, 16, 3), np.uint8), np.zeros((16, 16), np.uint8)),
        (np.zeros((16, 16), np.uint8), np.zeros((16, 16), np.float32)),
        (np.zeros((16, 16), np.uint8), np.zeros((16, 16, 4), np.uint8)),
        (np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8)),
    ],
)
def test_other_shapes_and_dtypes_are_refused(fuse: Fuser, ir: np.ndarray, vis: np.ndarray) -> None:
    """Each with an InputError."""
    with pytest.raises(edgefuse.InputError):
        fuse(ir, vis)


def test_a_pinned_size_pads_every_pair_to_it(average_model: Path) -> None:
    """imgsz fixes the tensor and refuses what does not fit."""
    with edgefuse.load(average_model, imgsz=(32, 48)) as fuser:
        tensors = fuser.prepare(np.zeros((20, 30), np.uint8), np.zeros((20, 30), np.uint8))
        assert [tensor.shape for tensor in tensors] == [(1, 1, 32, 48)] * 2
        with pytest.raises(edgefuse.InputError, match="at most 48x32"):
            fuser(np.zeros((40, 40), np.uint8), np.zeros((40, 40), np.uint8))


def test_wrong_names_are_usage_errors(average_model: Path) -> None:
    """Model, device, runtime and precision each say what is allowed."""
    for arguments, message in (
        ({"model": "nonsense"}, "unknown model"),
        ({"model": "my.nets:Net"}, "edgefuse export my.nets:Net --weights FILE makes one"),
        ({"model": "runs/lite/weights.safetensors"}, "edgefuse export NAME --weights runs/lite/weights.safetensors"),
        ({"model": average_model, "device": "tpu"}, "device must be one of cpu, cuda"),
        ({"model": average_model, "runtime": "x"}, "runtime must be one of"),
        ({"model": average_model, "precision": "fp16"}, "is fp32, not fp16: edgefuse export average --precision fp16"),
        ({"model": average_model, "precision": "fp61"}, "precision must be one of fp32, fp16, bf16, int8, not 'fp61'"),
        ({"model": average_model, "imgsz": (30, 30)}, "multiples of 4"),
    ):
        with pytest.raises(edgefuse.UsageError, match=message):
            edgefuse.load(**arguments)


def test_a_model_runs_in_the_precision_it_was_exported_in(average_model: Path, tmp_path: Path) -> None:
    """Unless one is named: then another is refused."""
    path = Path(shutil.copy(average_model, tmp_path))
    text = manifest_path(average_model).read_text().replace('"precision": "fp32"', '"precision": "int8"')
    manifest_path(path).write_text(text)
    with edgefuse.load(path) as fuser:
        assert fuser.model == "average, int8, on onnxruntime-cpu"
    with edgefuse.load(path, precision="int8"), pytest.raises(edgefuse.UsageError, match="is int8, not fp32"):
        edgefuse.load(path, precision="fp32")


def test_a_corrupted_model_is_refused(tmp_path: Path) -> None:
    """A file that is no ONNX graph is one line."""
    (tmp_path / "bad.onnx").write_bytes(b"\x08\x07garbage")
    with pytest.raises(edgefuse.ArtifactError, match=r"bad\.onnx: ONNX Runtime cannot load it"):
        edgefuse.load(tmp_path / "bad.onnx")


def test_a_closed_fuser_says_so(average_model: Path) -> None:
    """Closing twice is fine, fusing after it is not."""
    fuser = edgefuse.load(average_model)
    fuser.close()
    fuser.close()
    with pytest.raises(edgefuse.ArtifactError, match="not active"):
        fuser(np.zeros((16, 16), np.uint8), np.zeros((16, 16), np.uint8))
    assert padded_size(16, 16, multiple=fuser.runner.size_multiple) == (16, 16)


def test_a_model_that_keeps_the_slow_transform_says_how_to_be_rid_of_it() -> None:
    """What ships has nothing to say: the bundled RPFNet has no DFT operator, and loads into any ONNX Runtime."""
    for name in ("rpfnet", "lite"):
        with edgefuse.load(name) as fuser:
            assert fuser.advice is None
            assert fuser.runner.manifest is not None
            fuser.runner.manifest = replace(fuser.runner.manifest, dft_lowering="keep")
            assert f"edgefuse export {name}" in str(fuser.advice)
