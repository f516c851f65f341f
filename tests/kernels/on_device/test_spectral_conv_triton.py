"""The Triton spectral convolution against the reference, on a GPU or interpreted."""

from __future__ import annotations

import pytest
import torch

from edgefuse.kernels.spectral_conv import SpectralConv2d, spectral_conv

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("poisoned_memory", "exact_products", "no_timing")]


def _slow(value):
    return pytest.param(value, marks=pytest.mark.slow)


# One channel; odd and prime sizes; more channels than one tile; a single row and a single column.
SHAPES = [_slow((1, 1, 4, 6)), (2, 3, 7, 11), (1, 34, 3, 5), _slow((3, 8, 1, 9)), _slow((2, 5, 13, 1))]
LARGE = [(16, 32, 128, 128), (2, 128, 61, 47), (4, 8, 480, 640)]


def _tensors(shape, device):
    generator = torch.Generator().manual_seed(sum(shape))
    rows = 2 * shape[1]
    x = torch.rand(shape, generator=generator)
    weight = torch.randn(rows, rows, generator=generator) / rows**0.5
    gamma = torch.rand(rows, generator=generator) + 0.5
    beta = 0.3 * torch.randn(rows, generator=generator)
    cotangent = torch.randn(shape, generator=generator)
    return [tensor.to(device) for tensor in (x, weight, gamma, beta)], cotangent.to(device)


def _run(tensors, cotangent, *, backend, training=True, dtype=torch.float32, transform="auto"):
    """Result, all gradients and the moved running statistics."""
    leaves = [tensor.detach().to(dtype).requires_grad_() for tensor in tensors]
    mean = torch.linspace(-0.5, 0.5, len(leaves[2]), device=leaves[0].device, dtype=dtype)
    var = torch.linspace(0.5, 2.0, len(leaves[2]), device=leaves[0].device, dtype=dtype)
    y = spectral_conv(*leaves, mean, var, training=training, backend=backend, transform=transform)
    y.backward(cotangent.to(dtype))
    return [y.detach(), *(leaf.grad for leaf in leaves), mean, var]


def _check(shape, device, as_good_as_eager, training):
    tensors, cotangent = _tensors(shape, device)
    actual = _run(tensors, cotangent, backend="triton", training=training)
    eager = _run(tensors, cotangent, backend="reference", training=training)
    exact = _run(tensors, cotangent, backend="reference", training=training, dtype=torch.float64)
    for one, two, three in zip(actual, eager, exact, strict=True):
        as_good_as_eager(one, eager=two, exact=three)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_results_and_gradients_agree_with_the_reference(device, as_good_as_eager, shape, training):
    """Images, all gradients and running statistics are as close to float64 as eager float32 is."""
    _check(shape, device, as_good_as_eager, training)


@pytest.mark.parametrize("shape", LARGE)
def test_large_images_agree(device, interpreting, as_good_as_eager, shape):
    """The same at training and frame size and at 128 channels."""
    if interpreting:
        pytest.skip("large images take minutes in the interpreter")
    _check(shape, device, as_good_as_eager, training=True)


def test_matrix_products_in_place_of_the_transforms_agree(device, as_good_as_eager):
    """Transforms by matrix products, here in two steps down the columns, give the same result and gradients."""
    shape = (1, 1, 256, 5)
    tensors, cotangent = _tensors(shape, device)
    actual = _run(tensors, cotangent, backend="triton", transform="matmul")
    eager = _run(tensors, cotangent, backend="reference")
    exact = _run(tensors, cotangent, backend="reference", dtype=torch.float64)
    for one, two, three in zip(actual, eager, exact, strict=True):
        as_good_as_eager(one, eager=two, exact=three)


def test_strided_parameters_are_taken(device):
    """Slices and broadcasts of a larger tensor are read where they are."""
    tensors, _ = _tensors((1, 2, 6, 5), device)
    strided = [*tensors[:2], torch.stack([tensors[2], tensors[2] + 9], dim=1)[:, 0], tensors[3][:1].expand(4)]
    assert not any(tensor.is_contiguous() for tensor in strided[2:])
    actual, expected = (
        spectral_conv(*parameters, backend="triton") for parameters in (strided, [one.contiguous() for one in strided])
    )
    assert torch.equal(actual, expected)


@pytest.mark.parametrize("transform", ["fft", "matmul"])
def test_autocast_changes_nothing(device, transform):
    """Matrix products stand in for transforms, and are as little narrowed as those."""
    tensors, _ = _tensors((1, 2, 6, 5), device)
    expected = spectral_conv(*tensors, backend="triton", transform=transform)
    with torch.autocast(device, dtype=torch.bfloat16):
        actual = spectral_conv(*tensors, backend="triton", transform=transform)
    assert torch.equal(actual, expected)


