"""``edgefuse bench kernels``: fused kernels beside eager PyTorch, its compiler and a copy of as many bytes."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from edgefuse.bench.formatting import NOTHING, markdown_table, megabytes, milliseconds, significant, with_spread
from edgefuse.bench.machine import describe_machine, threads_for
from edgefuse.bench.measure import Budget, Timing, warnings_of
from edgefuse.bench.noise import NoiseMeter
from edgefuse.bench.record import Series
from edgefuse.bench.summary import compare
from edgefuse.errors import MissingDependencyError, UsageError
from edgefuse.wording import counted

if TYPE_CHECKING:
    import torch

    from edgefuse.bench.ops.contest import Contest, Contestant

__all__ = ["OPS", "KernelRow", "kernels_markdown", "run_kernel_bench"]

Op = Literal["gradient_loss", "ssim", "spectral_conv", "rpfnet", "warp"]

OPS: tuple[str, ...] = get_args(Op)
"""What can be measured; ``rpfnet`` is a training step of the network on a GPU, ``warp`` a frame's way on the CPU."""

_DTYPES = ("fp32", "fp16", "bf16")
_MODES = ("forward", "step", "graph")
_SCHEMA_VERSION = 1


@dataclass(frozen=True)
class KernelRow:
    """One implementation of one operation at one size.

    Attributes:
        op: The operation.
        case: Its settings.
        shape: Shape of the images.
        dtype: Type of the images.
        implementation: Who computed it; the first of a contest is the one that is put forward.
        failed: Why there are no numbers, or None.
        series: Timings by mode: ``forward``, ``step`` (forward and backward), ``graph`` (a step as a CUDA graph).
        copy: Timing of a plain copy of as many bytes as the floor of a step.
        floor_bytes: Least memory traffic of a step, by the cost model.
        flops: Operations of a step, by the cost model.
        moved_bytes: Memory traffic of a step, counted operation by operation; None for what cannot be looked into.
        launches: Kernels that a step launches, on a GPU.
        stored_bytes: Memory kept between the two passes.
        peak_bytes: Device memory that a step needs, on a GPU.
        published: Figures of others, marked as published.
        warnings: What to know before trusting the timings.
    """

    op: str
    case: str
    shape: tuple[int, ...]
    dtype: str
    implementation: str
    floor_bytes: int
    flops: int
    failed: str | None = None
    series: dict[str, Series] = field(default_factory=dict)
    copy: Series | None = None
    moved_bytes: int | None = None
    launches: int | None = None
    stored_bytes: int | None = None
    peak_bytes: int | None = None
    published: str | None = None
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The row as JSON, raw times and their statistics included."""
        document = {key: value for key, value in vars(self).items() if key not in ("series", "copy")}
        document["series"] = {mode: series.to_dict() for mode, series in self.series.items()}
        document["copy"] = self.copy.to_dict() if self.copy is not None else None
        return document


def run_kernel_bench(
    *,
    device: str = "auto",
    ops: Sequence[str] = OPS,
    sizes: Sequence[str] = (),
    dtypes: Sequence[str] = ("fp32",),
    full: bool = False,
    seconds: float = 0.5,
    threads: int | None = None,
    on_row: Callable[[KernelRow], None] | None = None,
) -> dict[str, Any]:
    """Measure the kernels beside what they replace; nothing is timed whose results are wrong.

    Args:
        device: ``"cpu"``, ``"cuda"``, ``"cuda:N"``, or ``"auto"`` for a GPU where there is one.
        ops: Of ``OPS``.
        sizes: As in ``16x128x128``, or with channels ``16x32x128x128`` for the spectral convolution, which takes those
            of four numbers while the others take those of three; the sizes of the project's goals where none is given.
        dtypes: Of fp32, fp16, bf16.
        full: Measure ``torch.compile`` too, and on a GPU half precision; under 10 minutes on an NVIDIA GPU.
        seconds: Time for the timed runs of each series.
        threads: Threads on the CPU; by default one a physical core.
        on_row: Called with each finished row.

    Returns:
        The record as JSON: ``schema_version``, ``machine``, ``device``, ``threads``, ``l2_flushed``, ``tf32``
        and ``rows``.

    Raises:
        UsageError: A name, size or device is unknown.
        MissingDependencyError: PyTorch is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingDependencyError.for_package("torch", extra="train", purpose="measure kernels") from error
    from edgefuse.kernels.autotune import on_device

    _check_names("--ops", ops, OPS)
    _check_names("--dtype", dtypes, _DTYPES)
    where = _device(device)
    wanted = tuple(dict.fromkeys([*dtypes, *(("bf16",) if full and where.type == "cuda" else ())]))
    budget = Budget(seconds=seconds, warmup_seconds=seconds / 5, max_seconds=max(10.0, 4 * seconds))
    threads_before = torch.get_num_threads()
    torch.set_num_threads(threads_for(threads))
    rows: list[KernelRow] = []
    try:
        with on_device(where):  # events are recorded, and graphs captured, on the current device
            for contest in _contests(ops, sizes, wanted, where, compiled=full):
                for row in _rows(contest, where, budget):
                    rows.append(row)
                    if on_row is not None:
                        on_row(row)
        used = torch.get_num_threads()
        if not rows:
            raise UsageError(
                f"nothing to measure of {', '.join(ops)} in {', '.join(wanted)} on {where}: "
                "rpfnet is measured on an NVIDIA GPU, warp on the CPU, both in fp32"
            )
    finally:
        torch.set_num_threads(threads_before)
    name = torch.cuda.get_device_name(where) if where.type == "cuda" else "cpu"
    return {
        "schema_version": _SCHEMA_VERSION,
        "kind": "kernels",
        "machine": asdict(describe_machine()),
        "device": name,
        "threads": used,
        "l2_flushed": where.type == "cuda",
        "tf32": torch.backends.cudnn.conv.fp32_precision == "tf32",  # type: ignore[attr-defined]
        "rows": [row.to_dict() for row in rows],
    }


