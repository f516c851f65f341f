"""What the lite network promises by its construction."""

from __future__ import annotations

import pytest
import torch

from edgefuse.models import create


@pytest.fixture
def network():
    """The network with random weights in its head, so that its maps vary."""
    torch.manual_seed(0)
    network = create("lite").eval()
    torch.nn.init.normal_(network.head.weight, std=0.5)
    return network


def pair(height=64, width=80):
    """A random pair."""
    generator = torch.Generator().manual_seed(1)
    return torch.rand(1, 1, height, width, generator=generator), torch.rand(1, 1, height, width, generator=generator)


def test_starts_as_a_sensible_mixture():
    """Fresh weights give a quarter of each source and half of the brighter one."""
    ir, vis = pair()
    expected = 0.25 * ir + 0.25 * vis + 0.5 * torch.maximum(ir, vis)
    assert torch.allclose(create("lite").eval()(ir, vis), expected, atol=1e-6)


def test_a_flat_pair_gives_a_flat_picture(network):
    """Far from the border, where zeros are padded, nothing of the grid of cells shows: no blocks, no pattern."""
    level = torch.full((1, 1, 384, 384), 0.5)
    middle = network.forward_train(level, 0.8 * level)["fused"][..., 176:208, 176:208]
    assert (middle - middle.mean()).abs().max() < 1e-5


def test_the_maps_are_continuous_across_cells(network):
    """Neighbouring pixels of a flat pair differ no more across the border of a 4×4 cell than inside one."""
    ir, vis = pair()
    mean = torch.nn.functional.avg_pool2d
    coarse = [torch.nn.functional.interpolate(mean(image, 16), scale_factor=16, mode="bilinear") for image in (ir, vis)]
    fused = network.forward_train(*coarse)["fused"]
    steps = (fused[..., 1:] - fused[..., :-1]).abs()
    bound = max(float((image[..., 1:] - image[..., :-1]).abs().max()) for image in coarse)
    across, inside = steps[..., 3::4].max(), steps.max()
    assert across <= inside
    assert inside < 40 * bound


def test_training_feels_what_the_clamp_hides(network):
    """Out of range the training output goes on where the fused picture ends, so that losses can bring it back."""
    network.head.bias.data[3] = 2.0
    ir, vis = pair()
    assert network(ir, vis).max() == 1.0
    assert network.forward_train(ir, vis)["fused"].max() > 1.5
