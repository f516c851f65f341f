"""SSPFusion: structure maps, their exchange, the two stages, and the published cost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import nn

from edgefuse.errors import UsageError
from edgefuse.models import create
from edgefuse.models.sspfusion import structure_target, unique_structures
from edgefuse.models.table import count_cost, count_parameters

_SMALL: dict[str, Any] = {"widths": (4, 8), "refining_blocks": 1, "decoder_blocks": (1, 1)}


def _small(**settings: Any) -> nn.Module:
    torch.manual_seed(0)
    return create("sspfusion", **_SMALL, **settings)


def test_cost_is_the_papers() -> None:
    """Table 5 states 12,021.649 K parameters, 1332 G operations at 640x480 and 284.153 G at 256x256: multiply-adds."""
    with torch.device("meta"):
        network = create("sspfusion")
    assert count_parameters(network) == pytest.approx(12_021_649, rel=0.01)
    assert count_cost(network, height=480, width=640).macs == pytest.approx(1332e9, rel=0.01)
    assert count_cost(network, height=256, width=256).macs == pytest.approx(284.153e9, rel=0.01)


def test_structure_target_is_equation_2() -> None:
    """A pixel is structure where its Sobel magnitude is at most the mean of its map."""
    generator = np.random.default_rng(0)
    features = generator.random((2, 3, 9, 11)).astype(np.float32)
    features[0, 0] = 0.25  # flat: no gradient but at the zero-padded border
    expected = np.zeros_like(features)
    for index in np.ndindex(2, 3):
        across, down = (ndimage.sobel(features[index].astype(float), axis, mode="constant") for axis in (1, 0))
        expected[index] = np.hypot(across, down) <= features[index].mean()
    np.testing.assert_array_equal(structure_target(torch.from_numpy(features)).numpy(), expected)


def test_structure_target_has_no_gradient() -> None:
    """The signal supervises and is not trained."""
    assert not structure_target(torch.rand(1, 2, 5, 5, requires_grad=True)).requires_grad


def test_unique_structures_are_what_one_modality_has_alone() -> None:
    """On binary maps the two parts are disjoint and their sum is the exclusive or, as the text below Eq. (6) says."""
    ir, vis = torch.tensor([0.0, 0.0, 1.0, 1.0]), torch.tensor([0.0, 1.0, 0.0, 1.0])
    only_ir, only_vis = unique_structures(ir, vis)
    assert only_ir.tolist() == [0, 0, 1, 0]
    assert only_vis.tolist() == [0, 1, 0, 0]


def test_unique_structures_replace_the_other_modalitys_features() -> None:
    """Where one modality alone has structure both keep its features; elsewhere each keeps its own."""
    fusion = _small().fusion[0]
    fusion.refine, fusion.merge = nn.Identity(), nn.Identity()
    ir_features, vis_features = torch.full((1, 4, 1, 4), 10.0), torch.full((1, 4, 1, 4), 20.0)
    ir_structure = torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(1, 4, 1, 4)
    vis_structure = torch.tensor([0.0, 1.0, 0.0, 1.0]).expand(1, 4, 1, 4)
    merged = fusion(torch.cat([ir_features, vis_features]), torch.cat([ir_structure, vis_structure]))  # [1, 8, 1, 4]
    assert merged[0, 0, 0].tolist() == [10, 20, 11, 11]
    assert merged[0, 4, 0].tolist() == [20, 21, 10, 21]


def test_training_gives_maps_and_targets_by_modality_and_scale() -> None:
    """Infrared scales come first, finest first, each with the channels of its scale and a binary target."""
    outputs = _small().forward_train(*torch.rand(2, 3, 1, 8, 12))
    shapes = [(3, 4, 8, 12), (3, 8, 4, 6)] * 2
    assert [tuple(structure.shape) for structure in outputs["structure_maps"]] == shapes
    assert [tuple(target.shape) for target in outputs["structure_targets"]] == shapes
    assert all(set(target.unique().tolist()) <= {0.0, 1.0} for target in outputs["structure_targets"])
    assert all(0 <= structure.min() <= structure.max() <= 1 for structure in outputs["structure_maps"])


def test_swapping_the_inputs_swaps_the_structure_maps() -> None:
    """One extractor serves both modalities."""
    network = _small()
    ir, vis = torch.rand(2, 1, 1, 8, 8)
    one, other = (network.forward_train(*pair)["structure_maps"] for pair in ((ir, vis), (vis, ir)))
    torch.testing.assert_close(one[:2], other[2:])
    torch.testing.assert_close(one[2:], other[:2])


def test_structure_stage_renders_each_input_from_itself() -> None:
    """In the first stage fused is the mean of two renderings, each of one input, and only the extractor trains."""
    network = _small(training_stage="structure")
    ir, vis = torch.rand(2, 1, 1, 8, 8)
    both = network.forward_train(ir, vis)["fused"]
    of_ir, of_vis = (network.forward_train(image, image)["fused"] for image in (ir, vis))
    torch.testing.assert_close(both, (of_ir + of_vis) / 2)
    both.sum().backward()
    trained = {name.partition(".")[0] for name, parameter in network.named_parameters() if parameter.grad is not None}
    assert trained == {"extractor"}


def test_stage_can_be_set_anew_on_the_same_network() -> None:
    """The second stage starts from the weights of the first."""
    network = _small(training_stage="structure")
    network.training_stage = "fusion"
    pair = torch.rand(2, 1, 1, 8, 8)
    torch.testing.assert_close(network.forward_train(*pair)["fused"], network(*pair))
    with pytest.raises(UsageError, match="training_stage must be one of structure, fusion"):
        network.training_stage = "second"


def test_structure_preserving_fusion_can_be_removed() -> None:
    """Without it the structure maps do not touch the fused image."""
    for preserving in (True, False):
        network = _small(structure_preserving=preserving)
        network(*torch.rand(2, 1, 1, 8, 8)).sum().backward()
        assert (network.extractor.heads[0][0].weight.grad is not None) == preserving


@pytest.mark.parametrize("scales", [1, 2, 4])
def test_number_of_scales_sets_the_size_multiple(scales: int) -> None:
    """N scales halve the size N - 1 times."""
    network = create("sspfusion", widths=(4,) * scales, refining_blocks=1, decoder_blocks=(1,) * scales)
    assert network.size_multiple == 2 ** (scales - 1)
    side = network.min_size
    assert network(*torch.rand(2, 1, 1, side, side)).shape == (1, 1, side, side)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"widths": (4, 8)}, "one entry a scale"),
        ({"widths": ()}, "widths must be a list of whole numbers"),
        ({"decoder_blocks": [1, 0, 1]}, "each of decoder_blocks must be a whole number of at least 1, not 0"),
        ({"refining_blocks": 0}, "at least 1, not 0"),
        ({"training_stage": "both"}, "training_stage must be one of"),
    ],
)
def test_wrong_settings_say_what_is_allowed(settings: dict[str, Any], message: str) -> None:
    """Settings that no network can have are refused."""
    with pytest.raises(UsageError, match=message):
        create("sspfusion", **settings)
