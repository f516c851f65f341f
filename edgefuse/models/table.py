"""Parameters and operations of the networks beside the papers' numbers: ``python -m edgefuse.models.table``."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from edgefuse.models import registry

__all__ = ["Cost", "Row", "count_cost", "count_parameters", "main", "rows", "to_markdown"]

_SIZES = ((480, 640), (256, 256))
_COUNTER = (
    "Operations by torch.utils.flop_counter, one forward pass of one pair: FLOPs are 2 a multiply-add; FFTs, which it "
    "counts as 0, are added at 5 N log2 N (complex) or half of that (real); resizing and element-wise operations count "
    "as 0. MACs are the multiply-adds alone. Papers' numbers are theirs; SSPFusion's G are multiply-adds. Parameters "
    "leave out what only training uses."
)


@dataclass(frozen=True)
class Cost:
    """What one forward pass of one pair takes.

    Attributes:
        height: Height of the images in pixels.
        width: Width of the images in pixels.
        macs: Multiply-adds of convolutions and matrix products.
        flops: Floating-point operations: 2 a multiply-add, and those of FFTs.
    """

    height: int
    width: int
    macs: int
    flops: int


@dataclass(frozen=True)
class Row:
    """A network beside its paper.

    Attributes:
        name: Name in the registry.
        config: Settings that differ from the defaults.
        parameters: Parameters that inference uses or, for published weights, holds.
        costs: Operations at each size.
        published_parameters: The paper's count, where it gives one.
        published_macs: The paper's multiply-adds at each size, where it gives them.
    """

    name: str
    config: dict[str, Any]
    parameters: int
    costs: tuple[Cost, ...]
    published_parameters: int | None = None
    published_macs: tuple[int | None, ...] = field(default=(None,) * len(_SIZES))


@dataclass(frozen=True)
class _Published:
    """A network of a paper and what the paper says of its cost."""

    name: str
    config: dict[str, Any] = field(default_factory=dict)
    parameters: int | None = None
    macs: tuple[int | None, ...] = (None,) * len(_SIZES)


# AngularFuse Table V; SSPFusion Table 5; RPFNet's published checkpoint.
_NETWORKS = (
    _Published("angularfuse", parameters=1_623_000),
    _Published("dfecf"),
    _Published("direction-aware"),
    _Published("lite"),
    _Published("lite-plus"),
    _Published("rpfnet", {"variant": "paper"}),
    _Published("rpfnet", {"variant": "released"}, parameters=72_074),
    _Published("sspfusion", parameters=12_021_649, macs=(1_332_000_000_000, 284_153_000_000)),
)


def rows() -> tuple[Row, ...]:
    """Count every network that ships, without allocating its weights or images.

    Returns:
        One row a network and variant.
    """
    counted = []
    for published in _NETWORKS:
        with torch.device("meta"):
            network = registry.create(published.name, **published.config).eval()
        costs = tuple(count_cost(network, height=height, width=width) for height, width in _SIZES)
        parameters = count_parameters(network)
        row = Row(published.name, published.config, parameters, costs, published.parameters, published.macs)
        counted.append(row)
    return tuple(counted)


def count_parameters(network: nn.Module) -> int:
    """Count the parameters of a network, without those under its ``training_only`` prefixes."""
    prefixes: tuple[str, ...] = tuple(getattr(network, "training_only", ()))
    return sum(tensor.numel() for name, tensor in network.named_parameters() if not name.startswith(prefixes))


def count_cost(network: nn.Module, *, height: int, width: int) -> Cost:
    """Count the operations of one forward pass.

    Args:
        network: A network of two inputs; one on the ``meta`` device is counted without computing anything.
        height: Height of the images in pixels.
        width: Width of the images in pixels.

    Returns:
        The count.
    """
    device = next(network.parameters()).device
    image = torch.empty(1, 1, height, width, device=device)
    aten = torch.ops.aten
    mapping: dict[Any, Any] = {
        aten._fft_r2c: _real_fft_flops,
        aten._fft_c2r: _real_fft_flops,
        aten._fft_c2c: _fft_flops,
    }
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=mapping) as counter:
        network(image, image)
    by_operator = counter.get_flop_counts()["Global"]
    flops = sum(by_operator.values())
    transforms = sum(count for operator, count in by_operator.items() if operator in mapping)
    return Cost(height, width, macs=(flops - transforms) // 2, flops=flops)


def _fft_flops(shape: Sequence[int], dims: Sequence[int], *_: object, out_shape: Sequence[int], **__: object) -> int:
    """Count a complex transform over ``dims`` at 5 N log2 N."""
    larger = max(shape, out_shape, key=math.prod)  # of a real transform's two sides, the one that is not halved
    length = math.prod(larger[dim] for dim in dims)
    return round(5 * math.prod(larger) * math.log2(length))


def _real_fft_flops(*args: Any, **kwargs: Any) -> int:
    """Count a transform from or to real numbers, half of a complex one."""
    return _fft_flops(*args, **kwargs) // 2


def to_markdown(counted: Sequence[Row]) -> str:
    """Lay rows out as a Markdown table with the counter named below."""
    header = ["network", "parameters", "paper"]
    for height, width in _SIZES:
        header += [f"GMACs {width}x{height}", f"GFLOPs {width}x{height}", "paper"]
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    for row in counted:
        label = row.name + "".join(f" {value}" for value in row.config.values())
        cells = [label, f"{row.parameters:,}", _beside(row.parameters, row.published_parameters, "{:,}", 1)]
        for cost, published in zip(row.costs, row.published_macs, strict=True):
            cells += [
                f"{cost.macs / 1e9:.3f}",
                f"{cost.flops / 1e9:.3f}",
                _beside(cost.macs, published, "{:.3f} GMACs", 1e9),
            ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", _COUNTER, ""])


def _beside(ours: int, published: int | None, layout: str, unit: float) -> str:
    """Show a published number with our distance from it."""
    if published is None:
        return "-"
    return f"{layout.format(published / unit if unit != 1 else published)} ({(ours / published - 1) * 100:+.2f} %)"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table.

    Args:
        arguments: Command-line arguments; those of the process by default.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(prog="python -m edgefuse.models.table", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON in place of Markdown")
    counted = rows()
    if parser.parse_args(arguments).json:
        report = {"schema_version": 1, "counter": _COUNTER, "networks": [asdict(row) for row in counted]}
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    else:
        sys.stdout.write(to_markdown(counted))
    return 0


if __name__ == "__main__":
    sys.exit(main())
