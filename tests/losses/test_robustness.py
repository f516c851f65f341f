"""Every loss on the pictures that break losses: flat, black, white, identical; in every precision."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from edgefuse.losses import LossContext, create, names

SIZE = (2, 1, 16, 16)


def noise(seed: int) -> Tensor:
    """A textured picture."""
    return torch.rand(SIZE, generator=torch.Generator().manual_seed(seed))


def flat(value: float) -> Tensor:
    """A picture of one value."""
    return torch.full(SIZE, value)


SCENES = {
    "textured": (noise(0), noise(1), noise(2)),
    "flat": (flat(0.3), flat(0.6), flat(0.2)),
    "flat and equal": (flat(0.3), flat(0.3), flat(0.3)),
    "black": (flat(0.0), flat(0.0), flat(0.0)),
    "white": (flat(1.0), flat(1.0), flat(1.0)),
    "identical": (noise(0), noise(0), noise(0)),
    "black infrared": (noise(0), flat(0.0), noise(2)),
    "black infrared, black fused": (flat(0.0), flat(0.0), noise(2)),
    "black visible": (noise(0), noise(1), flat(0.0)),
    "black fused": (flat(0.0), noise(1), noise(2)),
    "nearly black fused": (flat(6e-8), flat(0.0), noise(2)),
    "one black frame of two": (noise(0), noise(1) * torch.tensor([0.0, 1.0])[:, None, None, None], noise(2)),
    "out of range": (3 * noise(0) - 1, noise(1), noise(2)),
}


def evaluate(name: str, scene: str, dtype: torch.dtype) -> tuple[Tensor, list[Tensor]]:
    """The loss of a scene in a precision, and the gradients of what the network gave."""
    fused, ir, vis = (image.to(dtype) for image in SCENES[scene])
    fused, residual_map = fused.clone().requires_grad_(), fused.clamp(0, 1).clone().requires_grad_()
    structure = residual_map.detach().clone().requires_grad_()
    context = LossContext(residual_map, (structure,), ((ir > vis).to(dtype),), torch.maximum(ir, vis))
    value = create(name)(fused, ir, vis, context)
    value.backward()
    return value, [leaf.grad for leaf in (fused, residual_map, structure) if leaf.grad is not None]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("name", names())
def test_value_and_gradient_are_finite(name, scene, dtype):
    """No scene and no precision gives an infinity or a NaN, forward or backward."""
    value, gradients = evaluate(name, scene, dtype)
    assert value.shape == ()
    assert value.dtype == torch.float32
    assert bool(value.isfinite())
    assert gradients
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)


@pytest.mark.parametrize("autocast", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", names())
def test_autocast_changes_nothing(name, autocast):
    """Inside autocast the value and the gradient are those of full precision."""
    expected, expected_gradients = evaluate(name, "textured", torch.float32)
    with torch.autocast(device_type="cpu", dtype=autocast):
        value, gradients = evaluate(name, "textured", torch.float32)
    assert torch.equal(value, expected)
    assert all(torch.equal(*pair) for pair in zip(gradients, expected_gradients, strict=True))


@pytest.mark.parametrize("name", names())
def test_a_batch_costs_the_mean_of_its_pictures(name):
    """Pictures do not influence each other, so processes that share a batch agree with one that has it all."""
    fused, ir, vis = SCENES["textured"]
    context = context_for(fused, ir, vis)
    together = create(name)(fused, ir, vis, context)
    alone = [
        create(name)(fused[i : i + 1], ir[i : i + 1], vis[i : i + 1], context_of(context, i)) for i in range(SIZE[0])
    ]
    torch.testing.assert_close(together, torch.stack(alone).mean())


def context_for(fused: Tensor, ir: Tensor, vis: Tensor) -> LossContext:
    """A context in which every loss finds what it needs."""
    return LossContext(fused, (fused,), ((ir > vis).float(),), torch.maximum(ir, vis))


def context_of(context: LossContext, index: int) -> LossContext:
    """The context of one picture of a batch."""
    part = slice(index, index + 1)
    assert context.residual_map is not None
    assert context.teacher is not None
    return LossContext(
        context.residual_map[part],
        (context.structure_maps[0][part],),
        (context.structure_targets[0][part],),
        context.teacher[part],
    )


@pytest.mark.parametrize("name", names())
def test_strides_do_not_matter(name):
    """Transposed and sliced views give the values of their copies."""
    fused, ir, vis = (image.mT[..., ::2, :] for image in SCENES["textured"])
    context = context_for(fused, ir, vis)
    copies = [image.contiguous() for image in (fused, ir, vis)]
    torch.testing.assert_close(create(name)(fused, ir, vis, context), create(name)(*copies, context))


@pytest.mark.parametrize("name", names())
def test_compiles_without_a_graph_break(name):
    """A training step under ``torch.compile`` takes the loss into its graph whole, with the same value."""
    fused, ir, vis = SCENES["textured"]
    context = context_for(fused, ir, vis)
    torch.compiler.reset()
    compiled = torch.compile(create(name), backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(fused, ir, vis, context), create(name)(fused, ir, vis, context))


@pytest.mark.gpu
@pytest.mark.parametrize("name", names())
def test_a_gpu_gives_the_values_of_the_cpu(name, cuda_device):
    """Value and gradient on the GPU are those of the CPU within float32 rounding."""
    results = []
    for device in ("cpu", cuda_device):
        fused, ir, vis = (image.to(device) for image in SCENES["textured"])
        fused.requires_grad_()
        value = create(name)(fused, ir, vis, context_for(fused, ir, vis))
        (gradient,) = torch.autograd.grad(value, fused)
        results.append((value.detach().cpu(), gradient.cpu()))
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-6)
