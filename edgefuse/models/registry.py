"""Names of networks and the classes behind them; a network's module is imported when it is first built."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
from typing import TYPE_CHECKING, Any, TypeVar

from edgefuse.errors import MissingDependencyError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

__all__ = ["create", "names", "register"]

_BUILT_IN = {
    "angularfuse": "edgefuse.models.angularfuse",
    "dfecf": "edgefuse.models.dfecf",
    "lite": "edgefuse.models.lite",
    "rpfnet": "edgefuse.models.rpfnet",
    "sspfusion": "edgefuse.models.sspfusion",
}
_FACTORIES: dict[str, Callable[..., nn.Module]] = {}
_FOREIGN_NAME = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")

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


def create(name: str, **config: Any) -> nn.Module:
    """Build a network with freshly initialised weights, in training mode as every ``nn.Module`` starts.

    Args:
        name: A name from ``names()``, or ``"package.module:Class"`` for a network of your own: any ``nn.Module`` whose
            ``forward`` takes ``(ir, vis)`` and returns the fused tensor.
        **config: Settings of the network, as its class documents them.

    Returns:
        The network; ``forward(ir, vis)`` maps two (B, 1, H, W) tensors in [0, 1] to one.

    Raises:
        UsageError: The name, a setting or its value is unknown; the message lists what is allowed.
        MissingDependencyError: torch is not installed.

    Example:
        >>> network = create("rpfnet", variant="paper", iterations=1)
    """
    if importlib.util.find_spec("torch") is None:
        raise MissingDependencyError.for_package("torch", extra="train", purpose=f"build the network {name!r}")
    factory = _foreign_factory(name) if ":" in name else _registered_factory(name)
    try:
        inspect.signature(factory).bind(**config)
    except TypeError as error:
        raise UsageError(f"model {name!r}: {error}; its settings are {_describe_settings(factory)}") from None
    network = factory(**config)
    _check_network(name, network)
    return network


def _registered_factory(name: str) -> Callable[..., nn.Module]:
    """Look a name up, importing the module that registers it."""
    if name not in _FACTORIES and name in _BUILT_IN:
        importlib.import_module(_BUILT_IN[name])
    if name not in _FACTORIES:
        raise UsageError(
            f"unknown model {name!r}; known are {', '.join(names())}, or package.module:Class for your own"
        )
    return _FACTORIES[name]


def _foreign_factory(name: str) -> Callable[..., nn.Module]:
    """Import the class that ``package.module:Class`` names."""
    if not _FOREIGN_NAME.fullmatch(name):
        raise UsageError(f"cannot read the model name {name!r}; write it as package.module:Class")
    module_name, _, attribute = name.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except ImportError as error:
        raise UsageError(f"model {name!r}: cannot import {module_name} ({error}); is it on PYTHONPATH?") from error
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise UsageError(f"model {name!r}: {module_name} has no class or function {attribute}")
    factory: Callable[..., nn.Module] = found
    return factory


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
