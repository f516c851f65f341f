"""What the metrics cost beside a plain restatement: ``python -m edgefuse.bench.bench_metrics``.

The restatement is CDDFuse's ``Evaluator`` as its formulas read: float32 images, one pair of images at a time, two-
dimensional convolutions by scipy. Both run in this process, by turns, and CPU seconds of all threads are compared, so
that the ratio holds on any machine. No number is printed unless both agree.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import json
import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgefuse.bench.formatting import markdown_table
from edgefuse.bench.gate import GateError
from edgefuse.bench.machine import allowed_cpus, describe_machine
from edgefuse.bench.summary import compare, summarize
from edgefuse.errors import MissingDependencyError
from edgefuse.images import read_ir, read_vis, write_image
from edgefuse.metrics import evaluate
from edgefuse.metrics.gray import to_gray
from edgefuse.metrics.study import Method, Request, find_items, plan, run

__all__ = ["METRICS", "main", "restated"]

METRICS = ("EN", "SD", "SF", "AG", "MI", "CC", "SCD", "VIF", "Qabf", "SSIM")
# float32 sums of the restatement are within 2e-7 of the exact values; SSIM with L = 2 is within 1e-5 of ours.
_TOLERANCE = 1e-4

Single = NDArray[np.float32]
_Triplet = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]


def restated(fused: Single, ir: Single, vis: Single) -> dict[str, Callable[[], float]]:
    """The ten metrics in the ``cddfuse`` convention, as plain as they read.

    Args:
        fused: Fused image in 0..255.  # [H, W]
        ir: Infrared image.  # [H, W]
        vis: Visible image.  # [H, W]

    Returns:
        A call for each metric, so that each can be timed.
    """
    sources = (ir, vis)
    return {
        "EN": lambda: _entropy(fused),
        "SD": lambda: float(np.std(fused)),
        "SF": lambda: math.sqrt((np.diff(fused, axis=0) ** 2).mean() + (np.diff(fused, axis=1) ** 2).mean()),
        "AG": lambda: float(np.sqrt((np.gradient(fused, axis=0) ** 2 + np.gradient(fused, axis=1) ** 2) / 2).mean()),
        "MI": lambda: sum(_mutual_information(source, fused) for source in sources),
        "CC": lambda: sum(_correlation(source, fused) for source in sources) / 2,
        "SCD": lambda: _correlation(fused - vis, ir) + _correlation(fused - ir, vis),
        "VIF": lambda: sum(_vif(source, fused) for source in sources),
        "Qabf": lambda: _qabf(fused, sources),
        "SSIM": lambda: sum(_ssim(fused, source) for source in sources),
    }


def _entropy(image: Single) -> float:
    p = np.bincount(image.astype(np.uint8).ravel(), minlength=256) / image.size
    return -float((p * np.log2(p + (p == 0))).sum())


def _mutual_information(one: Single, two: Single) -> float:
    joint = np.histogram2d(one.ravel(), two.ravel(), bins=256, range=((0, 256), (0, 256)))[0] / one.size
    independent = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    seen = joint > 0
    return float((joint[seen] * np.log(joint[seen] / independent[seen])).sum())


def _correlation(one: Single, two: Single) -> float:
    a, b = one - one.mean(), two - two.mean()
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def _vif(source: Any, fused: Any) -> float:
    from scipy.signal import convolve2d

    kept = information = 0.0
    for scale, size in enumerate((17, 9, 5, 3)):
        y, x = np.mgrid[-(size // 2) : size // 2 + 1, -(size // 2) : size // 2 + 1]
        window = np.exp(-(x * x + y * y) / (2 * (size / 5) ** 2))
        window /= window.sum()
        if scale:
            source, fused = (convolve2d(image, window, mode="valid")[::2, ::2] for image in (source, fused))
        mean_source, mean_fused = (convolve2d(image, window, mode="valid") for image in (source, fused))
        s1 = np.maximum(convolve2d(source * source, window, mode="valid") - mean_source * mean_source, 0)
        s2 = np.maximum(convolve2d(fused * fused, window, mode="valid") - mean_fused * mean_fused, 0)
        s12 = convolve2d(source * fused, window, mode="valid") - mean_source * mean_fused
        gain = s12 / (s1 + 1e-10)
        residual = s2 - gain * s12
        gain[s1 < 1e-10] = 0
        residual[s1 < 1e-10] = s2[s1 < 1e-10]
        s1[s1 < 1e-10] = 0
        gain[s2 < 1e-10] = 0
        residual[s2 < 1e-10] = 0
        residual[gain < 0] = s2[gain < 0]
        gain[gain < 0] = 0
        residual[residual <= 1e-10] = 1e-10
        kept += np.log10(1 + gain * gain * s1 / (residual + 2)).sum()
        information += np.log10(1 + s1 / 2).sum()
    return float(kept / information)


def _qabf(fused: Single, sources: Sequence[Single]) -> float:
    strength_fused, angle_fused = _sobel(fused)
    above = below = 0.0
    for source in sources:
        strength, angle = _sobel(source)
        ratio = np.zeros_like(strength)
        ratio[strength > strength_fused] = (strength_fused / np.maximum(strength, 1e-9))[strength > strength_fused]
        ratio[strength == strength_fused] = strength_fused[strength == strength_fused]
        ratio[strength < strength_fused] = (strength / np.maximum(strength_fused, 1e-9))[strength < strength_fused]
        agreement = 1 - np.abs(angle - angle_fused) / (math.pi / 2)
        quality = 0.9994 / (1 + np.exp(-15 * (ratio - 0.5))) * (0.9879 / (1 + np.exp(-22 * (agreement - 0.8))))
        above += float((quality * strength).sum())
        below += float(strength.sum())
    return above / below


def _sobel(image: Single) -> tuple[Any, Any]:
    from scipy.signal import convolve2d

    x = convolve2d(image, np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float32), mode="same")
    y = convolve2d(image, np.array([[1, 2, 1], [0, 0, 0], [-1, -2, -1]], np.float32), mode="same")
    angle = np.full_like(x, math.pi / 2)
    angle[x != 0] = np.arctan(y[x != 0] / x[x != 0])
    return np.sqrt(x * x + y * y), angle


def _ssim(one: Single, two: Single) -> float:
    from scipy.ndimage import uniform_filter

    sample, c1, c2 = np.float32(49 / 48), np.float32(0.02**2), np.float32(0.06**2)
    m1, m2 = uniform_filter(one, 7), uniform_filter(two, 7)
    v1 = sample * (uniform_filter(one * one, 7) - m1 * m1)
    v2 = sample * (uniform_filter(two * two, 7) - m2 * m2)
    v12 = sample * (uniform_filter(one * two, 7) - m1 * m2)
    value = (2 * m1 * m2 + c1) * (2 * v12 + c2) / ((m1 * m1 + m2 * m2 + c1) * (v1 + v2 + c2))
    return float(value[3:-3, 3:-3].mean(dtype=np.float64))


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure and print.

    Args:
        arguments: Command line; None takes the process's own.

    Returns:
        The record that is printed as JSON.

    Raises:
        GateError: The restatement and the library disagree.
        MissingDependencyError: scipy is not installed.
    """
    options = _parser().parse_args(arguments)
    if importlib.util.find_spec("scipy") is None:
        raise MissingDependencyError.for_package("scipy", extra="dev", purpose="restate the common code")
    images = _images(options)
    singles = [to_gray(image, "opencv").astype(np.float32) for image in images]
    plain = restated(singles[0], singles[1], singles[2])
    agreement = _check(plain, images)
    ours: dict[str, Callable[[], object]] = {
        convention: _call(images, METRICS, convention) for convention in ("cddfuse", "default")
    }
    calls: dict[str, Callable[[], object]] = {"restatement": lambda: [call() for call in plain.values()], **ours}
    suite = _cpu_ms(calls, options.rounds)
    single = {
        name: _cpu_ms({"restatement": plain[name], "cddfuse": _call(images, (name,), "cddfuse")}, options.rounds)
        for name in METRICS
    }
    record = {
        "machine": dataclasses.asdict(describe_machine()),
        "size": list(images[0].shape[:2]),
        "largest_disagreement": agreement,
        "suite_cpu_ms": suite,
        "ratio": {name: dataclasses.asdict(_ratio(suite, name)) for name in ours},
        "metric_cpu_ms": single,
        "folder": _folder(images, options.folder) if options.folder else [],
    }
    print(json.dumps(record, indent=2) if options.json else _view(record))  # noqa: T201 - this is a program
    return record


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", nargs=2, type=int, default=(480, 640), metavar=("H", "W"), help="of a made picture")
    parser.add_argument("--images", nargs=3, type=Path, metavar=("FUSED", "IR", "VIS"), help="real images in its place")
    parser.add_argument("--rounds", type=int, default=7, help="runs of each side, by turns")
    parser.add_argument("--folder", type=int, default=32, help="images for the scaling over processes; 0 leaves it out")
    parser.add_argument("--json", action="store_true", help="print the record with all raw times")
    return parser


