"""Segmenters on fused images, with graphs and label maps made here."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from edgefuse.errors import ArtifactError, InputError, UsageError
from edgefuse.images import write_image
from edgefuse.metrics.study import Method
from edgefuse.metrics.tasks import Confusion, Segmenter
from edgefuse.metrics.tasks.compare import segment, segmentation_table

onnx = pytest.importorskip("onnx")


def brightness_segmenter(path: Path, *, scores: bool = True) -> Path:
    """A graph whose class 1 is every pixel with a red value over a half; as scores or as labels, at half resolution."""
    helper = onnx.helper
    height, width = ("H", "W")
    image = helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, [1, 3, height, width])
    kind = onnx.TensorProto.FLOAT if scores else onnx.TensorProto.INT64
    found = helper.make_tensor_value_info("found", kind, None)
    starts = {"zero": [0], "one": [1], "axis": [1], "half": np.array([0.5], np.float32)}
    constants = [
        onnx.numpy_helper.from_array(np.array(value, getattr(value, "dtype", np.int64)), name)
        for name, value in starts.items()
    ]
    nodes = [
        helper.make_node("AveragePool", ["image"], ["small"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Slice", ["small", "zero", "one", "axis"], ["red"]),
        helper.make_node("Sub", ["red", "half"], ["bright"]),
        helper.make_node("Neg", ["bright"], ["dark"]),
        helper.make_node("Concat", ["dark", "bright"], ["scores"], axis=1),
        helper.make_node("Identity", ["scores"], ["found"])
        if scores
        else helper.make_node("ArgMax", ["scores"], ["found"], axis=1, keepdims=0),
    ]
    graph = helper.make_graph(nodes, "segmenter", [image], [found], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


HALF = np.zeros((32, 48), np.uint8)
HALF[:, 24:] = 255


@pytest.mark.parametrize("scores", [True, False], ids=["scores", "labels"])
@pytest.mark.parametrize("colour", [False, True])
def test_labels_have_the_size_of_the_image(tmp_path: Path, scores: bool, colour: bool) -> None:
    """Scores and labels at half resolution are brought back; the edge stays where it is."""
    segmenter = Segmenter(brightness_segmenter(tmp_path / "s.onnx", scores=scores), normalisation="unit")
    found = segmenter(np.dstack([HALF] * 3) if colour else HALF)
    np.testing.assert_array_equal(found, HALF // 255)


def test_channels_are_rgb_and_imagenet_normalisation_is_applied(tmp_path: Path) -> None:
    """Red of a BGR image is its last channel; ImageNet's normalisation moves the threshold."""
    path = brightness_segmenter(tmp_path / "s.onnx")
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 2] = 200
    assert Segmenter(path, normalisation="unit")(red).min() == 1
    assert Segmenter(path, normalisation="unit")(red[..., ::-1].copy()).max() == 0
    gray = np.full((8, 8), 150, np.uint8)  # 0.588 of white, and (0.588 - 0.485) / 0.229 = 0.45
    assert Segmenter(path, normalisation="unit")(gray).min() == 1
    assert Segmenter(path, normalisation="imagenet")(gray).max() == 0


def test_intersection_over_union_of_a_known_table() -> None:
    """Hits over the union of labelled and found pixels; ignored pixels count nowhere; absent classes are NaN."""
    confusion = Confusion(4, ignore=255)
    labels = np.array([[0, 0, 0, 1], [1, 1, 255, 255]])
    found = np.array([[0, 0, 1, 1], [1, 2, 0, 1]])
    confusion.add(labels, found)
    values = confusion.intersection_over_union()
    assert values[:3] == pytest.approx([2 / 3, 2 / 4, 0.0])
    assert math.isnan(values[3])
    assert confusion.mean() == pytest.approx((2 / 3 + 2 / 4 + 0) / 3)


def test_images_add_up_before_the_ratio_is_taken() -> None:
    """The value is of all pixels together, not a mean over images."""
    confusion = Confusion(2)
    confusion.add(np.zeros((1, 9), int), np.zeros((1, 9), int))
    confusion.add(np.zeros((1, 1), int), np.ones((1, 1), int))
    assert confusion.intersection_over_union() == pytest.approx([0.9, 0.0])


def test_a_found_class_that_is_unknown_is_a_miss() -> None:
    """A network with more classes than the labels is not rewarded for the others."""
    confusion = Confusion(2)
    confusion.add(np.array([[0, 0, 1, 1]]), np.array([[0, 7, 1, -1]]))
    assert confusion.intersection_over_union() == pytest.approx([0.5, 0.5])


def test_methods_are_compared(tmp_path: Path) -> None:
    """A method that turns the picture around has no hits."""
    write_image(tmp_path / "good" / "a.png", HALF)
    write_image(tmp_path / "bad" / "a.png", 255 - HALF)
    write_image(tmp_path / "labels" / "a.png", HALF // 255)
    methods = [Method("good", fused=tmp_path / "good"), Method("bad", fused=tmp_path / "bad")]
    segmenter = Segmenter(brightness_segmenter(tmp_path / "s.onnx"), normalisation="unit")
    labels = {"a": tmp_path / "labels" / "a.png"}
    counted = segment(methods, ["a"], segmenter, labels, classes=3, ignore=255, on_image=lambda: None)
    table = segmentation_table(counted, ["sky", "person", "car"], remark="together")
    assert table.columns == ("mIoU", "sky", "person")  # no pixel is a car or is taken for one
    assert table.rows == (("good", (1.0, 1.0, 1.0)), ("bad", (0.0, 0.0, 0.0)))


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    """Sizes, colour pictures in place of label maps, labels that are no class, other options."""
    segmenter = Segmenter(brightness_segmenter(tmp_path / "s.onnx"), normalisation="unit")
    write_image(tmp_path / "fused" / "a.png", HALF)
    method = [Method("m", fused=tmp_path / "fused")]

    def run(label_map: np.ndarray) -> None:
        write_image(tmp_path / "labels" / "a.png", label_map)
        labels = {"a": tmp_path / "labels" / "a.png"}
        segment(method, ["a"], segmenter, labels, classes=2, ignore=255, on_image=lambda: None)

    with pytest.raises(InputError, match=r"is 48x32, .*a\.png is 40x32: sizes"):
        run(np.zeros((32, 40), np.uint8))
    with pytest.raises(InputError, match="colour picture"):
        run(np.random.default_rng(0).integers(0, 9, (32, 48, 3)).astype(np.uint8))
    with pytest.raises(InputError, match=r"a\.png: label 9 is none of the 2 classes"):
        run(np.full((32, 48), 9, np.uint8))
    with pytest.raises(UsageError, match="must be one of unit, imagenet, not 'bgr'"):
        Segmenter(tmp_path / "s.onnx", normalisation="bgr")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="at least one class"):
        Confusion(0)


def test_a_graph_with_another_output_is_refused(tmp_path: Path) -> None:
    """Two dimensions are neither scores nor labels."""
    helper = onnx.helper
    image = helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, [1, 3, 8, 8])
    out = helper.make_tensor_value_info("out", onnx.TensorProto.FLOAT, None)
    node = helper.make_node("Flatten", ["image"], ["out"])
    graph = helper.make_graph([node], "flat", [image], [out])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), tmp_path / "f.onnx")
    with pytest.raises(ArtifactError, match=r"\[1, C, H, W\] or \[1, H, W\], this one \(1, 192\)"):
        Segmenter(tmp_path / "f.onnx")(np.zeros((8, 8), np.uint8))