def _check_names(option: str, given: Sequence[str], allowed: Sequence[str]) -> None:
    for name in given:
        if name not in allowed:
            raise UsageError(f"{option} must be of {', '.join(allowed)}, got {name!r}")


def _device(name: str) -> torch.device:
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdigit()):
        raise UsageError(f"--device must be auto, cpu, cuda or cuda:N, got {name!r}")
    if kind == "cuda" and (not torch.cuda.is_available() or int(index or 0) >= torch.cuda.device_count()):
        raise UsageError(f"--device {name}: PyTorch sees {counted(torch.cuda.device_count(), 'NVIDIA GPU')} here")
    return torch.device(name)


def _contests(
    ops: Sequence[str], sizes: Sequence[str], dtypes: Sequence[str], device: torch.device, *, compiled: bool
) -> Iterator[Contest]:
    """Every contest of the chosen operations, sizes and types, each built when its turn comes."""
    for op in ops:
        module = importlib.import_module(f"edgefuse.bench.ops.bench_{op}")
        dimensions = module.SIZES[0].count("x")
        fitting = [size for size in sizes if size.count("x") == dimensions] if sizes else module.SIZES
        if not fitting and len(ops) == 1:
            raise UsageError(f"--sizes: {op} takes {dimensions + 1} numbers, as in {module.SIZES[0]}, got {sizes[0]!r}")
        for size in fitting:
            for dtype in dtypes:
                yield from module.contests(size=size, dtype=dtype, device=device, compiled=compiled)


def _rows(contest: Contest, device: torch.device, budget: Budget) -> Iterator[KernelRow]:
    """Check and measure everyone in a contest."""
    check = _gate(contest)
    copy = _copy(contest.step_cost.floor_bytes, device, budget)
    for contestant in contest.contestants:
        row = KernelRow(
            op=contest.op,
            case=contest.case,
            shape=contest.shape,
            dtype=contest.dtype,
            implementation=contestant.name,
            floor_bytes=contest.step_cost.floor_bytes,
            flops=contest.step_cost.flops,
            copy=copy,
            published=contest.published,
        )
        try:
            yield _measure(row, contestant, check=check, device=device, budget=budget)
        except Exception as error:  # a compiler or a device may fail in any way; the other rows are measured
            yield _with(row, failed=f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}")


def _gate(contest: Contest) -> Callable[[Sequence[torch.Tensor]], str | None]:
    """What tells whether results are wrong, and how."""
    from edgefuse.bench.ops.contest import beyond, disagreement

    exact = contest.exact()
    if contest.tolerances:
        return lambda results: beyond(results, exact, contest.tolerances)
    eager = _most_exact([one.step() for one in contest.contestants if one.name.startswith("eager")], exact)
    return lambda results: disagreement(results, eager=eager, exact=exact)


