"""Checkpoints on disk."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from edgefuse.errors import ArtifactError
from edgefuse.train.checkpoint import Position, load_checkpoint, read_position, save_checkpoint


@pytest.fixture
def state():
    """A small network and an optimiser that has made a step."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    optimizers = {"all": torch.optim.Adam(network.parameters())}
    network(torch.rand(1, 1, 8, 8)).sum().backward()
    optimizers["all"].step()
    return network, optimizers


def test_everything_comes_back(state, tmp_path):
    """Weights, buffers, moments, random numbers and position are those that were saved."""
    network, optimizers = state
    path = tmp_path / "checkpoint.safetensors"
    position = Position(stage=1, step=7, total_steps=17, seconds=2.5, recipe={"a": [1, "x"]}, history=[{"loss": 0.5}])
    save_checkpoint(path, network=network, optimizers=optimizers, position=position)
    drawn = torch.rand(3)
    other = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    fresh = {"all": torch.optim.Adam(other.parameters())}
    load_checkpoint(path, network=other, optimizers=fresh)
    assert torch.equal(torch.rand(3), drawn)
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in network.state_dict().items())
    old, new = (item["all"].state_dict()["state"] for item in (optimizers, fresh))
    assert old.keys() == new.keys()
    for index, moments in old.items():
        assert all(torch.equal(value, new[index][key]) for key, value in moments.items())
    assert read_position(path) == position


def test_an_older_checkpoint_survives_a_failed_write(state, tmp_path, monkeypatch):
    """Nothing replaces a whole checkpoint but a whole one."""
    network, optimizers = state
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, network=network, optimizers=optimizers, position=Position(step=1))

    def fail(descriptor):
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        save_checkpoint(path, network=network, optimizers=optimizers, position=Position(step=2))
    assert read_position(path).step == 1
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


def test_another_network_and_other_files_are_refused(state, tmp_path):
    """A checkpoint of another network, plain weights, rubbish and nothing are each said to be that."""
    network, optimizers = state
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, network=network, optimizers=optimizers, position=Position())
    other = nn.Conv2d(1, 1, 1)
    with pytest.raises(ArtifactError, match="does not fit this recipe's network"):
        load_checkpoint(path, network=other, optimizers={"all": torch.optim.Adam(other.parameters())})
    save_file({"x": torch.zeros(1)}, tmp_path / "weights.safetensors")
    with pytest.raises(ArtifactError, match="not a training checkpoint"):
        read_position(tmp_path / "weights.safetensors")
    (tmp_path / "text.safetensors").write_text("hello")
    for name in ("text", "none"):
        with pytest.raises(ArtifactError, match="cannot read the checkpoint"):
            read_position(tmp_path / f"{name}.safetensors")
