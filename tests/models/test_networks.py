"""What every network promises: shapes, range, sizes, gradients, weights, errors."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edgefuse.errors import InputError
from edgefuse.fuser import Fuser
from edgefuse.models import load_weights, save_weights
from edgefuse.runtime.torch_eager import TorchRunner


def _pair(network: nn.Module, *, batch: int = 1, multiples: tuple[int, int] = (2, 3)) -> tuple[torch.Tensor, ...]:
    """A random pair whose sides are multiples of what the network asks."""
    generator = torch.Generator().manual_seed(1)
    unit = max(network.size_multiple, 8)
    size = (2, batch, 1, multiples[0] * unit, multiples[1] * unit)
    return torch.rand(size, generator=generator).unbind()


def test_output_has_the_inputs_shape_and_lies_in_the_unit_range(network: nn.Module) -> None:
    """A batch of pairs gives a batch of luminance images in [0, 1], also where the inputs are flat."""
    ir, vis = _pair(network, batch=2)
    ir[1], vis[1] = 0, 1
    with torch.inference_mode():
        fused = network.eval()(ir, vis)
    assert fused.shape == ir.shape
    assert fused.dtype == ir.dtype
    assert 0 <= fused.min() <= fused.max() <= 1


def test_output_depends_on_both_inputs(network: nn.Module) -> None:
    """Neither the infrared nor the visible image is ignored."""
    ir, vis = _pair(network)
    network.eval()
    with torch.inference_mode():
        fused, other_ir, other_vis = network(ir, vis), network(1 - ir, vis), network(ir, 1 - vis)
    assert not torch.equal(fused, other_ir)
    assert not torch.equal(fused, other_vis)


def test_evaluation_is_deterministic_and_leaves_the_inputs_alone(network: nn.Module) -> None:
    """The same pair gives the same bits, twice and in a copy of the network, and is not written to."""
    ir, vis = _pair(network)
    kept = ir.clone(), vis.clone()
    network.eval()
    twin = copy.deepcopy(network)
    with torch.inference_mode():
        first, second, third = network(ir, vis), network(ir, vis), twin(ir, vis)
    assert torch.equal(first, second)
    assert torch.equal(first, third)
    assert torch.equal(ir, kept[0])
    assert torch.equal(vis, kept[1])


@pytest.mark.parametrize("size", [(8, 8), (9, 37), (31, 17)])
def test_any_size_is_fused_through_the_padding_it_declares(network: nn.Module, size: tuple[int, int]) -> None:
    """Padded by size_multiple and min_size, small and odd sizes pass."""
    generator = np.random.default_rng(0)
    ir, vis = generator.integers(0, 256, (2, *size), dtype=np.uint8)
    with TorchRunner(network) as runner:
        fused = Fuser(runner)(ir, vis)
    assert fused.shape == size


def test_smallest_declared_size_runs(network: nn.Module) -> None:
    """The network takes its own min_size in training and in evaluation mode."""
    side = -(-network.min_size // network.size_multiple) * network.size_multiple
    ir, vis = torch.rand(2, 2, 1, side, side)
    assert network(ir, vis).isfinite().all()
    with torch.inference_mode():
        assert network.eval()(ir[:1], vis[:1]).isfinite().all()


def test_gradients_reach_every_parameter_and_are_finite(network: nn.Module) -> None:
    """Training reaches all that inference uses, with finite gradients even on flat and identical inputs."""
    ir, vis = _pair(network, batch=2)
    ir[1] = vis[1] = 0.5
    outputs = network.forward_train(ir, vis)
    extras = [tensor for value in outputs.values() for tensor in (value if isinstance(value, tuple) else (value,))]
    sum(tensor.square().mean() for tensor in extras if tensor.requires_grad).backward()
    trained = {name: p for name, p in network.named_parameters() if not name.startswith(network.training_only or "-")}
    assert [name for name, parameter in trained.items() if parameter.grad is None] == []
    assert all(parameter.grad.isfinite().all() for parameter in trained.values())


def test_forward_is_the_fused_output_of_training(network: nn.Module) -> None:
    """forward and forward_train agree on the fused image."""
    ir, vis = _pair(network)
    network.eval()
    with torch.inference_mode():
        torch.testing.assert_close(network(ir, vis), network.forward_train(ir, vis)["fused"], rtol=0, atol=0)


def test_weights_survive_the_disk(network: nn.Module, tmp_path: Path) -> None:
    """Saved and loaded into a network with other weights, the output is the same to the bit."""
    ir, vis = _pair(network)
    other = copy.deepcopy(network)
    for parameter in other.parameters():
        nn.init.normal_(parameter)
    save_weights(network, tmp_path / "weights.safetensors")
    load_weights(other, tmp_path / "weights.safetensors")
    with torch.inference_mode():
        assert torch.equal(network.eval()(ir, vis), other.eval()(ir, vis))


def test_wrong_inputs_are_refused_with_their_shapes(network: nn.Module) -> None:
    """Shapes, channels, dtypes and sizes that the network cannot take are named."""
    ir, vis = _pair(network)
    unit = network.size_multiple
    with pytest.raises(InputError, match="got"):
        network(ir, vis[..., :-1])
    with pytest.raises(InputError, match=r"of one shape \(B, 1, H, W\)"):
        network(ir.expand(-1, 3, -1, -1), vis.expand(-1, 3, -1, -1))
    with pytest.raises(InputError, match="uint8"):
        network((ir * 255).byte(), (vis * 255).byte())
    if unit > 1:
        with pytest.raises(InputError, match=rf"multiples of {unit} .* got {unit + 1}x{unit}"):
            network(torch.rand(1, 1, unit + 1, unit), torch.rand(1, 1, unit + 1, unit))


@pytest.mark.gpu
def test_gpu_gives_what_the_cpu_gives(network: nn.Module, cuda_device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA and CPU agree, odd spectra included."""
    monkeypatch.setattr(torch.backends.cudnn.conv, "fp32_precision", "ieee")
    unit = network.size_multiple
    ir, vis = torch.rand(2, 1, 1, 5 * unit, 7 * unit) if unit > 1 else torch.rand(2, 1, 1, 75, 101)
    network.eval()
    with torch.inference_mode():
        expected = network(ir, vis)
        fused = network.to(cuda_device)(ir.to(cuda_device), vis.to(cuda_device)).cpu()
    torch.testing.assert_close(fused, expected, rtol=0, atol=1e-4)
