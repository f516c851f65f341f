"""What lowering the DFT is worth on the CPU: ``python -m edgefuse.bench.bench_dft_lowering``.

RPFNet's spectral block and the whole network run in ONNX Runtime with ONNX's ``DFT`` operator, with dense matrix
products, with the default lowering, and in PyTorch eager. They run on one thread in this process, by turns, so that all
see the same state of the machine. CPU seconds are compared, which other processes disturb least; wall times stand
beside them. No number is printed unless all agree with PyTorch in float64.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import functools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgefuse.bench.formatting import markdown_table
from edgefuse.bench.gate import GateError
from edgefuse.bench.machine import describe_machine
from edgefuse.bench.noise import NoiseMeter
from edgefuse.bench.record import SCHEMA_VERSION, save_document
from edgefuse.bench.summary import compare, summarize
from edgefuse.errors import MissingDependencyError

if TYPE_CHECKING:
    import onnx
    from torch import nn

__all__ = ["FORMS", "GOALS", "dft_markdown", "main"]

FORMS = ("DFT operator", "dense", "default", "PyTorch eager")
"""What is compared; "default" is what an export for the CPU writes."""

GOALS: Mapping[tuple[str, str], float] = {
    ("spectral block", "DFT operator"): 20.0,
    ("spectral block", "dense"): 2.5,
    ("spectral block", "PyTorch eager"): 1.0,
    ("rpfnet", "DFT operator"): 6.0,
    ("rpfnet", "PyTorch eager"): 3.5,
}
"""How many times faster than each other form the default lowering is meant to be."""

# The default lowering is within 4e-7 of the largest value of the block's output in float64; ONNX Runtime's DFT operator
# is within 2e-5, since it sums in float32.
_TOLERANCE = {"DFT operator": 1e-4, "dense": 1e-6, "default": 1e-6, "PyTorch eager": 1e-6}

_VERSIONS = {"ONNX Runtime": "onnxruntime", "PyTorch": "torch"}

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class _Subject:
    """A network and inputs for it."""

    name: str
    network: nn.Module
    inputs: tuple[Floats, ...]


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure and print.

    Args:
        arguments: Command line; None takes the process's own.

    Returns:
        The record that ``--output`` saves.

    Raises:
        GateError: An output differs from PyTorch in float64.
        MissingDependencyError: torch or onnx is not installed.
    """
    options = _parser().parse_args(arguments)
    try:
        import onnxscript  # noqa: F401  # lower_dft rewrites with it
        import torch
    except ImportError as error:
        raise MissingDependencyError.for_package("torch", extra="train", purpose="export what is measured") from error
    torch.set_num_threads(1)
    document: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "command": "bench dft_lowering",
        "machine": json.loads(json.dumps(dataclasses.asdict(describe_machine()))),
        "size": list(options.size),
        "threads": 1,
        "rows": [],
    }
    for subject in _subjects(tuple(options.size), options.channels, options.subjects):
        document["rows"] += _measure(subject, options.rounds)
    if options.output is not None:
        save_document(document, options.output)
    print(json.dumps(document, indent=2) if options.json else dft_markdown(document))  # noqa: T201 - this is a program
    return document


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", nargs=2, type=int, default=(480, 640), metavar=("H", "W"), help="of the images")
    parser.add_argument("--channels", type=int, default=32, help="of the spectral block and of the network")
    parser.add_argument("--subjects", nargs="+", default=["block", "rpfnet"], choices=["block", "rpfnet"])
    parser.add_argument("--rounds", type=int, default=7, help="runs of each form, by turns")
    parser.add_argument("--output", type=Path, help="also save the record here")
    parser.add_argument("--json", action="store_true", help="print the record with all raw times")
    return parser


def _subjects(size: tuple[int, int], channels: int, wanted: Sequence[str]) -> list[_Subject]:
    """The block and the network, with weights and normalisation that leave no value at zero."""
    import torch

    from edgefuse.models import create
    from edgefuse.models.blocks import SpectralBlock

    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    made = []
    if "block" in wanted:
        image = rng.random((1, channels, *size), dtype=np.float32)
        made.append(_Subject("spectral block", SpectralBlock(channels).eval(), (image,)))
    if "rpfnet" in wanted:
        pair = tuple(rng.random((1, 1, *size), dtype=np.float32) for _ in range(2))
        made.append(_Subject("rpfnet", create("rpfnet", variant="released", channels=channels).eval(), pair))
    return made


def _graph(subject: _Subject) -> onnx.ModelProto:
    """The network with its ``DFT`` nodes, as PyTorch exports it."""
    from edgefuse.export.from_torch import graph_of

    return graph_of(
        subject.network,
        names=["ir", "vis"][: len(subject.inputs)],
        output="fused",
        channels=[image.shape[1] for image in subject.inputs],
        imgsz=(subject.inputs[0].shape[2], subject.inputs[0].shape[3]),
        batch=1,
        dynamic=False,
        opset=20,
    )


