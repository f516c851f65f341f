"""What can be exported: a network by name, one of the user's own, or an ONNX graph that exists already."""

from __future__ import annotations

import copy
import importlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgefuse import models, zoo
from edgefuse.errors import ArtifactError, MissingDependencyError, UsageError
from edgefuse.manifest import Manifest, Precision, manifest_path, sha256_file, verify

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Source", "resolve"]

_LONGEST_RECORD = 1 << 20


@dataclass(frozen=True)
class Source:
    """A thing to export, and what the manifest says of it.

    Attributes:
        name: Name of the model, ``package.module:Class``, or the graph file's name.
        network: The PyTorch network, in evaluation mode on the CPU, or None.
        graph: The ONNX file, or None.
        config: Keyword arguments that the network was created with.
        size_multiple: Heights and widths must be multiples of it.
        min_size: Smallest height and width.
        weights: Origin, licence and hash of the weights.
        recipe: Recipe that they were trained by, if known.
        training: How they were trained, if known.
        precision: Precision of a finished graph.
        dft_lowering: How a finished graph's ``DFT`` nodes were rewritten.
        parity: How far a finished graph was from its network when it was exported.
    """

    name: str
    network: nn.Module | None = None
    graph: Path | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    size_multiple: int = 1
    min_size: int = 1
    weights: Mapping[str, Any] = field(default_factory=dict)
    recipe: str | None = None
    training: dict[str, Any] | None = None
    precision: Precision = "fp32"
    dft_lowering: str = "none"
    parity: dict[str, Any] | None = None


def resolve(
    model: str | os.PathLike[str] | nn.Module,
    *,
    weights: str | os.PathLike[str] | None = None,
    config: Mapping[str, Any] | None = None,
    untrained: bool = False,
    inputs: int = 2,
) -> Source:
    """Find the network or graph that is meant.

    Args:
        model: A name from ``edgefuse.models.names()``, ``package.module:Class``, the path of an ``.onnx`` file, or a
            module.
        weights: A ``.safetensors`` or plain ``.pt`` file for the network.
        config: Keyword arguments of the network's class.
        untrained: Take the network with the weights it starts with.
        inputs: How many images the network's ``forward`` takes.

    Returns:
        The source.

    Raises:
        UsageError: The name is unknown, options do not go with it, or weights are missing.
        ArtifactError: A file is missing or damaged.
        TrustError: The weights hold code, or the graph is not the one of its manifest.
        MissingDependencyError: torch is needed and not installed.
    """
    if isinstance(model, (str, os.PathLike)):
        text = os.fspath(model)
        if text.lower().endswith(".onnx"):
            _refuse_with_graph(text, weights=weights, config=config)
            return _graph(Path(text))
        return _named(text, weights, dict(config or {}), untrained=untrained, inputs=inputs)
    if config:
        raise UsageError("config belongs to a model's name; the given module is built already")
    network = copy.deepcopy(model)
    name = f"{type(model).__module__}:{type(model).__qualname__}"
    if weights is None:
        return _from_network(name, network, {}, {"origin": "the given module"})
    header = _header(Path(weights))
    source = _from_network(name, network, {}, _load(network, weights))
    return replace(source, recipe=header.recipe, training=header.training)


def _refuse_with_graph(text: str, **options: Any) -> None:
    given = [name for name, value in options.items() if value]
    if given:
        raise UsageError(f"{text} is a finished graph: {' and '.join(given)} cannot change it")


def _graph(path: Path) -> Source:
    manifest = verify(path) if manifest_path(path).is_file() else None
    if manifest is None:
        return Source(path.name, graph=path, weights={"origin": path.name})
    return Source(
        manifest.model,
        graph=path,
        config=manifest.config,
        size_multiple=manifest.size_multiple,
        min_size=manifest.min_size,
        weights=manifest.weights,
        recipe=manifest.recipe,
        training=manifest.training,
        precision=manifest.precision,
        dft_lowering=manifest.dft_lowering,
        parity=manifest.parity,
    )


