"""The Triton gradient loss against the reference, on a GPU or interpreted."""

from __future__ import annotations

import pytest
import torch

from edgefuse.kernels.gradient_loss import gradient_loss

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("poisoned_memory", "exact_products", "small_tiles")]


def _slow(value):
    return pytest.param(value, marks=pytest.mark.slow)


TERMS = [
    {"magnitude": 5.0, "angle": 1.0},
    {"magnitude": 2.0, "magnitude_norm": "l2"},
    {"direction": 1.0, "scales": (1.0, 0.5, 0.25)},
    {"max_magnitude": 50.0},
    {"magnitude": 5.0, "angle": 1.0, "direction": 0.5, "scales": 2, "max_magnitude": 3.0},
]
SHAPES = [_slow((1, 1, 1)), _slow((2, 7, 1)), _slow((1, 2, 63)), (1, 11, 29)]


def _images(shape, device, dtype=torch.float32):
    generator = torch.Generator().manual_seed(sum(shape))
    batch, height, width = shape
    images = torch.rand(3, batch, 1, height, width, generator=generator).to(device=device, dtype=dtype)
    images[..., : height // 3, : width // 2] = 0.25  # a flat region, where every term has its singular point
    return images.unbind(0)


def _run(images, **options):
    fused = images[0].detach().clone().requires_grad_()
    loss = gradient_loss(fused, *images[1:], **options)
    (0.5 * loss).backward()
    return loss.detach(), fused.grad


@pytest.mark.parametrize("options", TERMS)
@pytest.mark.parametrize("shape", SHAPES)
def test_value_and_gradient_agree_with_the_reference(device, as_good_as_eager, shape, options):
    """Every term at every size agrees with the reference in float64 as closely as the reference in float32."""
    if "direction" in options and min(shape[1:]) < 4:
        options = {**options, "scales": 1}
    images = _images(shape, device)
    actual = _run(images, backend="triton", **options)
    eager = _run(images, backend="reference", **options)
    exact = _run([image.double() for image in images], backend="reference", **options)
    as_good_as_eager(actual[0], eager=eager[0], exact=exact[0], scale=1.0)
    as_good_as_eager(actual[1], eager=eager[1], exact=exact[1])


@pytest.mark.parametrize("dtype", [_slow(torch.float16), torch.bfloat16])
def test_half_precision_images_lose_no_more_than_eager(device, as_good_as_eager, dtype):
    """Half-precision images are widened once; the gradient comes back in their type."""
    images = _images((1, 9, 33), device, dtype)
    options = {"magnitude": 5.0, "angle": 1.0}
    loss, gradient = _run(images, backend="triton", **options)
    eager_loss, eager_gradient = _run(images, backend="reference", **options)
    exact_loss, exact_gradient = _run([image.double() for image in images], backend="reference", **options)
    assert gradient.dtype == dtype
    as_good_as_eager(loss, eager=eager_loss, exact=exact_loss)
    as_good_as_eager(gradient, eager=eager_gradient, exact=exact_gradient)


def test_any_strides_are_taken(device):
    """Transposed, sliced and broadcast images need no copy and give the same result."""
    fused, ir, vis = _images((2, 11, 26), device)
    strided = (
        fused.transpose(2, 3).contiguous().transpose(2, 3),
        torch.stack([ir, ir], dim=-1)[..., 0],
        vis[:1].expand(2, -1, -1, -1),
    )
    assert not any(image.is_contiguous() for image in strided)
    plain = _run([image.contiguous() for image in strided], backend="triton", magnitude=1.0)
    actual = _run(strided, backend="triton", magnitude=1.0)
    assert torch.equal(actual[0], plain[0])
    assert torch.equal(actual[1], plain[1])


def test_value_without_gradient_is_the_same(device):
    """Where no gradient is asked for, none is computed and the value is unchanged."""
    images = _images((1, 10, 20), device)
    with torch.no_grad():
        value = gradient_loss(*images, angle=1.0, backend="triton")
    assert not value.requires_grad
    # Within rounding: on a GPU it has a tile of its own, and sums in another order.
    torch.testing.assert_close(value, _run(images, angle=1.0, backend="triton")[0], rtol=1e-6, atol=0.0)


def test_terms_are_those_of_the_reference(device):
    """The unweighted terms come back by name, and only those that are on."""
    images = _images((1, 11, 20), device)
    options = {"magnitude": 5.0, "direction": 0.5, "scales": (1.0, 0.5), "return_terms": True}
    _, actual = gradient_loss(*images, backend="triton", **options)
    _, expected = gradient_loss(*images, backend="reference", **options)
    assert actual.keys() == expected.keys() == {"magnitude", "direction"}
    for name in actual:
        assert actual[name].item() == pytest.approx(expected[name].item(), rel=1e-5)


def test_large_images_agree_and_repeat_to_the_bit(device, interpreting, as_good_as_eager):
    """At training and frame size the result agrees with the reference, and does not change between runs."""
    if interpreting:
        pytest.skip("large images take minutes in the interpreter")
    for shape in ((16, 128, 128), (8, 480, 640), (1, 1079, 1917)):
        images = _images(shape, device)
        options = {"magnitude": 5.0, "angle": 1.0, "direction": 1.0, "scales": 3}
        actual = _run(images, backend="triton", **options)
        again = _run(images, backend="triton", **options)
        assert torch.equal(actual[0], again[0])
        assert torch.equal(actual[1], again[1])
        eager = _run(images, backend="reference", **options)
        exact = _run([image.double() for image in images], backend="reference", **options)
        as_good_as_eager(actual[0], eager=eager[0], exact=exact[0])
        # Where two magnitudes differ by a rounding, the sign of their difference, and of a derivative, is chance.
        as_good_as_eager(actual[1], eager=eager[1], exact=exact[1], spared=1e-4)


def test_backward_runs_inside_a_cuda_graph(device, interpreting):
    """Forward and backward can be captured, which needs that nothing synchronises."""
    if interpreting:
        pytest.skip("CUDA graphs need a GPU")
    images = _images((4, 64, 64), device)
    fused = images[0].clone().requires_grad_()
    expected = _run(images, angle=1.0, direction=1.0)[1] * 2

    def step():
        fused.grad = None
        gradient_loss(fused, *images[1:], angle=1.0, direction=1.0).backward()

    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        step()
        step()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    graph.replay()
    torch.cuda.synchronize()
    assert torch.equal(fused.grad, expected)


@pytest.mark.slow
def test_pytorchs_default_type_is_no_matter(device):
    """Sums and gradients are float32 whatever ``torch.set_default_dtype`` says."""
    images = _images((1, 9, 20), device)
    expected = _run(images, angle=1.0, backend="triton")
    torch.set_default_dtype(torch.bfloat16)
    try:
        actual = _run(images, angle=1.0, backend="triton")
    finally:
        torch.set_default_dtype(torch.float32)
    assert all(torch.equal(one, two) for one, two in zip(actual, expected, strict=True))
