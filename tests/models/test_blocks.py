"""Shared blocks against slow restatements."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from edgefuse.models.blocks import (
    ChannelLayerNorm,
    NormStatistics,
    ResidualChannelAttentionBlock,
    RestormerBlock,
    Spectral,
    SpectralBlock,
)


@pytest.mark.parametrize("size", [(1, 2), (4, 6), (5, 7), (8, 3)])
def test_spectral_block_filters_the_spectrum(size: tuple[int, int]) -> None:
    """FFT, 1x1 convolution over interleaved parts, normalisation, ReLU, inverse FFT, restated in numpy."""
    torch.manual_seed(0)
    block = SpectralBlock(3).double().eval()
    nn.init.uniform_(block.bn.running_mean)
    nn.init.uniform_(block.bn.running_var, 0.5, 2.0)
    images = torch.randn(2, 3, *size, dtype=torch.float64)
    spectrum = np.fft.rfft2(images.numpy(), norm="ortho")  # [B, C, H, W//2 + 1]
    planes = np.stack([spectrum.real, spectrum.imag], axis=2).reshape(2, 6, *spectrum.shape[2:])
    mixed = np.einsum("oc,bchw->bohw", block.conv_layer.weight.detach().numpy()[..., 0, 0], planes)
    mean, variance = (block.bn.get_buffer(f"running_{name}").numpy()[:, None, None] for name in ("mean", "var"))
    filtered = np.maximum((mixed - mean) / np.sqrt(variance + block.bn.eps), 0)
    parts = filtered.reshape(2, 3, 2, *filtered.shape[2:])
    expected = np.fft.irfft2(parts[:, :, 0] + 1j * parts[:, :, 1], s=size, norm="ortho")
    np.testing.assert_allclose(block(images).detach().numpy(), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("spectral", ["eager", "fused"])
def test_spectral_block_takes_half_precision_of_any_size(spectral: Spectral) -> None:
    """Under autocast any size passes, in the input's type and with the accuracy of float32 inside."""
    block = SpectralBlock(2, spectral=spectral)
    x = torch.rand(1, 2, 7, 9).bfloat16()
    expected = block(x.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        filtered = block(x)
    assert filtered.dtype == torch.bfloat16
    torch.testing.assert_close(filtered, expected.bfloat16())


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("statistics", ["running", "image", "held"])
def test_fused_spectral_block_is_the_eager_one(statistics: NormStatistics, training: bool) -> None:
    """Output, gradients and running statistics agree in every mode of the normalisation."""
    torch.manual_seed(0)
    eager = SpectralBlock(3, statistics=statistics).train(training)
    nn.init.uniform_(eager.bn.running_mean)
    fused = SpectralBlock(3, statistics=statistics, spectral="fused").train(training)
    fused.load_state_dict(eager.state_dict())
    cotangent = torch.randn(2, 3, 9, 14)
    inputs = [torch.randn(2, 3, 9, 14, generator=torch.Generator().manual_seed(1)).requires_grad_() for _ in range(2)]
    outputs = [block(x) for block, x in zip((eager, fused), inputs, strict=True)]
    for output in outputs:
        output.backward(cotangent)
    torch.testing.assert_close(outputs[1], outputs[0])
    torch.testing.assert_close(inputs[1].grad, inputs[0].grad)
    for (name, expected), parameter in zip(eager.named_parameters(), fused.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, expected.grad, msg=name)
    for (name, expected), buffer in zip(eager.named_buffers(), fused.buffers(), strict=True):
        torch.testing.assert_close(buffer, expected, msg=name)


def test_restormer_attention_mixes_channels_within_heads() -> None:
    """Each head's channels are mixed by the softmax of their scaled cosines, restated in numpy."""
    torch.manual_seed(0)
    attention = RestormerBlock(6, heads=2).double().attention
    nn.init.uniform_(attention.temperature, 0.5, 2.0)
    x = torch.randn(1, 6, 4, 5, dtype=torch.float64)
    query, key, value = (part.reshape(2, 3, 20) for part in attention.qkv(x).detach().numpy().reshape(3, 6, 20))
    mixed = np.empty((2, 3, 20))
    for head in range(2):
        cosines = np.empty((3, 3))
        for row, column in np.ndindex(3, 3):
            q, k = query[head, row], key[head, column]
            cosines[row, column] = q @ k / np.linalg.norm(q) / np.linalg.norm(k)
        weights = np.exp(cosines * attention.temperature[head].item())
        mixed[head] = weights / weights.sum(axis=1, keepdims=True) @ value[head]
    expected = attention.project(torch.from_numpy(mixed.reshape(1, 6, 4, 5)))
    torch.testing.assert_close(attention(x), expected, rtol=0, atol=1e-12)


def test_layer_norm_acts_on_each_pixel() -> None:
    """Every pixel has mean 0 and variance 1 over its channels."""
    normalised = ChannelLayerNorm(16)(3 + 2 * torch.randn(2, 16, 3, 4))
    torch.testing.assert_close(normalised.mean(dim=1), torch.zeros(2, 3, 4), rtol=0, atol=1e-5)
    torch.testing.assert_close(normalised.var(dim=1, correction=0), torch.ones(2, 3, 4), rtol=0, atol=1e-3)


def test_residual_channel_attention_starts_from_its_input() -> None:
    """With a silent body the block is the identity."""
    block = ResidualChannelAttentionBlock(4)
    nn.init.zeros_(block.body[2].weight)
    nn.init.zeros_(block.body[2].bias)
    x = torch.rand(1, 4, 5, 6)
    assert torch.equal(block(x), x)