def _images(options: argparse.Namespace) -> _Triplet:
    if options.images is None:
        ir, vis = (_picture(seed, tuple(options.size)) for seed in (0, 1))
        return np.maximum(ir, vis), ir, vis
    fused, infrared, visible = options.images
    return read_vis(fused), read_ir(infrared).astype(np.uint8), read_vis(visible)


def _picture(seed: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Structure at many scales, sensor noise, and a saturated flat corner: what real pairs have."""
    rng = np.random.default_rng(seed)
    picture = np.zeros(size)
    for cells in (3, 6, 12, 24, 48, 96):
        grid = rng.normal(0, 1 / cells**0.5, (cells, cells))
        picture += np.asarray(cv2.resize(grid, size[::-1], interpolation=cv2.INTER_CUBIC), np.float64)
    picture = (picture - picture.min()) / np.ptp(picture) * 255 + rng.normal(0, 2, size)
    picture[: size[0] // 6, : size[1] // 6] = 255
    return np.asarray(np.rint(picture).clip(0, 255), np.uint8)


def _call(images: _Triplet, metrics: Sequence[str], convention: Any) -> Callable[[], object]:
    return lambda: evaluate(*images, metrics=metrics, convention=convention)


def _check(plain: Mapping[str, Callable[[], float]], images: _Triplet) -> float:
    scores = evaluate(*images, metrics=METRICS, convention="cddfuse")
    worst = 0.0
    for name, call in plain.items():
        expected = call()
        difference = abs(scores[name] - expected) / abs(expected)
        if not difference <= _TOLERANCE:
            raise GateError(f"{name} is {scores[name]!r}, the restatement gives {expected!r}: nothing was measured")
        worst = max(worst, difference)
    return worst


def _cpu_ms(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """CPU milliseconds of all threads of each call, by turns, after one untimed run."""
    for call in calls.values():
        call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            started = time.process_time()
            call()
            times[name].append((time.process_time() - started) * 1e3)
    return times


def _ratio(times: Mapping[str, Sequence[float]], name: str) -> Any:
    return compare(summarize(times["restatement"]), summarize(times[name]))


def _folder(images: _Triplet, count: int) -> list[dict[str, float]]:
    """Wall time of a folder of images by number of processes, the start of the processes included."""
    results = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part, image in zip(("fused", "ir", "vis"), images, strict=True):
            for index in range(count):
                write_image(folder / part / f"{index}.png", image)
        jobs = plan([Method("fused", fused=folder / "fused")], find_items(folder / "ir", folder / "vis")[0])
        for workers in range(1, len(allowed_cpus()) + 1):
            started = time.perf_counter()
            rows = list(run(jobs, Request(metrics=METRICS), workers=workers))
            seconds = time.perf_counter() - started
            results.append({"workers": workers, "seconds": seconds, "images_per_second": len(rows) / seconds})
    return results


def _view(record: Mapping[str, Any]) -> str:
    height, width = record["size"]
    rows = [_line("all ten", record["suite_cpu_ms"])]
    rows += [_line(name, times) for name, times in record["metric_cpu_ms"].items()]
    table = markdown_table(("metrics", "restatement, CPU ms", "edgefuse, CPU ms", "ratio"), rows)
    default = record["ratio"]["default"]
    runs = len(record["suite_cpu_ms"]["cddfuse"])
    lines = [
        f"Metrics at {width}x{height}, convention cddfuse, medians of {runs} runs by turns",
        "",
        table,
        "",
        f"Convention default, all ten: ratio {default['value']:.1f} ± {default['spread']:.1f}. "
        f"Largest disagreement with the restatement: {record['largest_disagreement']:.1e} relative.",
    ]
    lines += [
        f"Folder, {result['workers']} process{'es' if result['workers'] > 1 else ''}: "
        f"{result['images_per_second']:.1f} images/s"
        for result in record["folder"]
    ]
    load = record["machine"]["load_average"]
    lines.append(
        f"{record['machine']['cpu']['name']}, load {load[0]:.1f}" if load else record["machine"]["cpu"]["name"]
    )
    return "\n".join(lines)


def _line(name: str, times: Mapping[str, Sequence[float]]) -> list[str]:
    ratio = _ratio(times, "cddfuse")
    medians = [summarize(times[side]).p50_ms for side in ("restatement", "cddfuse")]
    return [name, *(f"{value:.2f}" for value in medians), f"{ratio.value:.1f} ± {ratio.spread:.1f}"]


if __name__ == "__main__":
    main()
