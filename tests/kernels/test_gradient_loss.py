"""The gradient loss: its definition, its derivative, and the arguments that it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from edgefuse.errors import InputError, UsageError
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


NATIVE_TERMS = [*SINGLE_TERMS, {"magnitude": 5.0, "angle": 1.0, "direction": 0.5, "scales": 2, "max_magnitude": 50.0}]


def _run(images: Images, **options: object) -> Images:
    """Loss and gradient of the fused image, under a cotangent that is not one."""
    fused = images[0].detach().clone().requires_grad_()
    loss = gradient_loss(fused, *images[1:], **options)
    (0.7 * loss).backward()
    assert fused.grad is not None
    return loss.detach(), fused.grad


@pytest.mark.usefixtures("poisoned_memory")
@pytest.mark.parametrize("options", NATIVE_TERMS)
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 1, 9), (1, 8, 1), (2, 17, 33), (1, 127, 65)])
def test_native_agrees_with_the_reference(shape, options, as_good_as_eager) -> None:
    """The C++ result is as close to the float64 reference as the float32 reference is, at any size."""
    if options.get("direction") and min(shape[1:]) < 4:
        options = {**options, "scales": 1}
    batch, height, width = shape
    images = _images((batch, 1, height, width), seed=1, dtype=torch.float32)
    for image in images:
        image[..., : height // 2, : width // 2] = 0.5
    actual = _run(images, backend="native", **options)
    eager = _run(images, backend="reference", **options)
    exact = _run(tuple(image.double() for image in images), backend="reference", **options)
    as_good_as_eager(actual[0], eager=eager[0], exact=exact[0], scale=1.0)
    as_good_as_eager(actual[1], eager=eager[1], exact=exact[1])


def test_native_equals_the_reference_to_a_millionth_at_training_size() -> None:
    """At 16×1×128×128 value and gradient differ from the reference by less than 1e-6."""
    images = _images((16, 1, 128, 128), dtype=torch.float32)
    for options in ({"magnitude": 5.0, "angle": 1.0}, {"direction": 1.0}, {"max_magnitude": 1.0}):
        actual, expected = _run(images, backend="native", **options), _run(images, backend="reference", **options)
        assert actual[0].item() == pytest.approx(expected[0].item(), rel=1e-6)
        assert (actual[1] - expected[1]).abs().max() < 1e-6


def test_native_takes_any_strides() -> None:
    """Transposed, sliced and broadcast images give the result of their copies."""
    fused, ir, vis = _images((2, 1, 20, 26), dtype=torch.float32)
    strided = (
        fused.transpose(2, 3).contiguous().transpose(2, 3),
        torch.stack([ir, ir], dim=-1)[..., 0],
        vis[:1].expand(2, -1, -1, -1),
    )
    assert not any(image.is_contiguous() for image in strided)
    options = {"magnitude": 1.0, "direction": 1.0, "backend": "native"}
    actual, expected = _run(strided, **options), _run(tuple(image.contiguous() for image in strided), **options)
    assert torch.equal(actual[0], expected[0])
    assert torch.equal(actual[1], expected[1])


@pytest.mark.parametrize("factor", [1.0, 0.5])
def test_a_gradient_changed_in_place_leaves_the_next_backward_pass_alone(factor: float) -> None:
    """A kept graph gives the same again, whatever was done to the first result, as clipping does."""
    fused, ir, vis = _images((2, 1, 9, 8), dtype=torch.float32)
    fused.requires_grad_()
    loss = factor * gradient_loss(fused, ir, vis, angle=1.0)
    loss.backward(retain_graph=True)
    assert fused.grad is not None
    before = fused.grad.clone()
    fused.grad.mul_(3)
    fused.grad = None
    loss.backward()
    torch.testing.assert_close(fused.grad, before, rtol=0, atol=0)


def test_native_result_does_not_depend_on_the_number_of_threads() -> None:
    """One thread and several give the same bits."""
    images = _images((3, 1, 150, 131), dtype=torch.float32)
    threads = torch.get_num_threads()
    results = []
    try:
        for count in (1, 2, 7):
            torch.set_num_threads(count)
            results.append(_run(images, angle=1.0, direction=1.0, backend="native"))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(result[part], results[0][part]) for result in results for part in (0, 1))


def test_auto_differentiates_with_respect_to_sources_by_the_reference() -> None:
    """A source that asks for its gradient gets it, and a fused backend asked for by name is refused."""
    fused, ir, vis = _images((1, 1, 8, 8), dtype=torch.float32)
    ir.requires_grad_()
    gradient_loss(fused, ir, vis, magnitude=1.0).backward()
    assert ir.grad is not None
    assert ir.grad.abs().max() > 0
    with pytest.raises(UsageError, match="only the reference differentiates"):
        gradient_loss(fused, ir, vis, magnitude=1.0, backend="native")


def test_fused_backends_say_why_they_refuse() -> None:
    """A backend that cannot take the tensors names the type or the device."""
    images = _images((1, 1, 8, 8), dtype=torch.float64)
    with pytest.raises(UsageError, match=r"'native' cannot serve this call: it takes torch\.float32 .*float64"):
        gradient_loss(*images, magnitude=1.0, backend="native")
    with pytest.raises(UsageError, match="'triton' cannot serve this call"):
        gradient_loss(*images, magnitude=1.0, backend="triton")


def test_second_derivative_is_refused_not_wrong() -> None:
    """The one-pass backends refuse a second derivative instead of returning zero."""
    fused, ir, vis = _images((1, 1, 8, 8), dtype=torch.float32)
    fused.requires_grad_()
    loss = gradient_loss(fused, ir, vis, magnitude=1.0, magnitude_norm="l2", backend="native")
    (first,) = torch.autograd.grad(loss, fused, create_graph=True)
    with pytest.raises(RuntimeError, match="does not require grad"):
        first.sum().backward()


def test_compiled_loss_has_no_graph_break_and_the_same_gradient() -> None:
    """``torch.compile`` takes the loss as one graph, and neither value nor gradient changes."""
    images = _images((1, 1, 12, 16), dtype=torch.float32)
    compiled = torch.compile(gradient_loss, fullgraph=True, backend="aot_eager")
    fused = images[0].clone().requires_grad_()
    loss = compiled(fused, *images[1:], magnitude=5.0, angle=1.0, backend="native")
    (0.7 * loss).backward()
    expected = _run(images, magnitude=5.0, angle=1.0, backend="native")
    assert torch.equal(loss, expected[0])
    assert torch.equal(fused.grad, expected[1])


def test_operator_is_registered_correctly() -> None:
    """PyTorch's own checks of a registered operator pass."""
    images = [
        image.requires_grad_(index == 0) for index, image in enumerate(_images((2, 1, 9, 8), dtype=torch.float32))
    ]
    options = {"weights": [5.0, 1.0, 1.0, 1.0], "scale_weights": [1.0, 0.5], "magnitude_norm": "l1"}
    torch.library.opcheck(
        torch.ops.edgefuse.gradient_loss.default, tuple(images), {**options, "backend": "native", "with_gradient": True}
    )


