"""Structural similarity: its definition, its derivative, and the arguments that it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from edgefuse.errors import InputError, UsageError
from edgefuse.kernels.ssim import ssim

SHAPES = [(1, 1, 1), (2, 7, 13), (1, 12, 31), (3, 1, 9), (1, 33, 2)]


def _images(shape, *, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    batch, height, width = shape
    x, y = torch.rand(2, batch, 1, height, width, generator=generator, dtype=torch.float64).to(dtype)
    x[..., : height // 2, : width // 2] = 0.5  # where both are flat, variances vanish
    y[..., : height // 2, : width // 2] = 0.5
    return x, y


def _run(x, y, **options):
    """Mean and gradient under a cotangent that is not one."""
    leaf = x.detach().clone().requires_grad_()
    mean = ssim(leaf, y, **options)
    (-0.7 * mean).backward()
    return mean.detach(), leaf.grad


def _slow(x, y, data_range=1.0):
    """Wang et al. 2004, Eq. 13, window by window over images padded with zeros."""
    offsets = np.arange(-5, 6)
    window = np.exp(-(offsets[:, None] ** 2 + offsets[None, :] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    total = 0.0
    for p, q in zip(x[:, 0], y[:, 0], strict=True):
        p, q = np.pad(p, 5), np.pad(q, 5)  # noqa: PLW2901
        for row, column in np.ndindex(*x.shape[2:]):
            a, b = p[row : row + 11, column : column + 11], q[row : row + 11, column : column + 11]
            ma, mb = (window * a).sum(), (window * b).sum()
            va, vb = (window * a * a).sum() - ma**2, (window * b * b).sum() - mb**2
            cov = (window * a * b).sum() - ma * mb
            total += (2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
    return total / x.size


@pytest.mark.parametrize("shape", SHAPES)
def test_value_equals_a_window_by_window_restatement(shape) -> None:
    """The mean agrees with a restatement over two-dimensional windows, for other ranges too."""
    x, y = _images(shape)
    assert ssim(x, y).item() == pytest.approx(_slow(x.numpy(), y.numpy()), abs=1e-12)
    assert ssim(255 * x, 255 * y, data_range=255).item() == pytest.approx(_slow(x.numpy(), y.numpy()), abs=1e-9)


def test_equal_images_have_similarity_one_and_no_gradient() -> None:
    """An image is most similar to itself, flat ones included."""
    for image in (_images((1, 17, 20), dtype=torch.float32)[0], torch.zeros(1, 1, 16, 16), torch.ones(1, 1, 9, 9)):
        for backend in ("native", "reference"):
            mean, gradient = _run(image, image, backend=backend)
            assert mean.item() == pytest.approx(1.0, abs=1e-6)
            assert gradient.abs().max() < 1e-5


def test_reference_passes_gradcheck_for_both_images() -> None:
    """The reference's derivative with respect to both images agrees with finite differences."""
    images = [image.requires_grad_() for image in _images((1, 9, 7), seed=1)]
    assert torch.autograd.gradcheck(lambda x, y: ssim(x, y, backend="reference"), images)


@pytest.mark.usefixtures("poisoned_memory")
@pytest.mark.parametrize("shape", [*SHAPES, (2, 64, 47)])
def test_native_agrees_with_the_reference(shape, as_good_as_eager) -> None:
    """The C++ result is as close to the float64 reference as the float32 reference is, at any size."""
    x, y = _images(shape, dtype=torch.float32)
    actual, eager = _run(x, y, backend="native"), _run(x, y, backend="reference")
    exact = _run(x.double(), y.double(), backend="reference")
    as_good_as_eager(actual[0], eager=eager[0], exact=exact[0], scale=1.0)
    as_good_as_eager(actual[1], eager=eager[1], exact=exact[1])


def test_native_takes_any_strides_and_any_number_of_threads() -> None:
    """Strided images give the bits of their copies, and so do one thread and several."""
    x, y = _images((3, 71, 66), dtype=torch.float32)
    strided = x.transpose(2, 3).contiguous().transpose(2, 3), torch.stack([y, y], dim=-1)[..., 0]
    threads = torch.get_num_threads()
    results = []
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            results += [_run(x, y, backend="native"), _run(*strided, backend="native")]
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(result[part], results[0][part]) for result in results for part in (0, 1))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_images_are_computed_in_float32(dtype) -> None:
    """A half-precision image gives the mean of its float32 copy and a gradient in its own type, under autocast too."""
    x, y = _images((1, 12, 14), dtype=dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mean, gradient = _run(x, y)
    assert mean.dtype == torch.float32
    assert mean.item() == pytest.approx(ssim(x.float(), y.float(), backend="reference").item(), rel=1e-5)
    assert gradient.dtype == dtype


def test_auto_differentiates_with_respect_to_the_reference_image() -> None:
    """Where the second image asks for its gradient, the PyTorch implementation gives it."""
    x, y = _images((1, 8, 8), dtype=torch.float32)
    ssim(x, y.requires_grad_()).backward()
    assert y.grad.abs().max() > 0
    with pytest.raises(UsageError, match="only the reference differentiates"):
        ssim(x, y, backend="native")


def test_compiled_similarity_has_no_graph_break_and_the_same_gradient() -> None:
    """``torch.compile`` takes the similarity as one graph, and neither value nor gradient changes."""
    x, y = _images((1, 13, 16), dtype=torch.float32)
    compiled = torch.compile(ssim, fullgraph=True, backend="aot_eager")
    leaf = x.clone().requires_grad_()
    mean = compiled(leaf, y, backend="native")
    (-0.7 * mean).backward()
    expected = _run(x, y, backend="native")
    assert torch.equal(mean, expected[0])
    assert torch.equal(leaf.grad, expected[1])


def test_operator_is_registered_correctly() -> None:
    """PyTorch's own checks of a registered operator pass."""
    x, y = _images((1, 9, 8), dtype=torch.float32)
    options = {"data_range": 1.0, "backend": "native", "with_gradient": True}
    torch.library.opcheck(torch.ops.edgefuse.ssim.default, (x.requires_grad_(), y), options)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((4, 4), (4, 4)), r"image must be a non-empty \(B, 1, H, W\)"),
        (((1, 3, 4, 4), (1, 3, 4, 4)), "image must be"),
        (((1, 1, 4, 4), (1, 1, 0, 4)), "reference must be"),
        (((1, 1, 4, 4), (1, 1, 4, 5)), r"differ in shape: \(1, 1, 4, 4\) and \(1, 1, 4, 5\)"),
    ],
)
def test_wrong_images_are_named(shapes, message) -> None:
    """An image of the wrong layout or size is refused by name."""
    with pytest.raises(InputError, match=message):
        ssim(*(torch.zeros(shape) for shape in shapes))


def test_wrong_options_are_named() -> None:
    """A range that is none, integer pixels and an unknown backend are refused."""
    image = torch.zeros(1, 1, 4, 4)
    for data_range in (0.0, -1.0, math.nan):
        with pytest.raises(UsageError, match="data_range must be positive"):
            ssim(image, image, data_range=data_range)
    with pytest.raises(InputError, match=r"floating-point values, got torch\.uint8"):
        ssim(image.to(torch.uint8), image.to(torch.uint8))
    with pytest.raises(UsageError, match=r"backend must be one of .* got 'cudnn'"):
        ssim(image, image, backend="cudnn")
