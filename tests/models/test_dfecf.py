"""DFECF: Table 1, both forms of attention, and the modules that Table 4 removes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from edgefuse.errors import UsageError
from edgefuse.models import create
from edgefuse.models.dfecf import _attend_linearly


def _layers(part: nn.Module) -> list[tuple[int, int, tuple[int, ...]]]:
    """Channels in, channels out and kernel of the convolutions of a part."""
    convolutions = [module for module in part.modules() if isinstance(module, nn.Conv2d)]
    assert all(conv.stride == (1, 1) and conv.padding == (1, 1) for conv in convolutions)
    return [(conv.in_channels, conv.out_channels, conv.kernel_size) for conv in convolutions]


def test_convolutions_are_those_of_table_1() -> None:
    """Kernels, channels, strides, padding and activations are the table's."""
    network = create("dfecf")
    channels = [(1, 16, (3, 3)), (16, 32, (3, 3)), (32, 64, (3, 3)), (64, 128, (3, 3))]
    assert _layers(network.ir_encoder) == _layers(network.vis_encoder) == channels
    assert _layers(network.decoder) == [(128, 64, (3, 3)), (64, 32, (3, 3)), (32, 16, (3, 3)), (16, 1, (3, 3))]
    for part, count in ((network.ir_encoder, 4), (network.vis_encoder, 4), (network.decoder, 3)):
        assert sum(isinstance(module, nn.LeakyReLU) for module in part.modules()) == count
    assert isinstance(network.decoder[-1], nn.Tanh)


def test_spatial_attention_is_equation_20() -> None:
    """Softmax over all pixels of the scaled products, restated in numpy."""
    torch.manual_seed(0)
    attention = create("dfecf", attention="spatial").double().transformer.attention
    nn.init.uniform_(attention.factors, 0.5, 1.5)
    tokens = torch.randn(2, 15, 128, dtype=torch.float64)
    query, key, value = _projected(attention, tokens)
    scores = query @ key.transpose(0, 2, 1) / np.sqrt(128)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    expected = weights / weights.sum(axis=-1, keepdims=True) @ value
    np.testing.assert_allclose(attention(tokens).detach().numpy(), expected, rtol=0, atol=1e-12)


def test_linear_attention_is_a_weighted_mean_of_the_values() -> None:
    """Every token gets the mean of the values, weighted by the product of elu(q) + 1 and elu(k) + 1, pair by pair."""
    torch.manual_seed(0)
    attention = create("dfecf", attention="linear").double().transformer.attention
    tokens = torch.randn(2, 15, 128, dtype=torch.float64)
    query, key, value = _projected(attention, tokens)
    query, key = (np.where(part > 0, part + 1, np.exp(np.minimum(part, 0))) for part in (query, key))
    weights = query @ key.transpose(0, 2, 1)  # [B, N, N]
    expected = weights / weights.sum(axis=-1, keepdims=True) @ value
    # 1e-6 keeps the sum of the weights from zero; it is about 1e2 here.
    np.testing.assert_allclose(attention(tokens).detach().numpy(), expected, rtol=1e-7, atol=1e-7)


def _projected(attention: nn.Module, tokens: torch.Tensor) -> tuple[np.ndarray, ...]:
    """Queries, keys and values by Eq. (15) to (19), in numpy."""
    weight, bias = (parameter.detach().numpy() for parameter in attention.expand.parameters())
    factors = attention.factors.detach().numpy()
    parts = np.split(tokens.numpy() @ weight.T + bias, 3, axis=-1)
    return tuple(part * factor for part, factor in zip(parts, factors, strict=True))


def test_linear_attention_survives_half_precision_on_a_whole_frame() -> None:
    """Sums over 640x480 pixels of large features neither overflow nor vanish in fp16."""
    torch.manual_seed(0)
    query, key, value = 8 * torch.randn(3, 1, 480 * 640, 4).half()
    attended = _attend_linearly(query, key, value)
    torch.testing.assert_close(
        attended.float(), _attend_linearly(query.float(), key.float(), value.float()), rtol=0, atol=0.05
    )


def test_both_attentions_have_the_same_weights() -> None:
    """Weights trained on patches with one form load into the other."""
    spatial, linear = create("dfecf", attention="spatial"), create("dfecf")
    linear.load_state_dict(spatial.state_dict())
    ir, vis = torch.rand(2, 1, 1, 8, 8)
    with torch.inference_mode():
        assert not torch.equal(spatial.eval()(ir, vis), linear.eval()(ir, vis))


def test_equal_images_are_enhanced_alike() -> None:
    """Without a difference every feature gets the same gain, and both modalities always share one."""
    enhancement = create("dfecf").enhancers[0]
    ir, vis = torch.rand(2, 1, 16, 6, 7)
    ir_enhanced, vis_enhanced = enhancement(ir, vis)
    torch.testing.assert_close(ir_enhanced / ir, vis_enhanced / vis)
    same, _ = enhancement(ir, ir)
    gain = same / ir
    torch.testing.assert_close(gain, gain[:, :, :1, :1].expand_as(gain))


def test_channel_weights_decide_the_fusion() -> None:
    """With weights of one and zero, the fused features are those of one modality."""
    fusion = create("dfecf").fusion
    for weights, bias in ((fusion.ir_weights, 1.0), (fusion.vis_weights, 0.0)):
        nn.init.zeros_(weights.weight)
        nn.init.constant_(weights.bias, bias)
    ir, vis = torch.rand(2, 1, 128, 4, 4)
    torch.testing.assert_close(fusion(ir, vis), ir)


@pytest.mark.parametrize(
    ("setting", "part"), [("enhancement", "enhancers"), ("cross_modal", "fusion"), ("transformer", "transformer")]
)
def test_each_module_of_the_ablation_can_be_removed(setting: str, part: str) -> None:
    """Table 4: without the module its parameters are gone, all others stay, and the network still trains."""
    whole, reduced = create("dfecf"), create("dfecf", **{setting: False})
    gone = set(whole.state_dict()) - set(reduced.state_dict())
    assert gone
    assert {name.partition(".")[0] for name in gone} == {part}
    reduced(*torch.rand(2, 2, 1, 8, 8)).mean().backward()
    assert all(parameter.grad is not None for parameter in reduced.parameters())


def test_wrong_attention_lists_the_forms() -> None:
    """The error names what is offered."""
    with pytest.raises(UsageError, match="attention must be one of linear, spatial, not 'full'"):
        create("dfecf", attention="full")
