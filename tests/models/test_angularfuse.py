"""AngularFuse: the plan and the size that the paper states."""

from __future__ import annotations

import pytest
import torch

from edgefuse.errors import UsageError
from edgefuse.models import create
from edgefuse.models.blocks import RestormerCNNBlock


def test_parameter_count_is_the_papers() -> None:
    """Table V states 1.623 M parameters; ours are within one percent."""
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in create("angularfuse").parameters())
    assert count == pytest.approx(1.623e6, rel=0.01)


def test_every_stage_has_three_blocks() -> None:
    """Four stages of three Restormer-CNN blocks in both encoders and in the decoder, and a fusion for each scale."""
    network = create("angularfuse")
    for part in (network.ir_encoder, network.vis_encoder, network.decoder):
        assert [len(stage) for stage in part.stages] == [3, 3, 3, 3]
        assert all(isinstance(block, RestormerCNNBlock) for stage in part.stages for block in stage)
    assert len(network.fusion) == 4


def test_four_stages_halve_the_size_four_times() -> None:
    """The encoder's features lie at 1/1 to 1/16 of the size."""
    network = create("angularfuse", blocks=1).eval()
    with torch.inference_mode():
        shapes = [tuple(scale.shape[1:]) for scale in network.ir_encoder(torch.rand(1, 1, 32, 48))]
    assert shapes == [(8, 32, 48), (16, 16, 24), (24, 8, 12), (32, 4, 6), (32, 2, 3)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"widths": (8, 16, 24)}, r"widths must be four multiples of 1, 2, 4, 8, not \(8, 16, 24\)"),
        ({"widths": (8, 16, 24, 30)}, "multiples of 1, 2, 4, 8"),
        ({"widths": (8, 16, 24, 0)}, "each of widths must be a whole number of at least 1, not 0"),
        ({"widths": 8}, "widths must be a list of whole numbers, not 8"),
        ({"blocks": 0}, "blocks must be"),
    ],
)
def test_wrong_settings_say_what_is_allowed(settings: dict[str, object], message: str) -> None:
    """Settings that no network can have are refused."""
    with pytest.raises(UsageError, match=message):
        create("angularfuse", **settings)


def test_fresh_network_passes_its_input_through() -> None:
    """Freshly initialised, the chain of blocks is not all but silent, so training starts at once."""
    torch.manual_seed(0)
    with torch.inference_mode():
        fused = create("angularfuse")(*torch.rand(2, 1, 1, 32, 48))
    # 0.041 seen; with PyTorch's own initial weights in every convolution it was 0.003.
    assert fused.std() > 0.02