def _calls(subject: _Subject) -> dict[str, Callable[[], Floats]]:
    from edgefuse.export import lower_dft
    from edgefuse.export.blocked_layout import add_in_blocked_layout
    from edgefuse.export.concatenations import convolve_before_concatenating
    from edgefuse.export.graph_inference import graph_inference, network_inference

    graph = _graph(subject)
    graphs = {
        "DFT operator": graph,
        "dense": lower_dft(graph, method="dense"),
        "default": add_in_blocked_layout(convolve_before_concatenating(lower_dft(graph))),
    }
    infer = {form: graph_inference(model.SerializeToString(), threads=1) for form, model in graphs.items()}
    infer["PyTorch eager"] = network_inference(subject.network)
    return {form: functools.partial(infer[form], subject.inputs) for form in FORMS}


def _measure(subject: _Subject, rounds: int) -> list[dict[str, Any]]:
    """Check, then time all forms by turns; one row a form."""
    calls = _calls(subject)
    errors = _errors(subject, calls)
    cpu_ms: dict[str, list[float]] = {form: [] for form in calls}
    wall_ms: dict[str, list[float]] = {form: [] for form in calls}
    for call in calls.values():  # ONNX Runtime lays out its memory in the first run, and again, planned, in the second
        call()
    with NoiseMeter() as meter:
        for _ in range(rounds):
            for form, call in calls.items():
                started, busy = time.perf_counter(), time.process_time()
                call()
                cpu_ms[form].append((time.process_time() - busy) * 1e3)
                wall_ms[form].append((time.perf_counter() - started) * 1e3)
    default = summarize(cpu_ms["default"])
    return [
        {
            "subject": subject.name,
            "form": form,
            "relative_error": errors[form],
            "default_is_faster": None
            if form == "default"
            else dataclasses.asdict(compare(summarize(cpu_ms[form]), default)),
            "goal": GOALS.get((subject.name, form)),
            "noise": meter.noise.cause,
            "cpu_ms": cpu_ms[form],
            "wall_ms": wall_ms[form],
        }
        for form in calls
    ]


def _errors(subject: _Subject, calls: Mapping[str, Callable[[], Floats]]) -> dict[str, float]:
    """First, untimed run of each form: largest error against PyTorch in float64, relative to the largest value."""
    import torch

    exact = copy.deepcopy(subject.network).double()
    with torch.inference_mode():
        wanted = exact(*(torch.from_numpy(image).double() for image in subject.inputs)).numpy()
    errors = {}
    for form, call in calls.items():
        errors[form] = float(np.abs(call() - wanted).max() / np.abs(wanted).max())
        if not errors[form] <= _TOLERANCE[form]:
            raise GateError(f"{subject.name}, {form}: relative error {errors[form]:.1e}: nothing was measured")
    return errors


def dft_markdown(document: Mapping[str, Any]) -> str:
    """The tables of a record.

    Args:
        document: What ``main`` returns.

    Returns:
        Markdown, one table a subject, ending in a newline.
    """
    height, width = document["size"]
    lines = [
        f"{width}×{height}, one thread, medians by turns; ± is half the distance from the 10th to the 90th percentile.",
        "",
    ]
    for name in dict.fromkeys(row["subject"] for row in document["rows"]):
        rows = [row for row in document["rows"] if row["subject"] == name]
        head = (name, "CPU ms", "wall ms", "relative error", "default is faster", "goal")
        lines += [markdown_table(head, [_line(row) for row in rows]), ""]
        if rows[0]["noise"]:
            lines += [f"Beside it {rows[0]['noise']}.", ""]
    machine = document["machine"]
    versions = ", ".join(f"{name} {machine['versions'].get(package)}" for name, package in _VERSIONS.items())
    lines.append(f"Measured on {machine['cpu']['name']}, {versions}, {machine['utc'][:10]}.")
    return "\n".join(lines) + "\n"


def _line(row: Mapping[str, Any]) -> list[str]:
    ratio, goal = row["default_is_faster"], row["goal"]
    times = [summarize(row[kind]) for kind in ("cpu_ms", "wall_ms")]
    return [
        row["form"],
        *(f"{one.p50_ms:.0f} ± {one.spread_ms:.0f}" for one in times),
        f"{row['relative_error']:.1e}",
        "" if ratio is None else f"{ratio['value']:.1f} ± {ratio['spread']:.1f} ×",
        "" if goal is None else f"≥ {goal:g} ×",
    ]


if __name__ == "__main__":
    main()
