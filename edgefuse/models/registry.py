"""Names of networks and the classes behind them; a network's module is imported when it is first built."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from typing import TYPE_CHECKING, Any, TypeVar

from edgefuse import zoo
from edgefuse.errors import MissingDependencyError, TrustError, UsageError
from edgefuse.foreign import import_foreign
from edgefuse.manifest import sha256_file
from edgefuse.models.weights import load_weights

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import nn

__all__ = ["create", "names", "register"]

_BUILT_IN = {
    "angularfuse": "edgefuse.models.angularfuse",
    "dfecf": "edgefuse.models.dfecf",
    "direction-aware": "edgefuse.models.direction_aware",
    "lite": "edgefuse.models.lite",
    "lite-plus": "edgefuse.models.lite_plus",
    "rpfnet": "edgefuse.models.rpfnet",
    "sspfusion": "edgefuse.models.sspfusion",
}
_FACTORIES: dict[str, Callable[..., nn.Module]] = {}

Factory = TypeVar("Factory", bound="Callable[..., nn.Module]")


def names() -> tuple[str, ...]:
    """List the networks that ``create`` knows by name.

    Returns:
        The names, sorted.

    Example:
        >>> "rpfnet" in names()
        True
    """
    return tuple(sorted({*_BUILT_IN, *_FACTORIES}))


def register(name: str) -> Callable[[Factory], Factory]:
    """Give a network class, or a function that returns a network, a name for ``create``.

    Args:
        name: The name; one that is taken is refused.

    Returns:
        A decorator that registers the class and returns it unchanged.

    Raises:
        UsageError: The name belongs to another class.
    """

    def decorate(factory: Factory) -> Factory:
        owner = _BUILT_IN.get(name)
        if name in _FACTORIES or (owner is not None and owner != factory.__module__):
            raise UsageError(f"a model named {name!r} is already registered; choose another name")
        _FACTORIES[name] = factory
        return factory

    return decorate


def create(name: str, *, pretrained: bool = False, **config: Any) -> nn.Module:
    """Build a network, in training mode as every ``nn.Module`` starts, with fresh weights or with those that ship.

    Args:
        name: A name from ``names()``, or ``"package.module:Class"`` for a network of your own: any ``nn.Module`` whose
            ``forward`` takes ``(ir, vis)`` and returns the fused tensor.
        pretrained: Load the weights that ship, or that ``edgefuse models pull`` fetched, after checking their hash; the
            network gets the settings that they were trained with, unless ``config`` says otherwise.
        **config: Settings of the network, as its class documents them.

    Returns:
        The network; ``forward(ir, vis)`` maps two (B, 1, H, W) tensors in [0, 1] to one.

    Raises:
        UsageError: The name, a setting or its value is unknown; the message lists what is allowed. There are no weights
            for the name, or not on this machine.
        ArtifactError: The weights do not fit the settings.
        TrustError: The weights are not those of their manifest.
        MissingDependencyError: torch is not installed.

    Example:
        >>> network = create("rpfnet", variant="paper", iterations=1)
        >>> trained = create("lite", pretrained=True).eval()
    """
    if pretrained:
        path, config = _shipped(name, config)
    if importlib.util.find_spec("torch") is None:
        raise MissingDependencyError.for_package("torch", extra="train", purpose=f"build the network {name!r}")
    factory = import_foreign(name, kind="model") if ":" in name else _registered_factory(name)
    try:
        inspect.signature(factory).bind(**config)
    except TypeError as error:
        raise UsageError(f"model {name!r}: {error}; its settings are {_describe_settings(factory)}") from None
    network = factory(**config)
    _check_network(name, network)
    if pretrained:
        load_weights(network, path)
    return network


def _shipped(name: str, config: dict[str, Any]) -> tuple[Path, dict[str, Any]]:
    """The weights that ship for a name, checked, and the settings of their network under those given."""
    manifest, path = zoo.known_manifest(name), zoo.weights(name)
    if path is None:
        raise UsageError(
            f"the weights of {name} are not on this machine yet: edgefuse models pull {name} --from FOLDER_OR_URL"
        )
    if sha256_file(path) != manifest.weights.get("sha256"):
        raise TrustError(f"{path}: content differs from its manifest (sha256); install EdgeFuse or pull {name} again")
    return path, {**manifest.config, **config}


def _registered_factory(name: str) -> Callable[..., nn.Module]:
    """Look a name up, importing the module that registers it."""
    if name not in _FACTORIES and name in _BUILT_IN:
        importlib.import_module(_BUILT_IN[name])
    if name not in _FACTORIES:
        raise UsageError(
            f"unknown model {name!r}; known are {', '.join(names())}, or package.module:Class for your own"
        )
    return _FACTORIES[name]


def _check_network(name: str, network: object) -> None:
    """Refuse what is not a module of two inputs."""
    from torch import nn

    if not isinstance(network, nn.Module):
        raise UsageError(f"model {name!r} gave a {type(network).__name__}, not a torch.nn.Module")
    try:
        inspect.signature(network.forward).bind(None, None)
    except TypeError:
        raise UsageError(f"model {name!r}: forward must take two inputs, (ir, vis)") from None


def _describe_settings(factory: Callable[..., nn.Module]) -> str:
    """List the settings that a factory takes, with their defaults."""
    parameters = inspect.signature(factory).parameters.values()
    settings = [p.name if p.default is p.empty else f"{p.name}={p.default!r}" for p in parameters]
    return ", ".join(settings) or "none"
