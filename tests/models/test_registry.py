"""Building networks by name, and the errors of names and settings that do not exist."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from edgefuse import zoo
from edgefuse.errors import TrustError, UsageError
from edgefuse.models import create, load_weights, names, register, registry


class _Mean(nn.Module):
    """A network of a user's own."""

    def __init__(self, weight: float = 0.5) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """Blend the two inputs."""
        return self.weight * first + (1 - self.weight) * second


@pytest.fixture(autouse=True)
def _registrations_end_with_the_test() -> Iterator[None]:
    before = dict(registry._FACTORIES)
    yield
    for name in set(registry._FACTORIES) - set(before):
        if name not in registry._BUILT_IN:
            del registry._FACTORIES[name]


@pytest.fixture
def own_module(monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of a user's own, importable by name."""
    module = type(sys)("own_networks")
    module.Mean = _Mean
    module.number = 3
    module.Single = nn.Identity
    module.NoNetwork = lambda: "text"
    monkeypatch.setitem(sys.modules, "own_networks", module)
    return "own_networks"


def test_names_are_listed_without_importing_torch() -> None:
    """A device without torch can list the names."""
    code = "import sys; from edgefuse.models import names; print(len(names())); sys.exit('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) == len([name for name in names() if name in registry._BUILT_IN])


@pytest.mark.parametrize("name", names())
def test_every_name_builds_a_network(name: str) -> None:
    """Each listed network is built with its defaults and declares its sizes."""
    network = create(name)
    assert network.size_multiple >= 1
    assert network.min_size >= 1


def test_unknown_name_lists_the_known_ones() -> None:
    """The error of a misspelt name shows the right ones."""
    with pytest.raises(UsageError, match=r"unknown model 'rpfnett'; known are .*rpfnet"):
        create("rpfnett")


def test_unknown_setting_lists_the_known_ones() -> None:
    """The error of a misspelt setting shows the right ones with their defaults."""
    with pytest.raises(UsageError, match=r"varient.*variant='paper'"):
        create("rpfnet", varient="released")


def test_registered_class_is_built_by_its_name() -> None:
    """A class registered by a user is listed and built with its settings."""
    register("mean")(_Mean)
    assert "mean" in names()
    assert create("mean", weight=0.25).weight == 0.25


def test_taken_name_is_refused() -> None:
    """A second class cannot take a name, not even of a built-in network that was not imported yet."""
    register("mean")(_Mean)
    for name in ("mean", "rpfnet"):
        with pytest.raises(UsageError, match=f"'{name}' is already registered"):
            register(name)(_Mean)


def test_own_class_is_built_by_its_path(own_module: str) -> None:
    """package.module:Class builds a network of a user's own."""
    network = create(f"{own_module}:Mean", weight=1.0)
    ir = torch.rand(1, 1, 4, 4)
    torch.testing.assert_close(network(ir, torch.zeros_like(ir)), ir)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_package.thing:Net", "cannot import no_such_package.thing"),
        ("own_networks:Missing", "has no class or function Missing"),
        ("own_networks:number", "has no class or function number"),
        ("own_networks:NoNetwork", "gave a str, not a torch.nn.Module"),
        ("own_networks:Single", r"forward must take two inputs, \(ir, vis\)"),
        ("own_networks:", "write it as package.module:Class"),
        ("a b:Net", "write it as package.module:Class"),
    ],
)
def test_wrong_own_class_says_what_is_wrong(own_module: str, name: str, message: str) -> None:
    """Each way in which a user's class cannot serve has its own line."""
    with pytest.raises(UsageError, match=message):
        create(name)


def test_pretrained_gives_the_weights_that_ship_and_refuses_others(tmp_path, monkeypatch):
    """The tensors are those of the bundled file; a name without weights and a changed file are refused."""
    network = create("lite", pretrained=True)
    expected = create("lite")
    load_weights(expected, zoo.ASSETS / "lite.safetensors")
    assert all(torch.equal(own, network.state_dict()[name]) for name, own in expected.state_dict().items())
    with pytest.raises(UsageError, match="no weights are published"):
        create("package.module:Net", pretrained=True)
    for file in ("lite.json", "lite.onnx", "lite.safetensors"):
        content = (zoo.ASSETS / file).read_bytes()
        (tmp_path / file).write_bytes(content[:-1] + b"?" if file.endswith("safetensors") else content)
    monkeypatch.setattr(zoo, "ASSETS", tmp_path)
    with pytest.raises(TrustError, match="differs from its manifest"):
        create("lite", pretrained=True)
