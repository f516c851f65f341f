"""Weights on disk: round trips, files that do not fit, files that are not trusted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from edgefuse.errors import ArtifactError, InputError, TrustError, UsageError
from edgefuse.models import create, load_weights, save_weights


def _network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return create("rpfnet", channels=4)


def _same(first: nn.Module, second: nn.Module) -> bool:
    left, right = first.state_dict(), second.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_weights_survive_the_disk_with_their_metadata(tmp_path: Path) -> None:
    """What is saved is what is loaded, bit for bit, and the header keeps the metadata."""
    source, target = _network(0), _network(1)
    path = tmp_path / "weights.safetensors"
    save_weights(source, path, {"recipe": "smoke"})
    assert not _same(source, target)
    load_weights(target, path)
    assert _same(source, target)
    with safe_open(path, framework="pt") as file:
        assert file.metadata() == {"recipe": "smoke"}


def test_tied_weights_are_saved_under_both_names(tmp_path: Path) -> None:
    """A network whose layers share a tensor survives the disk."""
    source, target = (nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)) for _ in range(2))
    for network in (source, target):
        network[1].weight = network[0].weight
    save_weights(source, tmp_path / "tied.safetensors")
    load_weights(target, tmp_path / "tied.safetensors")
    assert _same(source, target)


def test_saving_replaces_the_file_in_one_step_and_leaves_nothing_else(tmp_path: Path) -> None:
    """An older file is replaced and no temporary remains."""
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"older")
    save_weights(_network(0), path)
    load_weights(_network(1), path)
    assert list(tmp_path.iterdir()) == [path]


def test_failed_saving_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When writing fails, the old file is untouched, the error is one line and no temporary remains."""
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"older")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left on device"):
        save_weights(_network(0), path)
    assert path.read_bytes() == b"older"
    assert list(tmp_path.iterdir()) == [path]


def test_saving_into_a_missing_folder_says_so(tmp_path: Path) -> None:
    """The error names the file."""
    with pytest.raises(InputError, match="cannot write weights to"):
        save_weights(_network(0), tmp_path / "missing" / "weights.safetensors")


@pytest.mark.parametrize("suffix", [".pt", ".pth"])
@pytest.mark.parametrize("nested", [False, True])
def test_plain_state_dicts_load_from_torch_files(tmp_path: Path, suffix: str, nested: bool) -> None:
    """A torch file of tensors loads, also where they lie under "state_dict"."""
    source, target = _network(0), _network(1)
    path = tmp_path / f"weights{suffix}"
    torch.save({"state_dict": source.state_dict()} if nested else source.state_dict(), path)
    load_weights(target, path)
    assert _same(source, target)


def test_pickled_modules_are_not_trusted(tmp_path: Path) -> None:
    """A torch file that holds a whole module would run code, so it is refused."""
    path = tmp_path / "module.pth"
    torch.save(_network(0), path)
    with pytest.raises(TrustError, match="not plain tensors"):
        load_weights(_network(1), path)


def test_tensors_that_do_not_fit_are_named(tmp_path: Path) -> None:
    """Missing, unexpected and mis-shaped tensors are named, and the network keeps its own weights."""
    network, before = _network(0), _network(0)
    tensors = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    del tensors["init_freq.0.bias"]
    tensors["stranger"] = torch.zeros(1)
    tensors["decoder.0.bias"] = torch.zeros(7)
    path = tmp_path / "weights.safetensors"
    save_file(tensors, path)
    expected = r"missing: init_freq\.0\.bias; unexpected: stranger; wrong shape: decoder\.0\.bias \(7,\) for \(4,\)"
    with pytest.raises(ArtifactError, match=expected):
        load_weights(network, path)
    assert _same(network, before)


def test_long_lists_of_tensors_are_cut(tmp_path: Path) -> None:
    """A file of another network gives one readable line."""
    path = tmp_path / "weights.safetensors"
    save_file({"stranger": torch.zeros(1)}, path)
    with pytest.raises(ArtifactError, match=r"missing: .* and \d+ more; unexpected: stranger"):
        load_weights(_network(0), path)


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    """By the tensor, before a network draws black pictures with them."""
    network, path = _network(0), tmp_path / "weights.safetensors"
    tensors = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    name = next(name for name, tensor in tensors.items() if tensor.is_floating_point())
    tensors[name].flatten()[0] = float("nan")
    save_file(tensors, path)
    with pytest.raises(ArtifactError, match=f"not finite: {name}$"):
        load_weights(network, path)


def test_training_checkpoint_loads_into_an_inference_network_and_back(tmp_path: Path) -> None:
    """The auxiliary decoder's tensors may be left over or absent."""
    torch.manual_seed(0)
    training = create("rpfnet", channels=4, auxiliary=True)
    path = tmp_path / "checkpoint.safetensors"
    save_weights(training, path)
    inference = _network(1)
    load_weights(inference, path)
    assert torch.equal(inference.init_freq[0].weight, training.init_freq[0].weight)
    save_weights(inference, path)
    load_weights(training, path)


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("absent.safetensors", None, ArtifactError, "no weights file"),
        ("broken.safetensors", b"not a header", ArtifactError, "cannot be read as safetensors"),
        ("empty.safetensors", b"", ArtifactError, "cannot be read as safetensors"),
        ("broken.pth", b"", ArtifactError, "cannot be read as a torch file"),
        ("weights.onnx", b"", UsageError, r"\.safetensors, \.pt or \.pth"),
    ],
)
def test_unreadable_files_give_one_line(
    tmp_path: Path, name: str, content: bytes | None, error: type[Exception], message: str
) -> None:
    """Each unreadable file is named with what is wrong."""
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=message):
        load_weights(_network(0), tmp_path / name)


def test_torch_file_without_tensors_is_refused(tmp_path: Path) -> None:
    """A torch file that holds something else is named."""
    path = tmp_path / "numbers.pt"
    torch.save({"epoch": 3}, path)
    with pytest.raises(ArtifactError, match="hold no state dict"):
        load_weights(_network(0), path)


def test_other_suffixes_are_not_written(tmp_path: Path) -> None:
    """Weights are only ever written as safetensors."""
    with pytest.raises(UsageError, match=r"written as \.safetensors"):
        save_weights(_network(0), tmp_path / "weights.pth")
