"""What lies between a forward and an inverse transform: in stored order where it may be, exact in every case."""

from __future__ import annotations

import functools
import warnings
from collections import Counter
from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from edgefuse.export import lower_dft
from edgefuse.export.dft import count_dft

HEIGHT, WIDTH, CHANNELS = 12, 20, 8


class Spectral(nn.Module):
    """rfft2, something on the interleaved parts (B, 2C, H, W // 2 + 1), irfft2."""

    def __init__(self, between: Callable[[torch.Tensor], torch.Tensor], *, stacked: bool = False) -> None:
        super().__init__()
        self.between = between
        self.stacked = stacked

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply it in the frequency domain."""
        batch, channels, height, width = x.shape
        spectrum = torch.view_as_real(torch.fft.rfft2(x, norm="ortho"))
        order = (0, 4, 1, 2, 3) if self.stacked else (0, 1, 4, 2, 3)
        parts = self.between(spectrum.permute(*order).reshape(batch, 2 * channels, height, -1))
        if self.stacked:
            parts = torch.stack(parts.chunk(2, dim=1), dim=-1)
        else:
            parts = parts.reshape(batch, channels, 2, height, -1).permute(0, 1, 3, 4, 2)
        return torch.fft.irfft2(torch.view_as_complex(parts.contiguous()), s=(height, width), norm="ortho")


class Gate(nn.Module):
    """Channel attention over the mean of the spectrum."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2 * CHANNELS, 2 * CHANNELS, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scale every channel."""
        return x * torch.sigmoid(self.conv(x.mean(dim=(2, 3), keepdim=True)))


class ChannelsLast(nn.Module):
    """A linear layer over channels, as networks of the AFNO kind write it."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2 * CHANNELS, 2 * CHANNELS, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Mix the channels."""
        return F.softshrink(self.linear(x.permute(0, 2, 3, 1)), 0.01).permute(0, 3, 1, 2)


class Residual(nn.Module):
    """A 1x1 convolution with batch statistics of the image, beside the identity."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2 * CHANNELS, 2 * CHANNELS, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve, normalise by the image's own statistics, add."""
        return x + F.relu(F.batch_norm(self.conv(x), None, None, training=True))


