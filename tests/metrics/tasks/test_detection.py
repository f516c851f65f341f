"""Detectors on fused images, with graphs and labels made here."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgefuse.errors import ArtifactError, InputError, MissingDependencyError, UsageError
from edgefuse.images import write_image
from edgefuse.metrics.study import Method
from edgefuse.metrics.tasks import (
    Detector,
    GroundTruth,
    LabelledBox,
    read_coco,
    read_ground_truth,
    read_yolo,
    score_detections,
)
from edgefuse.metrics.tasks.compare import common_images, detect, detection_table

onnx = pytest.importorskip("onnx")
pytest.importorskip("pycocotools")


def constant_detector(path: Path, output: np.ndarray, *, size: int = 64, names: str | None = None) -> Path:
    """A graph that finds the same boxes in every image, in any layout."""
    helper = onnx.helper
    image = helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, [1, 3, size, size])
    found = helper.make_tensor_value_info("output0", onnx.TensorProto.FLOAT, list(output.shape))
    constant = onnx.numpy_helper.from_array(output.astype(np.float32), "boxes")
    zero = onnx.numpy_helper.from_array(np.array(0, np.float32), "zero")
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Add", ["boxes", "nothing"], ["output0"]),
    ]
    graph = helper.make_graph(nodes, "detector", [image], [found], [constant, zero])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    if names is not None:
        model.metadata_props.add(key="names", value=names)
    onnx.save(model, path)
    return path


CORNERS = np.array([[8, 8, 24, 40, 0.9, 0], [30, 10, 60, 30, 0.8, 1]], np.float32)
"""Two boxes in the pixels of a 64 x 64 input: corners, score, class."""


def centre_boxes(layout: str) -> np.ndarray:
    """The same two boxes, with the first one doubled a pixel apart, as a YOLO head without suppression gives them."""
    doubled = np.vstack([CORNERS, CORNERS[:1] + np.array([1, 0, 1, 0, -0.2, 0])])
    rows = np.zeros((len(doubled), 4 + (layout == "yolov5") + 2), np.float32)
    rows[:, 0:2] = (doubled[:, 0:2] + doubled[:, 2:4]) / 2
    rows[:, 2:4] = doubled[:, 2:4] - doubled[:, 0:2]
    first = 4
    if layout == "yolov5":
        rows[:, 4], first = 0.5, 5
    for row, score, label in zip(rows, doubled[:, 4], doubled[:, 5], strict=True):
        row[first + int(label)] = score
    rows = np.vstack([rows, np.zeros((9, rows.shape[1]), np.float32)])  # more anchors than attributes, as in real heads
    return rows.T[None] if layout == "yolov8" else rows[None]


@pytest.mark.parametrize("layout", ["yolov8", "yolov5", "boxes"])
@pytest.mark.parametrize("asked", ["auto", "same"])
def test_every_layout_gives_the_same_boxes(tmp_path: Path, layout: Any, asked: str) -> None:
    """Centre boxes and corners, with and without suppression, by name and by shape."""
    output = CORNERS[None] if layout == "boxes" else centre_boxes(layout)
    if layout == "yolov5" and asked == "auto":
        output = np.concatenate([output, np.zeros_like(output[..., :1])], axis=2)  # three classes: [1, N, 8]
    path = constant_detector(tmp_path / "d.onnx", output)
    detector = Detector(path, layout=layout if asked == "same" else "auto")
    found = detector(np.zeros((64, 64), np.uint8))
    np.testing.assert_allclose(found[:, :4], CORNERS[:, :4], atol=1e-4)
    np.testing.assert_allclose(found[:, 4], CORNERS[:, 4] * (0.5 if layout == "yolov5" else 1), atol=1e-6)
    assert found[:, 5].tolist() == [0, 1]


def test_boxes_come_back_in_pixels_of_the_image(tmp_path: Path) -> None:
    """An oblong image is letterboxed; the boxes lose the border and the scale again."""
    detector = Detector(constant_detector(tmp_path / "d.onnx", CORNERS[None]))
    found = detector(np.zeros((64, 128, 3), np.uint8))  # scale 1/2, 16 rows of gray above and below
    np.testing.assert_allclose(found[0, :4], [16, 0, 48, 48], atol=1e-4)
    np.testing.assert_allclose(found[1, :4], [60, 0, 120, 28], atol=1e-4)


def _truth(boxes: list[LabelledBox]) -> GroundTruth:
    return GroundTruth({"a": boxes}, {}, is_relative=False)


def _score(found: np.ndarray, boxes: list[LabelledBox]) -> Any:
    return score_detections({"a": found.astype(np.float32)}, {"a": (64, 64)}, _truth(boxes))


def test_average_precision_of_known_cases() -> None:
    """All found: 1. One class missed: half. Half of one class found: a recall of a half at full precision."""
    boxes = [LabelledBox(0, 8, 8, 16, 32), LabelledBox(1, 30, 10, 30, 20)]
    assert _score(CORNERS, boxes).map50 == pytest.approx(1.0)
    assert _score(CORNERS, boxes).map50_95 == pytest.approx(1.0)
    missed = _score(CORNERS[:1], boxes)
    assert (missed.map50, dict(missed.ap50)) == (pytest.approx(0.5), {0: pytest.approx(1.0), 1: 0.0})
    two = [LabelledBox(0, 8, 8, 16, 32), LabelledBox(0, 40, 40, 10, 10)]
    # COCO reads precision at 101 recalls; 51 of them are at most a half.
    assert _score(CORNERS[:1], two).map50 == pytest.approx(51 / 101)


def test_an_overlap_over_a_half_counts_at_50_and_not_at_95() -> None:
    """Half of the box is enough for mAP@.5 and falls out of the stricter ones."""
    shifted = CORNERS[:1].copy()
    shifted[:, [0, 2]] += 4  # overlap 12 of 20 columns: 0.6
    scores = _score(shifted, [LabelledBox(0, 8, 8, 16, 32)])
    assert scores.map50 == pytest.approx(1.0)
    assert scores.map50_95 == pytest.approx(0.3)  # 0.50, 0.55 and 0.60 of ten


def test_nothing_found_is_zero_and_nothing_labelled_is_nan() -> None:
    """No detection is a result; no label is no question."""
    nothing = np.zeros((0, 6))
    assert _score(nothing, [LabelledBox(0, 8, 8, 16, 32)]).map50 == 0.0
    assert np.isnan(_score(CORNERS, []).map50)


def test_scoring_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """pycocotools reports on stdout, which belongs to the results of a command."""
    _score(CORNERS, [LabelledBox(0, 8, 8, 16, 32)])
    assert capsys.readouterr().out == ""


def test_yolo_and_coco_labels_read_the_same_boxes(tmp_path: Path) -> None:
    """Shares of the image and pixels, class indices and category ids."""
    labels = tmp_path / "labels"
    labels.mkdir()
    (labels / "a.txt").write_text("0 0.25 0.375 0.25 0.5\n\n1 0.5 0.5 1 1\n")
    (labels / "b.txt").write_text("")
    (labels / "classes.txt").write_text("person\ncar\n")
    coco = {
        "images": [{"id": 7, "file_name": "x/a.png"}, {"id": 8, "file_name": "b.png"}],
        "categories": [{"id": 3, "name": "car"}, {"id": 1, "name": "person"}],
        "annotations": [
            {"image_id": 7, "category_id": 1, "bbox": [8, 8, 16, 32]},
            {"image_id": 7, "category_id": 3, "bbox": [0, 0, 64, 64], "iscrowd": 1},
        ],
    }
    (tmp_path / "boxes.json").write_text(json.dumps(coco))
    yolo, other = read_ground_truth(labels), read_ground_truth(tmp_path / "boxes.json")
    assert yolo.names == other.names == {0: "person", 1: "car"}
    assert yolo.boxes["b"] == other.boxes["b"] == []
    first = yolo.boxes["a"][0]
    assert [64 * side for side in (first.left, first.top, first.width, first.height)] == [8, 8, 16, 32]
    assert other.boxes["a"] == [LabelledBox(0, 8, 8, 16, 32), LabelledBox(1, 0, 0, 64, 64, is_crowd=True)]


@pytest.mark.parametrize("line", ["0 0.5 0.5 0.1", "x 0.5 0.5 0.1 0.1", "0 1.5 0.5 0.1 0.1", "-1 0.5 0.5 0.1 0.1"])
def test_a_wrong_line_is_named(tmp_path: Path, line: str) -> None:
    """File and line number are in the message."""
    (tmp_path / "a.txt").write_text(f"0 0.5 0.5 0.1 0.1\n{line}\n")
    with pytest.raises(InputError, match=r"a\.txt, line 2: "):
        read_yolo(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"images": []}', '{"images": [], "categories": [], "annotations": [{}]}'])
def test_a_damaged_coco_file_is_named(tmp_path: Path, text: str) -> None:
    """Whatever is wrong inside, the message names the file."""
    (tmp_path / "boxes.json").write_text(text)
    with pytest.raises(InputError, match=r"boxes\.json: no COCO annotation file"):
        read_coco(tmp_path / "boxes.json")


def test_methods_are_compared_on_the_images_that_all_have(tmp_path: Path) -> None:
    """Two methods, one image missing in one of them, classes matched by name: the table names them."""
    for name in ("a", "b"):
        write_image(tmp_path / "one" / f"{name}.png", np.zeros((64, 64), np.uint8))
    write_image(tmp_path / "two" / "a.png", np.zeros((64, 64), np.uint8))
    methods = [Method("one", fused=tmp_path / "one"), Method("two", fused=tmp_path / "two")]
    images, left_out = common_images(methods)
    assert images == ["a"]
    assert left_out == ["one: 'b' is left out, other methods lack it"]
    # The detector calls person 1 and car 0; the labels have it the other way round.
    path = constant_detector(tmp_path / "d.onnx", CORNERS[None], names="{0: 'car', 1: 'person', 2: 'dog'}")
    boxes = [LabelledBox(1, 8, 8, 16, 32), LabelledBox(0, 30, 10, 30, 20)]
    truth = GroundTruth({"a": boxes}, {0: "person", 1: "car"}, is_relative=False)
    calls: list[int] = []
    scores = detect(methods, images, Detector(path), truth, on_image=lambda: calls.append(1))
    assert len(calls) == 2
    table = detection_table(scores, truth.names, remark="by pycocotools")
    assert table.columns == ("mAP@.5", "mAP@.5:.95", "person", "car")
    assert [values[0] for _, values in table.rows] == pytest.approx([1.0, 1.0])


def test_labels_of_other_images_are_no_question(tmp_path: Path) -> None:
    """An image without a label file is empty; where no file fits, the folder is the wrong one."""
    write_image(tmp_path / "one" / "a.png", np.zeros((64, 64), np.uint8))
    truth = GroundTruth({"z": [LabelledBox(0, 0.1, 0.1, 0.2, 0.2)]}, {}, is_relative=True)
    detector = Detector(constant_detector(tmp_path / "d.onnx", CORNERS[None]))
    with pytest.raises(InputError, match="no label is named like an image, as a would be"):
        detect([Method("one", fused=tmp_path / "one")], ["a"], detector, truth, on_image=lambda: None)


def test_what_cannot_be_used_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file, no graph, another layout, no common image, no library."""
    with pytest.raises(ArtifactError, match="no such model file"):
        Detector(tmp_path / "none.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"nothing")
    with pytest.raises(ArtifactError, match="cannot load it"):
        Detector(tmp_path / "bad.onnx")
    path = constant_detector(tmp_path / "d.onnx", CORNERS[None])
    with pytest.raises(UsageError, match="layout must be one of auto, yolov8"):
        Detector(path, layout="ssd")  # type: ignore[arg-type]
    flat = constant_detector(tmp_path / "flat.onnx", CORNERS)
    with pytest.raises(ArtifactError, match=r"has shape \[1, N, K\]"):
        Detector(flat)(np.zeros((64, 64), np.uint8))
    with pytest.raises(ArtifactError, match=r"boxes needs \[1, N, 6\]"):
        Detector(constant_detector(tmp_path / "v8.onnx", centre_boxes("yolov8")), layout="boxes")(
            np.zeros((9, 9), np.uint8)
        )
    with pytest.raises(InputError, match="give a COCO"):
        read_ground_truth(tmp_path / "labels.csv")
    monkeypatch.setitem(sys.modules, "pycocotools.coco", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'edgefuse\[eval\]'"):
        _score(CORNERS, [LabelledBox(0, 8, 8, 16, 32)])
