"""The cost model: floors, operations, and the counter of what eager PyTorch moves."""

from __future__ import annotations

import torch

from edgefuse.kernels.cost import count_traffic, gradient_loss_cost, spectral_conv_cost, ssim_cost


def test_floors_are_every_plane_once() -> None:
    """Three images and a gradient, two images and a gradient, images and gradients in and out."""
    assert gradient_loss_cost((2, 8, 10), terms=("angle",)).floor_bytes == 4 * 160 * 4
    assert gradient_loss_cost((2, 8, 10), terms=("angle",), itemsize=2, backward=False).floor_bytes == 3 * 160 * 2
    assert ssim_cost((2, 8, 10)).floor_bytes == 3 * 160 * 4
    assert spectral_conv_cost((2, 4, 8, 10)).floor_bytes == 4 * 640 * 4


def test_operations_grow_with_terms_scales_and_backward() -> None:
    """More terms, more scales and the backward pass each cost more."""
    one = gradient_loss_cost((1, 32, 32), terms=("direction",))
    assert gradient_loss_cost((1, 32, 32), terms=("direction", "angle")).flops > one.flops
    assert one.flops < gradient_loss_cost((1, 32, 32), terms=("direction",), n_scales=3).flops < 1.5 * one.flops
    assert gradient_loss_cost((1, 32, 32), terms=("direction",), backward=False).flops < one.flops
    assert ssim_cost((1, 32, 32), backward=False).flops < ssim_cost((1, 32, 32)).flops
    assert spectral_conv_cost((1, 4, 8, 8), backward=False).flops < spectral_conv_cost((1, 4, 8, 8)).flops


def test_counter_adds_inputs_and_outputs_of_every_operation() -> None:
    """A sum of two vectors moves three of them, a view nothing, an in-place operation its tensor twice."""
    x = torch.ones(100)
    assert count_traffic(lambda: x + x.clone()).moved_bytes == (2 + 3) * 400
    assert count_traffic(lambda: x.view(10, 10).t()).operations == 0
    assert count_traffic(lambda: x.add_(1)).moved_bytes == 2 * 400
    assert count_traffic(lambda: x[:1].expand(100) + x).moved_bytes == 4 + 400 + 400


def test_counter_sees_the_backward_pass() -> None:
    """Operations that autograd runs are counted with the others."""
    leaf = torch.ones(50, requires_grad=True)
    forward = count_traffic(lambda: torch.sum(leaf * leaf))
    both = count_traffic(lambda: torch.sum(leaf * leaf).backward())
    assert both.operations > forward.operations


def test_transforms_count_once_an_axis() -> None:
    """A transform over two axes reads and writes twice."""
    x = torch.ones(8, 8, dtype=torch.complex64)
    assert count_traffic(lambda: torch.fft.fft2(x)).moved_bytes == 2 * 2 * 512
    assert set(count_traffic(lambda: torch.fft.fft(x)).by_operation) == {"aten._fft_c2c"}
