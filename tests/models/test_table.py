"""The table of parameters and operations, and the counter behind it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from torch import nn

from edgefuse.models import names, table
from edgefuse.models.blocks import SpectralBlock


class _Pointwise(nn.Module):
    """One 1x1 convolution from two channels to one."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 1)

    def forward(self, ir: torch.Tensor, vis: torch.Tensor) -> torch.Tensor:
        """Mix the two."""
        return self.conv(torch.cat([ir, vis], dim=1))


class _Spectral(nn.Module):
    """One spectral block of one channel."""

    def __init__(self) -> None:
        super().__init__()
        self.block = SpectralBlock(1)

    def forward(self, ir: torch.Tensor, vis: torch.Tensor) -> torch.Tensor:
        """Filter the difference."""
        return self.block(ir - vis)


def test_multiply_adds_count_two_flops_each() -> None:
    """A 1x1 convolution of two channels takes two multiply-adds a pixel."""
    cost = table.count_cost(_Pointwise(), height=6, width=10)
    assert (cost.macs, cost.flops) == (120, 240)


def test_transforms_are_added_to_the_flops_alone() -> None:
    """Two real FFTs at 2.5 N log2 N, and a 2x2 channel mix at each of the half spectrum's frequencies."""
    cost = table.count_cost(_Spectral(), height=8, width=12)
    frequencies = 8 * 7
    transform = round(5 * 96 * math.log2(96)) // 2
    assert cost.macs == 4 * frequencies
    assert cost.flops == 2 * cost.macs + 2 * transform


def test_meta_and_real_tensors_count_alike() -> None:
    """Counting without computing gives the same numbers."""
    with torch.device("meta"):
        counted = table.count_cost(_Spectral(), height=9, width=15)
    assert counted == table.count_cost(_Spectral(), height=9, width=15)


@pytest.fixture(scope="module")
def counted() -> tuple[table.Row, ...]:
    """All rows, counted once."""
    return table.rows()


def test_every_network_has_a_row_near_its_paper(counted: tuple[table.Row, ...]) -> None:
    """All networks are there, with the published numbers within one percent of ours."""
    assert {row.name for row in counted} == set(names())
    for row in counted:
        if row.published_parameters is not None:
            assert row.parameters == pytest.approx(row.published_parameters, rel=0.01)
        for cost, published in zip(row.costs, row.published_macs, strict=True):
            assert cost.flops >= 2 * cost.macs > 0
            if published is not None:
                assert cost.macs == pytest.approx(published, rel=0.01)


def test_documented_numbers_are_the_counted_ones(counted: tuple[table.Row, ...], repository: Path) -> None:
    """docs/models.md shows the table as the command prints it."""
    documented = (repository / "docs" / "models.md").read_text(encoding="utf-8")
    for line in table.to_markdown(counted).splitlines():
        assert line in documented


def test_json_holds_the_rows_and_the_counter(
    counted: tuple[table.Row, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The record has a schema version and every row."""
    monkeypatch.setattr(table, "rows", lambda: counted)
    assert table.main(["--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["schema_version"] == 1
    assert "torch.utils.flop_counter" in report["counter"]
    assert [row["parameters"] for row in report["networks"]] == [row.parameters for row in counted]


def test_markdown_names_the_counter() -> None:
    """A published number stands beside ours with the distance, and none without what counted it."""
    cost = table.Cost(480, 640, macs=1_000_000_000, flops=2_500_000_000)
    row = table.Row("net", {"variant": "x"}, 101_000, (cost, cost), 100_000, (800_000_000, None))
    printed = table.to_markdown([row])
    assert (
        "| net x | 101,000 | 100,000 (+1.00 %) | 1.000 | 2.500 | 0.800 GMACs (+25.00 %) | 1.000 | 2.500 | - |"
        in printed
    )
    assert "torch.utils.flop_counter" in printed
