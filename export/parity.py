"""Whether an exported graph still draws the same picture as the network it came from."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgefuse.errors import ArtifactError
from edgefuse.manifest import Precision

__all__ = ["LIMITS", "METRICS", "Differences", "Infer", "Limits", "Parity", "compare", "measure"]

Floats = NDArray[np.float32]
Infer = Callable[[Sequence[Floats]], Floats]
"""Takes a network's inputs, each (B, C, H, W), and returns its output."""

METRICS = ("EN", "SD", "Qabf", "SSIM")
"""Fusion metrics whose change is recorded with every export."""

_RELATIVE_FLOOR = 1 / 255  # below one grey level a relative error says nothing


@dataclass(frozen=True)
class Limits:
    """What an artifact may differ by.

    Attributes:
        mean_abs_error: On images in [0, 1].
        max_abs_error: Of any pixel.
        cosine: Smallest cosine between the outputs.
    """

    mean_abs_error: float
    max_abs_error: float
    cosine: float


# fp32: rounding only; worst seen over the zoo 8e-7 (test_zoo_export). fp16: one grey level on average. bf16 keeps 3
# bits less than fp16; int8 is what quantisation costs: two grey levels on average, with single pixels further off at
# edges.
LIMITS: Mapping[Precision, Limits] = {
    "fp32": Limits(1e-5, 1e-3, 0.999999),
    "fp16": Limits(1 / 255, 16 / 255, 0.9999),
    "bf16": Limits(2 / 255, 48 / 255, 0.999),
    "int8": Limits(3 / 255, 128 / 255, 0.998),
}


@dataclass(frozen=True)
class Differences:
    """How two outputs differ, over all pixels."""

    max_abs_error: float
    mean_abs_error: float
    median_abs_error: float
    max_relative_error: float
    mean_relative_error: float
    median_relative_error: float
    cosine: float


@dataclass(frozen=True)
class Parity:
    """Result of a comparison.

    Attributes:
        reference: What the artifact was held against.
        runtime: What ran the artifact.
        data: Where the image pairs came from.
        pairs: How many there were.
        differences: Over all of them.
        metrics: By metric: mean score of the reference, of the artifact, and the change.
        limits: What was allowed.
        passed: Whether all limits held.
    """

    reference: str
    runtime: str
    data: str
    pairs: int
    differences: Differences
    metrics: dict[str, dict[str, float]]
    limits: Limits
    passed: bool

    def as_dict(self) -> dict[str, Any]:
        """The result as the manifest holds it."""
        flat = asdict(self)
        return {
            **{key: flat[key] for key in ("reference", "runtime", "data", "pairs")},
            **flat["differences"],
            **{key: flat[key] for key in ("metrics", "limits", "passed")},
        }

    def complaint(self) -> str:
        """The limits that do not hold, in one line."""
        found, allowed = self.differences, self.limits
        parts = []
        if not found.mean_abs_error <= allowed.mean_abs_error:
            parts.append(f"mean error {found.mean_abs_error:.2g} over {allowed.mean_abs_error:.2g}")
        if not found.max_abs_error <= allowed.max_abs_error:
            parts.append(f"largest error {found.max_abs_error:.2g} over {allowed.max_abs_error:.2g}")
        if not found.cosine >= allowed.cosine:
            parts.append(f"cosine {found.cosine:.6f} under {allowed.cosine}")
        return ", ".join(parts)


def compare(got: Floats, wanted: Floats) -> Differences:
    """Differences of an output from the one wanted.

    Args:
        got: Output of the artifact.
        wanted: Output of the reference, of the same shape.

    Returns:
        The differences; NaN where the artifact's output is not finite.

    Raises:
        ArtifactError: The shapes differ.
    """
    if got.shape != wanted.shape:
        raise ArtifactError(f"the artifact's output has shape {got.shape}, the network's {wanted.shape}")
    left, right = got.astype(np.float64).ravel(), wanted.astype(np.float64).ravel()
    error = np.abs(left - right)
    relative = error / np.maximum(np.abs(right), _RELATIVE_FLOOR)
    norms = float(np.linalg.norm(left) * np.linalg.norm(right))
    cosine = float(left @ right) / norms if norms > 0 else float(np.array_equal(left, right))
    return Differences(
        float(error.max()),
        float(error.mean()),
        float(np.median(error)),
        float(relative.max()),
        float(relative.mean()),
        float(np.median(relative)),
        cosine,
    )


def measure(
    artifact: Infer,
    reference: Infer,
    inputs: Sequence[Sequence[Floats]],
    *,
    precision: Precision,
    names: tuple[str, str, str],
) -> Parity:
    """Run both on the same images and compare.

    Args:
        artifact: The exported graph.
        reference: The network it came from, in fp32.
        inputs: For every pair the network's inputs.  # [1, C, H, W] each
        precision: Which limits apply.
        names: What the reference is, what runs the artifact, where the pairs come from.

    Returns:
        The comparison.

    Raises:
        ArtifactError: The outputs have different shapes.
    """
    got, wanted = [], []
    for images in inputs:
        got.append(artifact(images))
        wanted.append(reference(images))
    differences = compare(np.stack(got), np.stack(wanted))
    limits = LIMITS[precision]
    within = (
        differences.mean_abs_error <= limits.mean_abs_error
        and differences.max_abs_error <= limits.max_abs_error
        and differences.cosine >= limits.cosine
    )
    return Parity(*names, len(inputs), differences, _metric_changes(got, wanted, inputs), limits, bool(within))


def _metric_changes(
    got: Sequence[Floats], wanted: Sequence[Floats], inputs: Sequence[Sequence[Floats]]
) -> dict[str, dict[str, float]]:
    """Mean scores of both outputs; nothing where the network does not fuse a pair of gray images."""
    if any(len(images) != 2 or images[0].shape != images[1].shape or images[0].shape[1] != 1 for images in inputs):
        return {}
    if any(output.shape != images[0].shape for output, images in zip(wanted, inputs, strict=True)):
        return {}
    from edgefuse.metrics import evaluate

    scores: dict[str, list[list[float]]] = {name: [[], []] for name in METRICS}
    for outputs, place in ((wanted, 0), (got, 1)):
        for output, (ir, vis) in zip(outputs, inputs, strict=True):
            for b in range(len(output)):
                values = evaluate(*(_to_uint8(image[b, 0]) for image in (output, ir, vis)), metrics=METRICS)
                for name in METRICS:
                    scores[name][place].append(values[name])
    return {
        name: {"reference": _mean(before), "artifact": _mean(after), "change": _mean(after) - _mean(before)}
        for name, (before, after) in scores.items()
        if math.isfinite(_mean(before)) and math.isfinite(_mean(after))
    }


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan


def _to_uint8(image: Floats) -> NDArray[np.uint8]:
    return np.round(np.clip(np.nan_to_num(image), 0.0, 1.0) * 255.0).astype(np.uint8)
