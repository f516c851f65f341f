"""The gradient loss: its definition, its derivative, and the arguments that it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from edgefuse.errors import InputError, UsageError
from edgefuse.kernels import gradient_loss as package
from edgefuse.kernels.gradient_loss import ANGLE_EPSILON, gradient_loss

Images = tuple[torch.Tensor, torch.Tensor, torch.Tensor]

SINGLE_TERMS = [
    {"magnitude": 1.0},
    {"magnitude": 1.0, "magnitude_norm": "l2"},
    {"angle": 1.0},
    {"direction": 1.0, "scales": 1},
    {"direction": 1.0, "scales": (0.5, 0.25, 2.0)},
    {"max_magnitude": 1.0},
]
SHAPES = [(1, 1, 4, 4), (2, 1, 7, 13), (1, 1, 31, 5)]


def _images(shape: tuple[int, ...], *, seed: int = 0, dtype: torch.dtype = torch.float64) -> Images:
    generator = torch.Generator().manual_seed(seed)
    fused, ir, vis = torch.rand(3, *shape, generator=generator, dtype=torch.float64).to(dtype)
    return fused, ir, vis


def _sobel(image: NDArray[np.float64], row: int, column: int) -> tuple[float, float]:
    """Both derivatives of one pixel, tap by tap."""
    height, width = image.shape
    x = y = 0.0
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            if 0 <= row + dy < height and 0 <= column + dx < width:
                value = float(image[row + dy, column + dx])
                x += dx * (2 - abs(dy)) * value
                y += dy * (2 - abs(dx)) * value
    return x, y


def _slow_pixel(f: tuple[float, float], i: tuple[float, float], v: tuple[float, float]) -> dict[str, float]:
    """Every term of one pixel from its three gradients."""
    reference = i if math.hypot(*i) > math.hypot(*v) else v
    distance = math.hypot(*f) - math.hypot(*reference)
    inner = f[0] * reference[0] + f[1] * reference[1] + ANGLE_EPSILON**2
    target = max(abs(i[0]) + abs(i[1]), abs(v[0]) + abs(v[1]))
    axes = [abs(f[a] - (i[a] if abs(i[a]) > abs(v[a]) else v[a])) for a in (0, 1)]
    return {
        "l1": abs(distance),
        "l2": distance**2,
        "angle": 1 - inner / (math.hypot(*f, ANGLE_EPSILON) * math.hypot(*reference, ANGLE_EPSILON)),
        "direction": sum(axes) / 2,
        "max_magnitude": abs(abs(f[0]) + abs(f[1]) - target),
    }


def _slow(images: Images) -> dict[str, float]:
    """Every single-scale term, averaged over a batch, from loops over pixels."""
    planes = [image.squeeze(1).numpy() for image in images]
    count = planes[0].size
    totals: dict[str, float] = {}
    for index in np.ndindex(planes[0].shape):
        b, row, column = index
        pixel = _slow_pixel(*(_sobel(plane[b], row, column) for plane in planes))
        totals = {name: totals.get(name, 0.0) + value / count for name, value in pixel.items()}
    return totals


def _halve(image: torch.Tensor) -> torch.Tensor:
    """2×2 means, an odd last row or column dropped."""
    height, width = (side // 2 * 2 for side in image.shape[2:])
    return sum(image[..., dy:height:2, dx:width:2] for dy in (0, 1) for dx in (0, 1)) / 4


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), *SHAPES])
def test_each_term_equals_loops_over_pixels(shape: tuple[int, ...]) -> None:
    """Every single-scale term agrees with a tap-by-tap restatement."""
    images = _images(shape)
    expected = _slow(images)
    for norm in ("l1", "l2"):
        _, terms = gradient_loss(
            *images,
            magnitude=1,
            magnitude_norm=norm,
            angle=1,
            direction=1,
            scales=1,
            max_magnitude=1,
            return_terms=True,
        )
        assert terms.pop("magnitude").item() == pytest.approx(expected[norm], rel=1e-12)
        assert {name: value.item() for name, value in terms.items()} == pytest.approx(
            {name: expected[name] for name in terms}, rel=1e-12
        )


def test_direction_sums_weighted_scales() -> None:
    """The direction term is the weighted sum of single-scale terms on 2×2 means."""
    images = _images((2, 1, 13, 18))
    expected = 0.0
    for weight in (0.5, 0.25, 2.0):
        expected += weight * _slow(images)["direction"]
        images = tuple(_halve(image) for image in images)
    actual = gradient_loss(*_images((2, 1, 13, 18)), direction=1.0, scales=(0.5, 0.25, 2.0))
    assert actual.item() == pytest.approx(expected, rel=1e-12)


def test_total_is_the_weighted_sum_of_its_terms() -> None:
    """The scalar is the sum of weight times term, and an integer number of scales weighs each 1."""
    images = _images((1, 1, 9, 8))
    weights = {"magnitude": 5.0, "angle": 1.0, "direction": 0.5, "max_magnitude": 50.0}
    total, terms = gradient_loss(*images, **weights, scales=2, return_terms=True)
    assert total.item() == pytest.approx(sum(weights[name] * terms[name].item() for name in terms))
    assert terms["direction"].item() == pytest.approx(gradient_loss(*images, direction=1, scales=(1, 1)).item())


@pytest.mark.parametrize("options", SINGLE_TERMS)
def test_reference_passes_gradcheck_for_all_three_images(options: dict[str, object]) -> None:
    """The reference's derivative with respect to every image agrees with finite differences."""
    images = [image.requires_grad_() for image in _images((1, 1, 6, 5), seed=3)]
    assert torch.autograd.gradcheck(lambda *i: gradient_loss(*i, backend="reference", **options), images)