def test_autocast_changes_nothing() -> None:
    """Under autocast the loss stays float32 and equal."""
    images = _images((1, 1, 10, 10), dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for backend in ("native", "reference"):
            inside = _run(images, angle=1.0, backend=backend)
            assert inside[0].dtype == torch.float32
            assert torch.equal(inside[0], _run(images, angle=1.0, backend=backend)[0])
    assert inside[1].dtype == torch.float32


def test_native_refuses_arrays_that_do_not_fit() -> None:
    """The extension checks what it is given, whoever calls it."""
    from edgefuse.kernels import _native

    image = np.zeros((1, 1, 4, 4), np.float32)
    options = {"magnitude": 1.0, "squared": False, "angle": 0.0, "direction": 1.0, "max_magnitude": 0.0}
    options.update(angle_epsilon=1e-3, threads=1)
    with pytest.raises(ValueError, match="differ in shape"):
        _native.gradient_loss(image, image[..., :3], image, None, scale_weights=[1.0], **options)
    with pytest.raises(ValueError, match="too small"):
        _native.gradient_loss(image, image, image, None, scale_weights=[1.0] * 4, **options)
    with pytest.raises(TypeError):
        _native.gradient_loss(image.astype(np.float64), image, image, None, scale_weights=[1.0], **options)