def test_operators_are_as_the_compiler_is_told(device):
    """Shapes, types and strides of what they return, also for inputs in another memory format."""
    tensors, cotangent = _tensors((2, 3, 6, 5), device)
    _, spectrum, normalisation = torch.ops.edgefuse.spectral_conv(*tensors, None, eps=1e-5, transform="fft")
    check = {"test_utils": ("test_schema", "test_faketensor")}
    torch.library.opcheck(
        torch.ops.edgefuse.spectral_conv, (*tensors, None), {"eps": 1e-5, "transform": "fft"}, **check
    )
    incoming = cotangent.to(memory_format=torch.channels_last)
    torch.library.opcheck(
        torch.ops.edgefuse.spectral_conv_backward,
        (incoming, spectrum, tensors[1].mT, normalisation),
        {"by_batch": True, "transform": "fft"},
        **check,
    )


def test_either_way_of_allowing_tf32_is_understood(device):
    """PyTorch's older name cannot be read once the newer one was set."""
    tensors, _ = _tensors((1, 2, 6, 5), device)
    convolutions = torch.backends.cudnn.conv
    before = convolutions.fp32_precision
    try:
        convolutions.fp32_precision = "ieee"
        expected = spectral_conv(*tensors, backend="reference")
        compiled = torch.compile(spectral_conv, fullgraph=True, backend="eager")
        for function, transform in ((spectral_conv, "auto"), (spectral_conv, "fft"), (compiled, "auto")):
            actual = function(*tensors, backend="triton", transform=transform)
            torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)
    finally:
        convolutions.fp32_precision = before


def test_the_faster_transform_is_chosen_by_time(device, interpreting, monkeypatch):
    """On a GPU both are run, under autocast too."""
    if interpreting:
        pytest.skip("nothing is timed in the interpreter")
    monkeypatch.setenv("EDGEFUSE_AUTOTUNE", "1")
    tensors, _ = _tensors((2, 4, 32, 30), device)
    with torch.autocast(device, dtype=torch.bfloat16):
        actual = spectral_conv(*tensors, backend="triton")
    torch.testing.assert_close(actual, spectral_conv(*tensors, backend="reference"), rtol=1e-3, atol=1e-4)


def test_half_precision_images_keep_their_type(device):
    """Half-precision images are filtered as their float32 copies are."""
    tensors, cotangent = _tensors((1, 2, 6, 7), device)
    half = tensors[0].bfloat16().requires_grad_()
    actual = spectral_conv(half, *tensors[1:], backend="triton")
    actual.backward(cotangent.bfloat16())
    wide = half.detach().float().requires_grad_()
    expected = spectral_conv(wide, *tensors[1:], backend="reference")
    expected.backward(cotangent.bfloat16().float())
    assert actual.dtype == half.grad.dtype == torch.bfloat16
    torch.testing.assert_close(actual, expected.bfloat16())
    torch.testing.assert_close(half.grad, wide.grad.bfloat16())


def test_results_repeat_to_the_bit(device):
    """Two runs give the same bits: sums over programs have a fixed order."""
    tensors, cotangent = _tensors((2, 4, 9, 16), device)
    first, second = (_run(tensors, cotangent, backend="triton") for _ in range(2))
    assert all(torch.equal(one, two) for one, two in zip(first, second, strict=True))


def test_backward_keeps_the_spectrum_alone(device):
    """What is stored for the backward pass is one spectrum and a few vectors; the reference stores four planes more."""
    stored = {}
    for backend in ("triton", "reference"):
        layer = SpectralConv2d(8, backend=backend).to(device)
        x = torch.rand(2, 8, 16, 16, device=device, requires_grad=True)
        sizes = {}
        with torch.autograd.graph.saved_tensors_hooks(
            lambda tensor, sizes=sizes: sizes.setdefault(tensor.untyped_storage().data_ptr(), tensor) is None or tensor,
            lambda tensor: tensor,
        ):
            layer(x)
        stored[backend] = sum(tensor.untyped_storage().nbytes() for tensor in sizes.values())
    assert stored["triton"] <= 0.35 * stored["reference"]


def test_compiled_layer_agrees(device):
    """``torch.compile`` takes the layer without a graph break and leaves its gradients as they are."""
    layer = SpectralConv2d(2, backend="triton").to(device)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    x, cotangent = torch.rand(2, 1, 2, 6, 5, device=device)
    results = []
    for function in (layer, compiled):
        layer.zero_grad()
        layer.bn.reset_running_stats()
        leaf = x.clone().requires_grad_()
        y = function(leaf)
        y.backward(cotangent)
        results.append([y.detach(), leaf.grad, layer.conv_layer.weight.grad, layer.bn.running_var.clone()])
    for one, two in zip(*results, strict=True):
        torch.testing.assert_close(one, two)


def test_pytorchs_default_type_is_no_matter(device):
    """Sums and gradients are float32 whatever ``torch.set_default_dtype`` says."""
    tensors, cotangent = _tensors((1, 2, 6, 5), device)
    expected = _run(tensors, cotangent, backend="triton")
    torch.set_default_dtype(torch.bfloat16)
    try:
        actual = _run(tensors, cotangent, backend="triton")
    finally:
        torch.set_default_dtype(torch.float32)
    assert all(torch.equal(one, two) for one, two in zip(actual, expected, strict=True))
