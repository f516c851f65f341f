"""Graphs of the package's own networks: counted as PyTorch counts them, exported once and kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from edgefuse.bench.graphs import count_graph, count_network, export_network  # noqa: E402
from edgefuse.bench.network import build_network, inference_parameters, state_bytes  # noqa: E402
from edgefuse.bench.spec import model_subject  # noqa: E402
from edgefuse.errors import InputError, UsageError  # noqa: E402

SIZE = (32, 48)
SUBJECT = model_subject("lite")


def torch_macs(network: Any) -> int:
    """Half of what PyTorch's counter sees in one forward pass."""
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 1, *SIZE), torch.zeros(1, 1, *SIZE))
    return int(counter.get_total_flops()) // 2


@pytest.mark.parametrize("name", ["lite", "rpfnet"])
def test_a_network_has_the_macs_that_pytorch_counts(name: str) -> None:
    """Every convolution and matrix product is counted once; FLOPs come on top of twice as many."""
    network, _ = build_network(model_subject(name))
    counted = count_network(network, SIZE, batch=1)
    assert counted["macs"] == torch_macs(network)
    assert counted["flops"] > 2 * counted["macs"]
    assert counted["uncounted"] == {}


def test_every_process_builds_the_same_network() -> None:
    """Random weights come from one seed: the reference of one process holds in another."""
    first, second = (build_network(model_subject("rpfnet"))[0].state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_parameters_are_those_that_inference_needs() -> None:
    """The auxiliary decoder that only training uses does not count."""
    plain, _ = build_network(model_subject("rpfnet"))
    training, _ = build_network(model_subject("rpfnet", config={"auxiliary": True}))
    assert inference_parameters(training) == inference_parameters(plain) < sum(p.numel() for p in training.parameters())
    assert state_bytes(training) == state_bytes(plain)


def test_an_export_is_kept_until_anything_changes(tmp_path: Path) -> None:
    """The same network is found again; other weights, another size or a damaged file are exported anew."""
    network, _ = build_network(SUBJECT)

    def export(size: tuple[int, int] = SIZE) -> Path:
        folder, cache = tmp_path / "run", tmp_path / "cache"
        return export_network(network, SUBJECT, "onnx", "fp32", batch=1, size=size, folder=folder, cache=cache)

    path = export()
    written = path.stat().st_mtime_ns
    assert export() == path
    assert path.stat().st_mtime_ns == written
    assert count_graph(path, 1, SIZE)["macs"] == torch_macs(network)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"\0")
    assert export() == path
    assert path.read_bytes() == content
    assert export((64, 48)) != path
    with torch.no_grad():
        next(network.parameters()).add_(1.0)
    assert export() != path


def test_a_cache_that_takes_no_files_says_the_way_out(tmp_path: Path) -> None:
    """As under a home folder that a service may not write to."""
    (tmp_path / "cache").touch()
    network, _ = build_network(SUBJECT)
    with pytest.raises(InputError, match=r"cannot keep graphs there .*: give --no-cache, or .* EDGEFUSE_CACHE"):
        export_network(network, SUBJECT, "onnx", "fp32", batch=1, size=SIZE, folder=tmp_path, cache=tmp_path / "cache")


def test_int8_says_how_to_get_it(tmp_path: Path) -> None:
    """Quantisation needs real pairs, which a benchmark has not."""
    network, _ = build_network(SUBJECT)
    with pytest.raises(UsageError, match="--calib-data, then measure with --onnx"):
        export_network(network, SUBJECT, "onnx", "int8", batch=1, size=SIZE, folder=tmp_path, cache=None)