def _named(
    name: str, weights: str | os.PathLike[str] | None, config: dict[str, Any], *, untrained: bool, inputs: int
) -> Source:
    if ":" not in name and name not in models.names():
        known = ", ".join(models.names())
        raise UsageError(f"unknown model {name!r}: give one of {known}, package.module:Class, or an .onnx file")
    shipped_weights = weights is None and not untrained
    if shipped_weights:
        weights = zoo.weights(name)
    if weights is None and not untrained:
        fetch = f"edgefuse models pull {name} --from FOLDER_OR_URL, " if name in zoo.manifests() else ""
        raise UsageError(
            f"no weights of {name} are here: {fetch}--weights FILE, or --untrained to export it as initialised"
        )
    header = _header(Path(weights)) if weights is not None else _Header()
    if not config and header.model == name:
        config = header.config
    network = _create(name, config, inputs=inputs)
    try:
        origin = {"origin": "untrained", "licence": "Apache-2.0"} if weights is None else _load(network, weights)
    except ArtifactError as error:
        if not shipped_weights:
            raise
        settings = ", ".join(f"{key}={value}" for key, value in config.items())
        raise UsageError(
            f"the weights that come with {name} are for its default settings, not for {settings}: give --weights FILE, "
            "or --untrained to export it as initialised"
        ) from error
    source = _from_network(name, network, config, origin)
    shipped = zoo.installed().get(name)
    if weights is not None and shipped is not None and Path(weights) == zoo.weights(name):
        return _with_training(source, Manifest.load(manifest_path(shipped)))
    return replace(source, recipe=header.recipe, training=header.training)


def _with_training(source: Source, known: Manifest) -> Source:
    weights = {**known.weights, **source.weights}
    return replace(source, weights=weights, recipe=known.recipe, training=known.training)


def _create(name: str, config: dict[str, Any], *, inputs: int) -> nn.Module:
    if inputs == 2:
        return models.create(name, **config)
    if importlib.util.find_spec("torch") is None:
        raise MissingDependencyError.for_package("torch", extra="train", purpose=f"build the network {name!r}")
    module_name, _, attribute = name.partition(":")
    if not attribute:
        raise UsageError(f"{name} fuses two images; only package.module:Class may take one")
    try:
        network: nn.Module = getattr(importlib.import_module(module_name), attribute)(**config)
    except (ImportError, AttributeError, TypeError) as error:
        raise UsageError(f"model {name!r} cannot be built: {error}") from error
    return network


@dataclass(frozen=True)
class _Header:
    """What ``edgefuse train`` leaves in the header of the weights that it writes; empty for other files."""

    model: str | None = None
    config: dict[str, Any] = field(default_factory=dict)
    recipe: str | None = None
    training: dict[str, Any] | None = None


def _header(path: Path) -> _Header:
    if path.suffix != ".safetensors" or not path.is_file():
        return _Header()
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise MissingDependencyError.for_package("safetensors", extra="train", purpose="read weights") from error
    try:
        with safe_open(path, framework="np") as stream:
            metadata = dict(stream.metadata() or {})
    except (SafetensorError, OSError):  # reading the tensors says what is wrong
        return _Header()
    return _Header(
        metadata.get("model"),
        _object(path, metadata, "config") or {},
        metadata.get("recipe"),
        _object(path, metadata, "training"),
    )


def _object(path: Path, metadata: dict[str, str], key: str) -> dict[str, Any] | None:
    """A JSON object in the header, which a manifest must be able to hold."""
    text = metadata.get(key)
    if text is None:
        return None
    try:
        found = json.loads(text) if len(text) <= _LONGEST_RECORD else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ArtifactError(f"{path}: {key!r} in its header is no JSON object of at most {_LONGEST_RECORD} characters")
    return found


def _load(network: nn.Module, weights: str | os.PathLike[str]) -> dict[str, Any]:
    from edgefuse.models import load_weights

    path = Path(weights)
    load_weights(network, path)
    return {"origin": path.name, "sha256": sha256_file(path)}


def _from_network(name: str, network: nn.Module, config: Mapping[str, Any], weights: Mapping[str, Any]) -> Source:
    network = network.to("cpu").float().eval()
    return Source(
        name,
        network=network,
        config=config,
        size_multiple=int(getattr(network, "size_multiple", 1)),
        min_size=int(getattr(network, "min_size", 1)),
        weights=weights,
    )
