"""What our models cost beside other methods' networks, in one run: ``python -m edgefuse.bench quality cost``.

All networks go through the same export and the same runner, and take turns, so that a machine that slows down slows all
of them down. The measure is CPU time over all threads, which says what else the processor cannot do meanwhile.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgefuse.bench.images import network_inputs, sample_pair
from edgefuse.bench.noise import NoiseMeter
from edgefuse.bench.quality import OnRow, head, ignore, label
from edgefuse.bench.summary import summarize
from edgefuse.runtime import Runner, create_runner

__all__ = ["PEERS", "measure_cost"]

PEERS = {"MMDRFuse": 113, "SeAFusion": 166_883}
"""Networks of ``edgefuse.bench.peer_networks``, and the parameters that their authors' code has."""

_THREADS = 2
_TURNS = 10
_TURN_SECONDS = 0.5


def measure_cost(
    models: Sequence[str],
    *,
    imgsz: tuple[int, int] = (480, 640),
    turns: int = _TURNS,
    turn_seconds: float = _TURN_SECONDS,
    on_row: OnRow = ignore,
) -> dict[str, Any]:
    """Export models and the peers' networks for one size, and time them in turns.

    Args:
        models: Names, or paths of model files.
        imgsz: Height and width in pixels.
        turns: How often each network has its turn.
        turn_seconds: Length of a turn; it holds one run at least.
        on_row: Called with a line for each network.

    Returns:
        The record: a row for each network, with all times.

    Raises:
        MissingDependencyError: PyTorch, which exports, is not installed.
        EdgeFuseError: A model cannot be exported or loaded.
    """
    ir, vis = network_inputs(*sample_pair(1, imgsz))
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack, NoiseMeter() as noise:
        runners = {name: stack.enter_context(_runner(name, imgsz, Path(folder))) for name in (*models, *PEERS)}
        cpu_ms: dict[str, list[float]] = {name: [] for name in runners}
        wall_ms: dict[str, list[float]] = {name: [] for name in runners}
        for runner in runners.values():
            runner.infer(ir, vis)
        for _ in range(turns):
            for name, runner in runners.items():
                _take_turn(lambda: runner.infer(ir, vis), turn_seconds, cpu_ms[name], wall_ms[name])  # noqa: B023
    rows = []
    for name in runners:
        on_row(f"{label(name)}: {statistics.median(cpu_ms[name]):.2f} CPU ms")
        rows.append(
            {
                "name": label(name),
                "ours": name not in PEERS,
                "cpu": asdict(summarize(tuple(cpu_ms[name]))),
                "wall": asdict(summarize(tuple(wall_ms[name]))),
            }
        )
    about = {"imgsz": list(imgsz), "threads": _THREADS, "runtime": "ort", "noise": noise.noise.cause}
    return {**head("bench quality cost"), **about, "rows": rows}


def _runner(name: str, imgsz: tuple[int, int], folder: Path) -> Runner:
    from edgefuse.export import export

    path = Path(name)
    if path.suffix == ".onnx":
        return create_runner(path, threads=_THREADS)
    source = f"edgefuse.bench.peer_networks:{name}" if name in PEERS else name
    path = folder / f"{name}.onnx"
    export(source, path, imgsz=imgsz, untrained=name in PEERS)
    return create_runner(path, threads=_THREADS)


def _take_turn(call: Callable[[], object], seconds: float, cpu_ms: list[float], wall_ms: list[float]) -> None:
    """Run for a while; the first run, on cold caches, is not counted where there are others."""
    call()
    end = time.perf_counter() + seconds
    while True:
        cpu, wall = time.process_time(), time.perf_counter()
        call()
        cpu_ms.append((time.process_time() - cpu) * 1e3)
        wall_ms.append((time.perf_counter() - wall) * 1e3)
        if time.perf_counter() >= end:
            return
