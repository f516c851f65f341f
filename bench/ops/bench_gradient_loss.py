"""The gradient loss against eager PyTorch and its compiler, by convolution and by slices."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from edgefuse.bench.ops.contest import DTYPES, Contest, Contestant, parse_size, recorded
from edgefuse.kernels.cost import gradient_loss_cost
from edgefuse.kernels.gradient_loss import ANGLE_EPSILON, gradient_loss

__all__ = ["CASES", "SIZES", "contests", "convolution_form"]

CASES: dict[str, dict[str, Any]] = {
    "magnitude + angle": {"magnitude": 5.0, "angle": 1.0},
    "direction, 1 scale": {"direction": 1.0, "scales": 1},
    "direction, 3 scales": {"direction": 1.0, "scales": 3},
    "max magnitude": {"max_magnitude": 1.0},
}
"""Terms of AngularFuse, of the direction-aware loss at one scale and at its three, of DFECF and SSPFusion."""

SIZES = ("16x128x128", "8x480x640")
"""A training batch of crops, and full frames."""

_BOTH_AXES = torch.tensor([[[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]])


def contests(*, size: str, dtype: str, device: torch.device, compiled: bool) -> Iterator[Contest]:
    """Yield every case at one size.

    Args:
        size: Batch, height and width, as in ``16x128x128``.
        dtype: Type of the images.
        device: Where to measure.
        compiled: Whether to measure ``torch.compile`` too.

    Yields:
        The contests.
    """
    batch, height, width = parse_size(size, dimensions=3)
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(3, batch, 1, height, width, generator=generator).to(device=device, dtype=DTYPES[dtype])
    fused, *sources = images.unbind(0)
    exact_images = [image.double() for image in images]
    for case, options in CASES.items():
        forms = {
            "convolution": functools.partial(convolution_form, **options),
            "slices": functools.partial(gradient_loss, backend="reference", **options),
        }
        found = [_named("fused", functools.partial(gradient_loss, **options), fused, sources)]
        found += [_named(f"eager, {form}", function, fused, sources) for form, function in forms.items()]
        if compiled:
            for form, function in forms.items():
                # A copy of its own: the compiler keeps what it compiled with the function.
                one = torch.compile(_scalar(function), dynamic=False)
                found.append(replace(_named(f"torch.compile, {form}", one, fused, sources), is_compiled=True))
        exact = recorded(forms["slices"], exact_images[:1], exact_images[1:])
        terms = tuple(name for name, value in options.items() if name != "scales" and value)
        model = functools.partial(
            gradient_loss_cost,
            (batch, height, width),
            terms=terms,
            n_scales=options.get("scales", 1),
            itemsize=fused.element_size(),
        )
        yield Contest(
            op="gradient_loss",
            case=case,
            shape=(batch, height, width),
            dtype=dtype,
            contestants=tuple(found),
            exact=exact.step,
            forward_cost=model(backward=False),
            step_cost=model(backward=True),
        )


def _named(name: str, function: Any, fused: Tensor, sources: list[Tensor]) -> Contestant:
    return replace(recorded(function, [fused], sources), name=name)


def _scalar(function: Any) -> Any:
    """A plain function around a partial one."""

    def loss(fused: Tensor, ir: Tensor, vis: Tensor) -> Tensor:
        result: Tensor = function(fused, ir, vis)
        return result

    return loss


def convolution_form(
    fused: Tensor,
    ir: Tensor,
    vis: Tensor,
    *,
    magnitude: float = 0.0,
    angle: float = 0.0,
    direction: float = 0.0,
    scales: int = 1,
    max_magnitude: float = 0.0,
) -> Tensor:
    """Return the gradient loss as the papers' code writes it: Sobel by ``conv2d``, element-wise terms after it.

    Args:
        fused: The fused luminance.  # [B, 1, H, W]
        ir: The infrared image.  # [B, 1, H, W]
        vis: The visible luminance.  # [B, 1, H, W]
        magnitude: Weight of the mean absolute distance between magnitudes.
        angle: Weight of one minus the cosine.
        direction: Weight of the per-axis term.
        scales: Scales of the per-axis term.
        max_magnitude: Weight of the distance to the larger ``|Gx| + |Gy|``.

    Returns:
        The weighted sum.  # []
    """
    fused, ir, vis = (image.float() for image in (fused, ir, vis))
    total = fused.new_zeros(())
    f, i, v = _sobel(fused), _sobel(ir), _sobel(vis)  # [B, 2, H, W]
    if magnitude or angle:
        i_squared, v_squared = i.square().sum(1, keepdim=True), v.square().sum(1, keepdim=True)
        from_ir = i_squared > v_squared
        reference, r_squared = torch.where(from_ir, i, v), torch.where(from_ir, i_squared, v_squared)
        f_squared = f.square().sum(1, keepdim=True)
        if magnitude:
            distance = f_squared.clamp_min(1e-30).sqrt() - r_squared.sqrt()
            total = total + magnitude * distance.abs().mean()
        if angle:
            epsilon = ANGLE_EPSILON**2
            inner = (f * reference).sum(1, keepdim=True) + epsilon
            cosine = inner * ((f_squared + epsilon) * (r_squared + epsilon)).rsqrt()
            total = total + angle * (1 - cosine).mean()
    if max_magnitude:
        target = torch.maximum(i.abs().sum(1), v.abs().sum(1))
        total = total + max_magnitude * (f.abs().sum(1) - target).abs().mean()
    for scale in range(scales if direction else 0):
        if scale > 0:
            fused, ir, vis = (functional.avg_pool2d(image, 2) for image in (fused, ir, vis))
            f, i, v = _sobel(fused), _sobel(ir), _sobel(vis)
        total = total + direction * (f - torch.where(i.abs() > v.abs(), i, v)).abs().mean()
    return total


def _sobel(image: Tensor) -> Tensor:
    """Both derivatives as channels.  # [B, 2, H, W]"""
    along_x = _BOTH_AXES.to(image)
    return functional.conv2d(image, torch.stack([along_x, along_x.mT]), padding=1)
