"""From a finished run to the files that ship: ``python -m edgefuse.train.release runs/rpfnet --test data/tno/test``.

Writes ``NAME.safetensors``, ``NAME.onnx`` and ``NAME.json`` with scores on the test sets, cost and the training record.
"""

from __future__ import annotations

import argparse
import copy
import json
import shlex
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from edgefuse import models, zoo
from edgefuse.data import read_pair
from edgefuse.errors import EdgeFuseError, InputError, UsageError
from edgefuse.export import export
from edgefuse.manifest import Manifest, manifest_path, sha256_file
from edgefuse.models.table import count_cost, count_parameters
from edgefuse.train.compact_graph import compact_graph
from edgefuse.train.engine import WEIGHTS_FILE
from edgefuse.train.scoring import NetworkRunner, scenes_of, score_network

__all__ = ["main", "release"]

_EXAMPLE_SIZE = (256, 320)
"""Size that the parity of a graph of free size is measured at: small, since SSPFusion takes a minute for a frame."""

_HALVED_FROM_BYTES = 1 << 20
"""Smaller weights are kept in fp32: there is nothing to save."""

_LARGEST_CHANGE = 1e-3
"""Of the fused picture by weights stored in fp16: a quarter of a gray level."""

_CHECKED_PAIRS = 3
_CHECKED_PX = 256


def release(
    run: Path,
    tests: Sequence[Path],
    *,
    assets: Path = zoo.ASSETS,
    every: int = 1,
    licence: str = "Apache-2.0",
    data_licence: str = "",
    remark: str = "",
) -> Manifest:
    """Write the files of a trained network.

    Args:
        run: Folder that ``edgefuse train`` wrote.
        tests: Test sets to score it on.
        assets: Folder to write to.
        every: Score every n-th scene only, for slow networks; the manifest says so.
        licence: Licence of the weights.
        data_licence: What is known of the licence of the training data.
        remark: What a person saw in the pictures; `edgefuse models` shows it.

    Returns:
        The manifest.

    Raises:
        UsageError: The run is not finished, or no test set is given.
        ArtifactError: The weights cannot be read or exported.
    """
    record = _record(run)
    name = str(record["settings"]["model"]["name"])
    config = {key: value for key, value in record["settings"]["model"].items() if key != "name"}
    network = models.create(name, **config).eval()
    models.load_weights(network, run / WEIGHTS_FILE)
    if not tests:
        raise UsageError("give at least one --test set: weights ship with their scores")
    stored = _stored(network, tests)
    weights = assets / f"{name}.safetensors"
    metadata = {"model": name, "config": json.dumps(config), "recipe": record["recipe"], "training": json.dumps(record)}
    models.save_weights(stored, weights, metadata)
    models.load_weights(network, weights)
    manifest = _graph(name, weights, tests[0], assets)
    manifest = replace(
        manifest,
        recipe=record["recipe"],
        weights={
            "origin": "trained by EdgeFuse, see training",
            "licence": licence,
            "data": data_licence,
            "file": weights.name,
            "sha256": sha256_file(weights),
            "size_bytes": weights.stat().st_size,
            "remark": remark,
            "storage": "fp16" if next(stored.parameters()).dtype == torch.float16 else "fp32",
        },
        training={**record, "metrics": score_network(network, tests, every=every)},
        cost=_cost(name, config),
    )
    manifest.save(manifest_path(assets / manifest.file))
    return manifest


