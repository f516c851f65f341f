"""The spectral convolution: its definition, its rewrite without stacks, and its public boundary."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgefuse.errors import InputError, UsageError
from edgefuse.kernels.spectral_conv import SpectralConv2d, spectral_conv
from edgefuse.kernels.spectral_conv.normalisation import Normalisation
from edgefuse.kernels.spectral_conv.reference import stack_form, view_form

SHAPES = [(2, 3, 8, 8), (1, 4, 7, 9), (2, 2, 1, 6), (3, 1, 5, 1), (1, 2, 6, 11)]


def _parameters(channels, dtype=torch.float64):
    generator = torch.Generator().manual_seed(channels)
    rows = 2 * channels
    weight = torch.randn(rows, rows, generator=generator, dtype=torch.float64) / rows**0.5
    gamma = torch.rand(rows, generator=generator, dtype=torch.float64) + 0.5
    beta = 0.3 * torch.randn(rows, generator=generator, dtype=torch.float64)
    return weight.to(dtype), gamma.to(dtype), beta.to(dtype)


def _slow(x, weight, gamma, beta, mean=None, var=None, eps=1e-5):
    """The definition over whole, two-sided spectra in numpy, frequency by frequency."""
    batch, channels, height, width = x.shape
    half = np.fft.fft2(x, norm="ortho")[..., : width // 2 + 1]
    rows = np.stack([half.real, half.imag], axis=2).reshape(batch, 2 * channels, -1)
    mixed = np.einsum("oi,bif->bof", weight, rows)
    mean = mixed.mean(axis=(0, 2)) if mean is None else mean
    var = mixed.var(axis=(0, 2)) if var is None else var
    normal = (mixed - mean[:, None]) / np.sqrt(var[:, None] + eps) * gamma[:, None] + beta[:, None]
    parts = np.maximum(normal, 0).reshape(batch, channels, 2, height, -1)
    return np.fft.irfft2(parts[:, :, 0] + 1j * parts[:, :, 1], s=(height, width), norm="ortho")


@pytest.mark.parametrize("shape", SHAPES)
def test_value_equals_a_numpy_restatement(shape) -> None:
    """With statistics of the batch and with given ones the result is that of numpy's FFT."""
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    parameters = _parameters(shape[1])
    arrays = [x.numpy(), *(parameter.numpy() for parameter in parameters)]
    np.testing.assert_allclose(spectral_conv(x, *parameters).numpy(), _slow(*arrays), atol=1e-12)
    mean = torch.linspace(-1, 1, 2 * shape[1], dtype=torch.float64)
    var = torch.linspace(0.5, 2, 2 * shape[1], dtype=torch.float64)
    actual = spectral_conv(x, *parameters, mean, var, training=False)
    np.testing.assert_allclose(actual.numpy(), _slow(*arrays, mean.numpy(), var.numpy()), atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_view_form_equals_stack_form_to_the_bit(shape) -> None:
    """The rewrite without stacks gives the very bits of the published form."""
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    weight, gamma, beta = _parameters(shape[1], torch.float32)
    norm = Normalisation(gamma, beta)
    assert torch.equal(stack_form(x, weight[..., None, None], norm), view_form(x, weight[..., None, None], norm))


def test_gradients_pass_gradcheck() -> None:
    """Images and every parameter have the derivative of finite differences."""
    x = torch.randn(2, 2, 4, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    inputs = [tensor.requires_grad_() for tensor in (x, *_parameters(2))]
    assert torch.autograd.gradcheck(spectral_conv, inputs)


def test_layer_is_the_module_it_replaces() -> None:
    """The layer moves its running statistics and evaluates exactly as convolution and batch normalisation do."""
    layer = SpectralConv2d(3).double()
    conv, norm = torch.nn.Conv2d(6, 6, 1, bias=False).double(), torch.nn.BatchNorm2d(6).double()
    conv.load_state_dict({"weight": layer.conv_layer.weight})
    norm.load_state_dict(layer.bn.state_dict())
    x = torch.randn(2, 3, 8, 7, generator=torch.Generator().manual_seed(3), dtype=torch.float64)

    def composed(x):
        spectrum = torch.fft.rfft2(x, norm="ortho")
        planes = torch.stack((spectrum.real, spectrum.imag), dim=2).flatten(1, 2)
        parts = torch.relu(norm(conv(planes))).unflatten(1, (3, 2))
        return torch.fft.irfft2(torch.complex(parts[:, :, 0], parts[:, :, 1]), s=(8, 7), norm="ortho")

    for _ in range(2):
        torch.testing.assert_close(layer(x), composed(x))
    for name, value in norm.state_dict().items():
        torch.testing.assert_close(layer.bn.state_dict()[name], value)
    layer.eval()
    norm.eval()
    torch.testing.assert_close(layer(x), composed(x))


def test_released_tensor_names_are_kept() -> None:
    """The layer's tensors have the names that RPFNet's checkpoint gives them."""
    names = set(SpectralConv2d(32).state_dict())
    assert names == {
        "conv_layer.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var", "bn.num_batches_tracked",
    }  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_widened_between_the_transforms(dtype) -> None:
    """Half-precision images of any size are filtered in float32 and come back in their type, under autocast too."""
    x = torch.randn(1, 2, 6, 7, generator=torch.Generator().manual_seed(4)).to(dtype)
    parameters = _parameters(2, torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        actual = spectral_conv(x, *parameters)
    assert actual.dtype == dtype
    torch.testing.assert_close(actual, spectral_conv(x.float(), *parameters).to(dtype))


@pytest.mark.parametrize(
    ("shape", "rows", "message"),
    [
        ((2, 3, 8), 6, r"x must be a non-empty floating-point \(B, C, H, W\)"),
        ((0, 3, 8, 8), 6, "x must be"),
        ((1, 3, 8, 8), 4, r"weight must be \(6, 6\) for 3 channels, got \(4, 4\)"),
        ((1, 2, 1, 1), 4, "more than one value a channel"),
    ],
)
def test_shapes_that_do_not_fit_are_named(shape, rows, message) -> None:
    """Images and weights that do not fit are refused with both shapes."""
    with pytest.raises(InputError, match=message):
        spectral_conv(torch.zeros(shape), torch.zeros(rows, rows), torch.ones(rows), torch.zeros(rows))


def test_vector_that_does_not_fit_is_named() -> None:
    """A vector of the wrong length is refused by name."""
    with pytest.raises(InputError, match="beta must have 4 values for 2 channels"):
        spectral_conv(torch.zeros(1, 2, 4, 4), torch.zeros(4, 4), torch.ones(4), torch.zeros(3))


def test_backends_that_do_not_exist_are_refused() -> None:
    """There is no C++ spectral convolution, and Triton says why it cannot run here."""
    arguments = (torch.zeros(1, 1, 4, 4), torch.zeros(2, 2), torch.ones(2), torch.zeros(2))
    with pytest.raises(UsageError, match="'auto', 'triton', 'reference', got 'native'"):
        spectral_conv(*arguments, backend="native")
    with pytest.raises(UsageError, match="'triton' cannot serve this call"):
        spectral_conv(*(argument.double() for argument in arguments), backend="triton")
