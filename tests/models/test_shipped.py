"""Every set of weights that ships: manifest, graph and network say the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgefuse import models, zoo
from edgefuse.manifest import sha256_file, verify

RECORDED = {"command", "recipe", "seed", "steps", "device", "minutes", "data_sha256", "data_pairs", "finished"}


@pytest.mark.parametrize("name", sorted(zoo.manifests()))
def test_its_manifest_tells_how_it_was_trained_and_what_it_is_worth(name):
    """The record is complete, the schedule was run to its end, and no pair of a non-commercial set took part."""
    manifest = zoo.known_manifest(name)
    training = manifest.training
    assert training is not None
    assert training.keys() >= RECORDED
    assert training["finished"]
    assert not [place for place in training["data_pairs"] if "llvip" in place.lower()]
    assert manifest.weights["licence"]
    assert manifest.weights["data"]
    assert len(manifest.weights["sha256"]) == 64


@pytest.mark.parametrize("name", sorted(zoo.installed()))
def test_its_graph_is_its_weights(name):
    """ONNX Runtime draws what the network with the shipped weights draws, at a size of its own, and hashes verify."""
    runtime = pytest.importorskip("onnxruntime")
    path = zoo.artifact(name)
    manifest = verify(path)
    assert sha256_file(path.with_name(manifest.weights["file"])) == manifest.weights["sha256"]
    network = models.create(name, pretrained=True).eval()
    ir, vis = torch.rand(2, 1, 1, 48, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = network(ir, vis).numpy()
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (fused,) = session.run(None, {"ir": ir.numpy(), "vis": vis.numpy()})
    assert np.abs(fused - expected).max() < 1e-4  # worst seen 2e-6