@pytest.mark.parametrize("options", SINGLE_TERMS)
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_flat_and_identical_images_have_finite_gradients(options: dict[str, object], value: float) -> None:
    """Flat images and images equal to their sources give finite values and gradients, and cost nothing."""
    flat = torch.full((1, 1, 8, 8), value)
    textured = _images((1, 1, 8, 8), dtype=torch.float32)[0]
    for image in (flat, textured):
        fused = image.clone().requires_grad_()
        loss = gradient_loss(fused, image, image, **options)
        loss.backward()
        assert loss.item() == pytest.approx(0.0, abs=1e-6)
        assert fused.grad is not None
        assert torch.isfinite(fused.grad).all()


def test_exactly_flat_regions_have_no_gradient_of_magnitude() -> None:
    """A constant image differs from a constant source at its borders only."""
    fused = torch.full((1, 1, 9, 9), 0.3, requires_grad=True)
    gradient_loss(fused, torch.full((1, 1, 9, 9), 0.7), torch.zeros(1, 1, 9, 9), magnitude=1.0).backward()
    assert fused.grad is not None
    assert fused.grad[..., 3:-3, 3:-3].abs().max() == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_images_are_computed_in_float32(dtype: torch.dtype) -> None:
    """A half-precision image gives the loss of its float32 copy and a gradient in its own type."""
    images = _images((1, 1, 12, 11), dtype=dtype)
    fused = images[0].requires_grad_()
    loss = gradient_loss(fused, *images[1:], magnitude=5.0, angle=1.0)
    loss.backward()
    wide = gradient_loss(*(image.detach().float() for image in images), magnitude=5.0, angle=1.0)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(wide.item(), rel=1e-6)
    assert fused.grad is not None
    assert fused.grad.dtype == dtype


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "every term has weight 0"),
        ({"magnitude": math.nan}, "magnitude must be finite"),
        ({"direction": 1.0, "scales": (1.0, math.inf)}, "scales must be finite"),
        ({"direction": 1.0, "scales": 0}, "at least one scale"),
        ({"magnitude": 1.0, "magnitude_norm": "l3"}, "'l1', 'l2', got 'l3'"),
        ({"magnitude": 1.0, "backend": "cuda"}, "backend must be one of .* got 'cuda'"),
    ],
)
def test_wrong_options_are_named(options: dict[str, object], message: str) -> None:
    """A wrong option is refused with what is allowed and what was given."""
    with pytest.raises(UsageError, match=message):
        gradient_loss(*_images((1, 1, 4, 4)), **options)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((4, 4), (4, 4), (4, 4)), r"fused must be a non-empty \(B, 1, H, W\)"),
        (((1, 3, 4, 4), (1, 3, 4, 4), (1, 3, 4, 4)), "fused must be"),
        (((0, 1, 4, 4), (0, 1, 4, 4), (0, 1, 4, 4)), "fused must be"),
        (((1, 1, 4, 4), (1, 1, 4, 5), (1, 1, 4, 4)), "ir and fused differ in shape"),
        (((1, 1, 3, 9), (1, 1, 3, 9), (1, 1, 3, 9)), "3 scales need images of at least 4x4"),
    ],
)
def test_wrong_images_are_named(shapes: tuple[tuple[int, ...], ...], message: str) -> None:
    """An image of the wrong layout or size is refused by name."""
    with pytest.raises(InputError, match=message):
        gradient_loss(*(torch.rand(shape) for shape in shapes), direction=1.0)


def test_integer_images_are_refused() -> None:
    """Integer pixels, which have no derivative, are refused."""
    with pytest.raises(InputError, match=r"floating-point values, got torch\.uint8"):
        gradient_loss(*[torch.zeros(1, 1, 4, 4, dtype=torch.uint8)] * 3, magnitude=1.0)


def test_package_exports_what_it_names() -> None:
    """Every public name exists."""
    assert all(hasattr(package, name) for name in package.__all__)
