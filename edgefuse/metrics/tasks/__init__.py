"""Down-stream tasks on fused images: detectors and segmenters as ONNX graphs, scored against labels."""

from __future__ import annotations

from edgefuse.metrics.tasks.boxes import GroundTruth, LabelledBox, read_coco, read_ground_truth, read_yolo
from edgefuse.metrics.tasks.detection import (
    DetectionScores,
    Detector,
    DetectorLayout,
    require_pycocotools,
    score_detections,
)
from edgefuse.metrics.tasks.graph import ImageGraph
from edgefuse.metrics.tasks.segmentation import Confusion, Segmenter

__all__ = [
    "Confusion",
    "DetectionScores",
    "Detector",
    "DetectorLayout",
    "GroundTruth",
    "ImageGraph",
    "LabelledBox",
    "Segmenter",
    "read_coco",
    "read_ground_truth",
    "read_yolo",
    "require_pycocotools",
    "score_detections",
]