def _most_exact(results: Sequence[Sequence[torch.Tensor]], exact: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
    """The results whose last gradient is closest to the exact one, so that no wrong one becomes the measure."""
    return min(results, key=lambda result: float((result[-1].double() - exact[-1]).abs().max()))


def _with(row: KernelRow, **changes: Any) -> KernelRow:
    return KernelRow(**{**vars(row), **changes})


def _copy(floor_bytes: int, device: torch.device, budget: Budget) -> Series:
    """Timing of a copy that reads and writes as many bytes together as the floor says."""
    import torch

    from edgefuse.bench.ops.timing import time_function

    source = torch.empty(max(1, floor_bytes // 2), dtype=torch.uint8, device=device).fill_(1)
    target = torch.empty_like(source)
    return Series.of(time_function(lambda: target.copy_(source), device, budget))


def _measure(
    row: KernelRow,
    contestant: Contestant,
    *,
    check: Callable[[Sequence[torch.Tensor]], str | None],
    device: torch.device,
    budget: Budget,
) -> KernelRow:
    """Measure one implementation, or say why not."""
    from edgefuse.bench.ops.timing import count_launches, peak_bytes, stored_bytes, time_function, time_graph
    from edgefuse.kernels.cost import count_traffic

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the compiler's advice is no result
        wrong = check(contestant.step())
        if wrong is not None:
            return _with(row, failed=wrong)
        timings: dict[str, Timing] = {}
        with NoiseMeter() as noise:
            timings["forward"] = time_function(contestant.forward, device, budget)
            timings["step"] = time_function(contestant.step, device, budget)
            if device.type == "cuda":
                timings["graph"] = time_graph(contestant.step, device, budget)
        on_gpu = device.type == "cuda"
        notes = warnings_of(timings["step"])
        if noise.noise.cause is not None:
            notes.append(f"noisy machine: {noise.noise.cause}")
        counted = contestant.name.startswith("eager")
        return _with(
            row,
            series={mode: Series.of(timing) for mode, timing in timings.items()},
            moved_bytes=count_traffic(contestant.step).moved_bytes if counted else None,
            launches=count_launches(contestant.step, device) if on_gpu else None,
            stored_bytes=None if contestant.is_compiled else stored_bytes(contestant.step),
            peak_bytes=peak_bytes(contestant.step, device) if on_gpu else None,
            warnings=tuple(notes),
        )


def kernels_markdown(document: dict[str, Any]) -> str:
    """Render a record as Markdown.

    Args:
        document: What ``run_kernel_bench`` returned, or the same read from JSON.

    Returns:
        A table and its notes.
    """
    rows = document["rows"]
    has_graphs = any("graph" in row["series"] for row in rows)
    headings = ["operation", "size", "implementation", "forward ms", "step ms", "speed-up"]
    headings += ["graph ms", "speed-up in a graph"] if has_graphs else []
    headings += ["% of copy", "floor MB", "moved MB", "stored MB"] + (["peak MB", "launches"] if has_graphs else [])
    table = markdown_table(headings, [_cells(row, rows, has_graphs=has_graphs) for row in rows])
    notes = [
        f"{document['device']}, {counted(document['threads'], 'CPU thread')}. Step: forward and backward; of warp, "
        "both inputs and the coloured frame. Speed-up: step time over that of the contest's first row. % of copy: the "
        "rate at which the floor's bytes were dealt with, over that of a plain copy of as many bytes."
    ]
    if document.get("l2_flushed"):
        notes.append("The L2 cache was written over before every run.")
    notes += dict.fromkeys(row["published"] for row in rows if row["published"])
    notes += [f"{_label(row)} failed: {row['failed']}" for row in rows if row["failed"] is not None]
    notes += [f"{_label(row)}: {'; '.join(row['warnings'])}" for row in rows if row["warnings"]]
    return table + "\n\n" + "\n\n".join(notes) + "\n"


def _label(row: dict[str, Any]) -> str:
    shape = "x".join(map(str, row["shape"]))
    return f"{row['op']} ({row['case']}) {shape} {row['dtype']} {row['implementation']}"


def _cells(row: dict[str, Any], rows: Sequence[dict[str, Any]], *, has_graphs: bool) -> list[str]:
    """One line of the table."""
    same = [other for other in rows if all(other[key] == row[key] for key in ("op", "case", "shape", "dtype"))]
    head = [f"{row['op']}, {row['case']}", f"{'x'.join(map(str, row['shape']))} {row['dtype']}", row["implementation"]]
    cells = [*head, _median(row, "forward"), _median(row, "step"), _speed_up(row, same[0], "step")]
    if has_graphs:
        cells += [_median(row, "graph"), _speed_up(row, same[0], "graph")]
    cells += [_copy_percent(row), megabytes(row["floor_bytes"])]
    cells += [megabytes(row["moved_bytes"]), megabytes(row["stored_bytes"])]
    if has_graphs:
        cells += [megabytes(row["peak_bytes"]), NOTHING if row["launches"] is None else str(row["launches"])]
    return cells


def _series(row: dict[str, Any], mode: str) -> Series | None:
    return Series.from_dict(row["series"][mode]) if mode in row["series"] else None


def _median(row: dict[str, Any], mode: str) -> str:
    if row["failed"] is not None:
        return "failed"
    series = _series(row, mode)
    return NOTHING if series is None else milliseconds(series.summary.p50_ms)


def _speed_up(row: dict[str, Any], first: dict[str, Any], mode: str) -> str:
    """How much faster the first row of the contest is than this one."""
    slow, fast = _series(row, mode), _series(first, mode)
    if slow is None or fast is None or row is first:
        return NOTHING
    ratio = compare(slow.summary, fast.summary)
    return with_spread(ratio.value, ratio.spread) + "x"


def _copy_percent(row: dict[str, Any]) -> str:
    best = _series(row, "graph") or _series(row, "step")
    if best is None or row["copy"] is None:
        return NOTHING
    return significant(100 * Series.from_dict(row["copy"]).summary.p50_ms / best.summary.p50_ms)