class ByFrequency(nn.Module):
    """A learned factor for every frequency, another for every row, and a slope for every channel."""

    def __init__(self) -> None:
        super().__init__()
        self.grid = nn.Parameter(torch.rand(HEIGHT, WIDTH // 2 + 1))
        self.rows = nn.Parameter(torch.rand(2 * CHANNELS, HEIGHT, 1))
        self.slope = nn.PReLU(2 * CHANNELS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Weigh the spectrum."""
        return self.slope(1.5 - x * self.grid) / (1 + self.rows)


class _Twice(nn.Module):
    """The same block two times, so that its weights have two readers."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pass through the block twice."""
        return self.block(self.block(x))


def _conv() -> nn.Sequential:
    norm = nn.BatchNorm2d(2 * CHANNELS)
    nn.init.uniform_(norm.running_mean, -0.2, 0.2)
    nn.init.uniform_(norm.running_var, 0.5, 2.0)
    return nn.Sequential(nn.Conv2d(2 * CHANNELS, 2 * CHANNELS, 1, bias=False), norm, nn.ReLU())


# What stays in stored order, and what needs the natural order and so goes back to it.
FOLLOWED: dict[str, Callable[[], nn.Module]] = {
    "conv": lambda: Spectral(_conv()),
    "stacked conv": lambda: Spectral(_conv(), stacked=True),
    "gelu after bias": lambda: Spectral(nn.Sequential(nn.Conv2d(2 * CHANNELS, 2 * CHANNELS, 1), nn.GELU())),
    "gate": lambda: Spectral(Gate()),
    "image statistics": lambda: Spectral(Residual()),
    "instance norm": lambda: Spectral(nn.InstanceNorm2d(2 * CHANNELS, affine=True)),
    "shared twice": lambda: _Twice(Spectral(_conv())),
    "by frequency": lambda: Spectral(ByFrequency()),
    "channels last": lambda: Spectral(ChannelsLast()),
    "clamp": lambda: Spectral(lambda x: x.clamp(-0.5, 0.5)),
    "peak": lambda: Spectral(lambda x: x / x.abs().amax(dim=(2, 3), keepdim=True)),
}
ORDERED: dict[str, Callable[[], nn.Module]] = {
    "softmax over rows": lambda: Spectral(lambda x: torch.softmax(x, dim=2)),
    "3x3 conv": lambda: Spectral(nn.Conv2d(2 * CHANNELS, 2 * CHANNELS, 3, padding=1)),
    "low pass by zeros": lambda: Spectral(lambda x: F.pad(x[..., :4], (0, WIDTH // 2 + 1 - 4))),
    "flip": lambda: Spectral(lambda x: torch.cat([x[:, :, :1], x[:, :, 1:].flip(2)], dim=2)),
}


@functools.cache
def _exported(name: str) -> tuple[onnx.ModelProto, np.ndarray, np.ndarray]:
    torch.manual_seed(0)
    module = {**FOLLOWED, **ORDERED}[name]().eval()
    x = torch.randn(1, CHANNELS, HEIGHT, WIDTH)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(module, (x,), dynamo=True, opset_version=20, verbose=False)
        assert program is not None
        model = program.model_proto  # before the module's weights change under it
        wanted = module.double()(x.double()).numpy()
    return model, x.numpy(), wanted


def _run(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: x})[0])


def _counts(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


@pytest.mark.parametrize("method", ["dense", "radix"])
@pytest.mark.parametrize("name", [*FOLLOWED, *ORDERED])
def test_result_is_exact_whatever_lies_between(name: str, method: str) -> None:
    """Lowering changes no more than rounding does."""
    model, x, wanted = _exported(name)
    lowered = lower_dft(model, method=method)
    assert count_dft(lowered) == 0
    assert np.abs(_run(lowered, x) - wanted).max() <= 2e-6 * np.abs(wanted).max()


@pytest.mark.parametrize("name", list(FOLLOWED))
def test_spectrum_is_never_permuted(name: str) -> None:
    """In one step nothing is moved; in two the image is transposed twice each way and the spectrum stays scrambled."""
    model, _, _ = _exported(name)
    dense, radix = _counts(lower_dft(model, method="dense")), _counts(lower_dft(model, method="radix"))
    assert dense["Gather"] == radix["Gather"] == 0
    assert dense["Transpose"] == 0
    # Between two blocks in a row one transpose does for two: the image need not be in its own order there.
    assert radix["Transpose"] == (7 if name == "shared twice" else 4)
    assert dense["BatchNormalization"] == radix["BatchNormalization"] == 0


@pytest.mark.parametrize("name", list(ORDERED))
def test_what_needs_the_natural_order_gets_it(name: str) -> None:
    """A scrambled spectrum is put in order before an operator that looks across frequencies."""
    model, _, _ = _exported(name)
    assert _counts(lower_dft(model, method="radix"))["Gather"] > 0
    assert _counts(lower_dft(model, method="dense"))["MatMul"] == 4


def test_ortho_factors_are_folded_into_the_matrices() -> None:
    """No Mul or Div by a constant is left of the normalisation."""
    model, _, _ = _exported("conv")
    assert _counts(model)["Mul"] + _counts(model)["Div"] == 4
    for method in ("dense", "radix"):
        counts = _counts(lower_dft(model, method=method))
        assert counts["Mul"] + counts["Div"] == 0


def test_equal_matrices_are_stored_once() -> None:
    """Two blocks of one size share their matrices."""
    blocks = nn.Sequential(Spectral(nn.ReLU()), Spectral(nn.ReLU()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(blocks, (torch.randn(1, 8, 12, 20),), dynamo=True, verbose=False)
    assert program is not None
    for method, matrices in (("dense", 4), ("radix", 8)):
        lowered = lower_dft(program.model_proto, method=method)
        assert sum(len(one.dims) >= 2 for one in lowered.graph.initializer) == matrices


@pytest.mark.parametrize(("target", "method"), [("cpu", "radix"), ("tensor-core", "dense")])
def test_cost_model_takes_two_steps_on_the_cpu_and_one_on_tensor_cores(target: str, method: str) -> None:
    """At the size that cameras have, the CPU does less arithmetic and tensor cores move less data."""
    module = Spectral(_conv()).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(module, (torch.zeros(1, 8, 480, 640),), dynamo=True, verbose=False)
    assert program is not None
    chosen = _counts(lower_dft(program.model_proto, target=target))
    assert chosen == _counts(lower_dft(program.model_proto, method=method))
    assert chosen["Transpose"] == (4 if method == "radix" else 0)


def test_weights_that_passes_share_are_stored_once() -> None:
    """Normalisation is folded into the one convolution of a block, however often the network passes through it."""
    lowered = lower_dft(_exported("shared twice")[0])
    weights = [node.input[1] for node in lowered.graph.node if node.op_type == "Conv"]
    assert len(weights) == 2
    assert len(set(weights)) == 1
    assert _counts(lowered)["BatchNormalization"] == 0