def _record(run: Path) -> dict[str, Any]:
    """The training record, without the folder of the run in its command."""
    try:
        record: dict[str, Any] = json.loads((run / "training.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{run} holds no finished run: training.json cannot be read ({error})") from error
    if not record.get("finished"):
        raise UsageError(f"{run} was stopped before its end: go on with edgefuse train ... --resume")
    words = shlex.split(record["command"])
    for option in ("--output", "-o"):
        if option in words:
            place = words.index(option)
            del words[place : place + 2]
    return {**record, "command": shlex.join(words)}


def _stored(network: nn.Module, tests: Sequence[Path]) -> nn.Module:
    """The network in the precision that its weights are stored in: fp16 where nobody could see the difference."""
    if sum(tensor.nbytes for tensor in network.state_dict().values()) < _HALVED_FROM_BYTES:
        return network
    half = copy.deepcopy(network).half()
    rounded = copy.deepcopy(half).float()
    change = max(_largest_change(network, rounded, folder) for folder in tests)
    return half if change < _LARGEST_CHANGE else network


def _largest_change(network: nn.Module, other: nn.Module, folder: Path) -> float:
    """How far two networks' pictures of the same scenes are apart, in units of white."""
    changes = []
    items = scenes_of(folder)
    for item in items[:: max(1, len(items) // _CHECKED_PAIRS)]:
        planes = [image[:_CHECKED_PX, :_CHECKED_PX] for image in read_pair(item.ir, item.vis)]
        height, width = (side // network_multiple(network) * network_multiple(network) for side in planes[0].shape)
        units = [plane[None, None, :height, :width].astype(np.float32) / np.float32(255) for plane in planes]
        fused = [NetworkRunner(one).infer(*units) for one in (network, other)]
        changes.append(float(np.abs(fused[0] - fused[1]).max()))
    return max(changes)


def network_multiple(network: nn.Module) -> int:
    """What heights and widths must be multiples of."""
    return int(getattr(network, "size_multiple", 1))


def _graph(name: str, weights: Path, test: Path, assets: Path) -> Manifest:
    """Export at free size, and store in fp16 what is exact in it."""
    with tempfile.TemporaryDirectory() as folder:
        artifact = export(
            name,
            Path(folder) / f"{name}.onnx",
            weights=weights,
            imgsz=_EXAMPLE_SIZE,
            dynamic=True,
            pairs=(test / "ir", test / "vis"),
        )
        content = compact_graph(artifact.path.read_bytes())
    path = assets / f"{name}.onnx"
    part = path.with_suffix(".part")
    part.write_bytes(content)
    part.replace(path)
    return replace(artifact.manifest, file=path.name, sha256=sha256_file(path), size_bytes=len(content))


def _cost(name: str, config: dict[str, Any]) -> dict[str, Any]:
    # RPFNet's auxiliary decoder and its recomputed activations are for training: the graph has neither.
    settings = {key: value for key, value in config.items() if key not in {"auxiliary", "recompute"}}
    with torch.device("meta"):
        network = models.create(name, **settings).eval()
    counted = count_cost(network, height=480, width=640)
    return {
        "parameters": count_parameters(network),
        "gmacs_640x480": round(counted.macs / 1e9, 3),
        "gflops_640x480": round(counted.flops / 1e9, 3),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Release a run from the command line.

    Args:
        arguments: Command-line arguments; those of the process by default.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(prog="python -m edgefuse.train.release", description=__doc__)
    parser.add_argument("run", type=Path, help="folder of the run")
    parser.add_argument("--test", type=Path, action="append", default=[], help="test set with ir and vis; repeatable")
    parser.add_argument("--every", type=int, default=1, help="score every n-th scene only")
    parser.add_argument("--assets", type=Path, default=zoo.ASSETS, help="folder to write to")
    parser.add_argument("--licence", default="Apache-2.0", help="of the weights")
    parser.add_argument("--data-licence", default="", help="what is known of the licence of the training images")
    parser.add_argument("--remark", default="", help="what a person saw in the pictures")
    given = parser.parse_args(arguments)
    try:
        manifest = release(
            given.run,
            given.test,
            assets=given.assets,
            every=given.every,
            licence=given.licence,
            data_licence=given.data_licence,
            remark=given.remark,
        )
    except EdgeFuseError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    scores = (manifest.training or {})["metrics"]["sets"]
    sys.stdout.write(
        f"{given.assets / manifest.file}  {manifest.size_bytes / 1e6:.2f} MB\n{json.dumps(scores, indent=2)}\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
