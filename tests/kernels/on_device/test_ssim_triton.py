"""The Triton structural similarity against the reference, on a GPU or interpreted."""

from __future__ import annotations

import pytest
import torch

from edgefuse.kernels.ssim import ssim

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("poisoned_memory", "exact_products", "small_tiles")]


def _slow(value):
    return pytest.param(value, marks=pytest.mark.slow)


def _images(shape, device, dtype=torch.float32):
    generator = torch.Generator().manual_seed(sum(shape))
    batch, height, width = shape
    x, y = torch.rand(2, batch, 1, height, width, generator=generator)
    x[..., : height // 2, : width // 2] = 0.5  # where both are flat, variances vanish
    y[..., : height // 2, : width // 2] = 0.5
    return x.to(device=device, dtype=dtype), y.to(device=device, dtype=dtype)


def _run(x, y, **options):
    leaf = x.detach().clone().requires_grad_()
    mean = ssim(leaf, y, **options)
    (-0.7 * mean).backward()
    return mean.detach(), leaf.grad


def _check(x, y, as_good_as_eager):
    actual, eager = _run(x, y, backend="triton"), _run(x, y, backend="reference")
    exact = _run(x.double(), y.double(), backend="reference")
    as_good_as_eager(actual[0], eager=eager[0], exact=exact[0], scale=1.0)
    as_good_as_eager(actual[1], eager=eager[1], exact=exact[1])
    assert actual[1].dtype == x.dtype


@pytest.mark.parametrize("shape", [_slow((1, 1, 1)), _slow((2, 3, 25)), (1, 7, 23)])
def test_value_and_gradient_agree_with_the_reference(device, as_good_as_eager, shape):
    """At any size the result is as close to float64 as eager float32 is."""
    _check(*_images(shape, device), as_good_as_eager)


@pytest.mark.parametrize("dtype", [_slow(torch.float16), torch.bfloat16])
def test_half_precision_and_strided_images_are_taken(device, as_good_as_eager, dtype):
    """Half precision is widened once, and strided images need no copy."""
    x, y = _images((1, 4, 6), device, dtype)
    _check(x.transpose(2, 3), torch.stack([y, y], dim=-1)[..., 0].transpose(2, 3), as_good_as_eager)


def test_value_without_gradient_is_the_same(device):
    """Where no gradient is asked for, none is computed and the value is unchanged."""
    x, y = _images((1, 3, 4), device)
    with torch.no_grad():
        value = ssim(x, y, backend="triton")
    # Within rounding: on a GPU it has a tile of its own, and sums in another order.
    torch.testing.assert_close(value, _run(x, y, backend="triton")[0], rtol=1e-6, atol=0.0)


@pytest.mark.parametrize("shape", [(16, 128, 128), (2, 479, 641)])
def test_large_images_agree_and_repeat_to_the_bit(device, interpreting, as_good_as_eager, shape):
    """At training and frame size the result agrees with the reference, and does not change between runs."""
    if interpreting:
        pytest.skip("large images take minutes in the interpreter")
    x, y = _images(shape, device)
    _check(x, y, as_good_as_eager)
    first, second = _run(x, y, backend="triton"), _run(x, y, backend="triton")
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


@pytest.mark.slow
def test_pytorchs_default_type_is_no_matter(device):
    """Sums and gradients are float32 whatever ``torch.set_default_dtype`` says."""
    images = _images((1, 3, 8), device)
    expected = _run(*images, backend="triton")
    torch.set_default_dtype(torch.bfloat16)
    try:
        actual = _run(*images, backend="triton")
    finally:
        torch.set_default_dtype(torch.float32)
    assert all(torch.equal(one, two) for one, two in zip(actual, expected, strict=True))
