"""The kernel bench: a gate before every number, one schema, and a table that reads the same from JSON."""

from __future__ import annotations

import json

import pytest
import torch

from edgefuse.bench.kernels import OPS, kernels_markdown, run_kernel_bench
from edgefuse.bench.measure import Budget
from edgefuse.bench.ops import bench_gradient_loss, bench_spectral_conv, bench_ssim, bench_warp, timing
from edgefuse.bench.ops.contest import disagreement, parse_size
from edgefuse.bench.ops.timing import stored_bytes
from edgefuse.errors import UsageError

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def document():
    """A quick run over all operations on the CPU."""
    return run_kernel_bench(device="cpu", sizes=["1x12x16", "1x2x8x10", "48x64"], seconds=0.01, threads=1)


def test_every_row_on_the_cpu_passes_its_gate(document) -> None:
    """All implementations of all operations agree, and each is timed forward and with its backward pass."""
    assert [row["failed"] for row in document["rows"]] == [None] * len(document["rows"])
    assert {row["op"] for row in document["rows"]} == {"gradient_loss", "ssim", "spectral_conv", "warp"}
    assert all(set(row["series"]) == {"forward", "step"} for row in document["rows"])
    assert all(row["series"]["step"]["times_ms"] for row in document["rows"])


def test_eager_implementations_move_more_than_the_floor(document) -> None:
    """The counted traffic of eager PyTorch is many times the cost model's floor."""
    eager = [row for row in document["rows"] if row["implementation"].startswith("eager")]
    assert len(eager) >= 2 * len(bench_gradient_loss.CASES) + 3
    assert all(row["moved_bytes"] > 5 * row["floor_bytes"] for row in eager)


def test_table_is_the_same_from_json(document) -> None:
    """A record read back from JSON gives the same table, which names every implementation."""
    table = kernels_markdown(document)
    assert kernels_markdown(json.loads(json.dumps(document))) == table
    for row in document["rows"]:
        assert row["implementation"] in table
    assert "published" in table


def test_wrong_results_are_not_timed(monkeypatch) -> None:
    """An implementation whose gradient is wrong fails with the error, and the others are measured."""

    right = bench_gradient_loss.convolution_form
    monkeypatch.setattr(bench_gradient_loss, "convolution_form", lambda *i, **o: 0.5 * right(*i, **o))
    monkeypatch.setattr(bench_gradient_loss, "CASES", {"max magnitude": {"max_magnitude": 1.0}})
    rows = run_kernel_bench(device="cpu", ops=["gradient_loss"], sizes=["1x8x8"], seconds=0.01)["rows"]
    assert {row["implementation"] for row in rows if row["failed"]} == {"eager, convolution"}
    assert all(not row["series"] for row in rows if row["failed"])
    assert "the value is off by" in next(row["failed"] for row in rows if row["failed"])
    assert "failed" in kernels_markdown({"device": "cpu", "threads": 1, "rows": rows})


def test_disagreement_names_what_is_off() -> None:
    """Not-a-number and errors beyond twice eager PyTorch's are told apart by name."""
    exact = [torch.tensor(1.0, dtype=torch.float64), torch.ones(3, dtype=torch.float64)]
    good = [value.float() for value in exact]
    assert disagreement(good, eager=good, exact=exact) is None
    assert disagreement([good[0], good[1] + 1e-3], eager=good, exact=exact).startswith("gradient 1 is off by 0.001")
    assert disagreement([good[0] * float("nan"), good[1]], eager=good, exact=exact) == "the value is not finite"
    eager = [good[0], good[1] + 6e-4]
    assert disagreement([good[0], good[1] + 1e-3], eager=eager, exact=exact) is None
    # A derivative whose sign is chance, once in twenty thousand; three of them are too many.
    exact, good = ([one[0], one[1][:1].repeat(20_000)] for one in (exact, good))
    for wrong, refused in ((2, False), (3, True)):
        flipped = good[1].clone()
        flipped[:wrong] *= -1
        assert (disagreement([good[0], flipped], eager=good, exact=exact) is not None) == refused


def test_a_warp_that_is_wrong_is_not_timed(monkeypatch) -> None:
    """A fixed tolerance is a gate as well: what is beyond it fails with its error."""
    right = bench_warp.replace_luminance_bgr
    monkeypatch.setattr(bench_warp, "replace_luminance_bgr", lambda bgr, fused: right(bgr, fused) // 2)
    rows = run_kernel_bench(device="cpu", ops=["warp"], sizes=["48x64"], seconds=0.01)["rows"]
    assert {row["implementation"]: row["failed"] is None for row in rows} == {"native": False, "OpenCV chain": True}
    assert rows[0]["failed"].startswith("result 3 is off by")


def test_fused_losses_store_one_plane_between_the_passes() -> None:
    """What the one-pass kernels keep for the backward pass is the gradient alone."""
    for module in (bench_gradient_loss, bench_ssim):
        for contest in module.contests(size="2x16x20", dtype="fp32", device=CPU, compiled=False):
            fused = contest.contestants[0]
            assert fused.name == "fused"
            assert stored_bytes(fused.step) == 2 * 16 * 20 * 4


def test_default_sizes_are_those_of_the_goals() -> None:
    """Without sizes the bench measures a training batch and frames."""
    for module in (bench_gradient_loss, bench_ssim):
        assert module.SIZES == ("16x128x128", "8x480x640")
    assert bench_spectral_conv.SIZES[0] == "16x32x128x128"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ops": ["gradient"]}, f"--ops must be of {', '.join(OPS)}, got 'gradient'"),
        ({"dtypes": ["fp8"]}, "--dtype must be of fp32, fp16, bf16, got 'fp8'"),
        ({"device": "tpu"}, "--device must be auto, cpu, cuda or cuda:N, got 'tpu'"),
        ({"device": "cuda:99"}, "--device cuda:99: PyTorch sees"),
        ({"ops": ["ssim"], "sizes": ["128"]}, "takes 3 numbers, as in 16x128x128, got '128'"),
        ({"ops": ["rpfnet"]}, "nothing to measure of rpfnet in fp32 on cpu: rpfnet is measured on an NVIDIA GPU"),
        ({"ops": ["ssim"], "sizes": ["1x0x8"]}, "takes 3 numbers as in 16x128x128 here, got '1x0x8'"),
    ],
)
def test_wrong_options_are_named(options, message) -> None:
    """A name, size or device that is none is refused with what is allowed."""
    with pytest.raises(UsageError, match=message):
        run_kernel_bench(**{"device": "cpu", **options})


def test_sizes_are_read() -> None:
    """A size is numbers with an x between them."""
    assert parse_size("16x128x96", dimensions=3) == (16, 128, 96)


def test_each_run_on_a_gpu_finds_a_cold_cache(monkeypatch) -> None:
    """The cache is written over before the clock starts, and only the function is between its two events."""
    steps: list[str] = []

    class Event:
        def __init__(self, *, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            steps.append("event")

        def synchronize(self) -> None:
            steps.append("wait")

        def elapsed_time(self, _: object) -> float:
            return 2.0

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda _: steps.clear())  # what came before was no timed run
    monkeypatch.setattr(timing, "_l2_flush", lambda _: lambda: steps.append("flush"))
    budget = Budget(seconds=0.0, warmup_seconds=0.0, min_runs=20)
    found = timing.time_function(lambda: steps.append("run"), torch.device("cuda"), budget)
    assert found.times_ms == (2.0,) * 20
    assert steps == ["flush", "event", "run", "event"] * 20 + ["wait"]
